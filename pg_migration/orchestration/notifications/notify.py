"""Who is told of a run that ended, and what.

The run sends them itself, when it ends: so it works the same from cron without a daemon, and nothing is sent twice.
What a run can't tell (its process was killed, its configuration was refused, it never started) the sensor
``failed_runs`` tells, where the daemon runs; a tag on the run says that it need not.
"""

import html
from collections.abc import Callable, Sequence

import dagster as dg

from pg_migration.orchestration.location.names import CUTOVER, LIVE_MOVE, MIGRATE
from pg_migration.orchestration.notifications.channels import channels
from pg_migration.orchestration.notifications.message import Channel, Message, NotSent
from pg_migration.orchestration.notifications.run_report import report_of_run
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.run_tags import NOTIFIED_TAG, SNAPSHOT_OF
from pg_migration.orchestration.settings import current
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration.run import MigrationRun

ALWAYS, FAILURE = "always", "failure"


# Their success is news. That of an hourly comparison is not.
TELL_SUCCESS = (MIGRATE, *LIVE_MOVE)


Log = Callable[[str], object]


def notify_of(
    run: MigrationRun,
    pair: Pair,
    record: dg.DagsterRun,
    instance: dg.DagsterInstance,
    failures: Sequence[str],
    log: Log,
) -> None:
    """Tell of a run that is about to end, if anybody wants to know. A channel that fails is logged.

    Args:
        failures: why it fails; none when it succeeds.
        log: takes a warning.
    """
    ways = list(channels())
    if SNAPSHOT_OF in record.tags:  # it is part of another one, which tells
        return
    if not ways or not _is_wanted(_is_news(run, pair, record), bool(failures), log):
        return
    send(report_of_run(run, pair, record, failures), ways, log)
    if failures:
        instance.add_run_tags(record.run_id, {NOTIFIED_TAG: failure_mark(record.run_id)})


def _is_news(run: MigrationRun, pair: Pair, record: dg.DagsterRun) -> bool:
    """Whether people want to know that a run succeeds. A cutover that was only tried has moved nothing."""
    if record.job_name == pair.named(CUTOVER):
        return run.outcomes.cutover is not None
    return record.job_name in map(pair.named, TELL_SUCCESS)


def tell(subject: str, lines: Sequence[str], log: Log) -> None:
    """Tell something that is not about a run. Never raises; what went wrong is logged."""
    text = "\n".join(lines)
    send(Message(f"pg_migration: {subject}", text, f"<pre>{html.escape(text)}</pre>"), list(channels()), log)


def failure_mark(run_id: str) -> str:
    return f"{run_id} failed"


def _is_wanted(tells_success: bool, failed: bool, log: Log) -> bool:
    wish = current().notify_on.lower()
    if wish not in (ALWAYS, FAILURE):
        log(f"PG_MIGRATION_NOTIFY_ON is {wish!r}, but must be {ALWAYS} or {FAILURE}: taken as {ALWAYS}")
    return failed or (tells_success and wish != FAILURE)


def send(message: Message, ways: Sequence[Channel | ConfigurationError], log: Log) -> None:
    """One channel that fails leaves the others alone."""
    for way in ways:
        if isinstance(way, ConfigurationError):
            log(str(way))
            continue
        try:
            way.send(message)
        except NotSent as error:
            log(f"the notification by {way.name} was not sent: {error}")
        except Exception as error:  # a message may hold the secret that the channel was given: its kind has to do
            log(f"the notification by {way.name} was not sent: {type(error).__name__}")
