"""Who is told of a run that ended, and what.

The run tells it itself, as its last deed: so it works the same from cron without a daemon, and nothing is sent twice.
What a run can't tell (its process was killed, its configuration was refused, it never started) the sensor
``failed_runs`` tells, where the daemon runs; a tag on the run says that it need not.
"""

import html
import os
from collections.abc import Callable, Mapping, Sequence

import dagster as dg
from tabulate import tabulate

from pg_migration.orchestration import settings
from pg_migration.orchestration.channels import Channel, Message, NotSent, channels
from pg_migration.orchestration.metadata import cell, markdown_text, rows_per_second
from pg_migration.orchestration.run import MigrationRun
from pg_migration.orchestration.spreading import SNAPSHOT_OF
from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.endpoint import Endpoint, Side
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.reporting.filing import PAGE

NOTIFY_ON = "PG_MIGRATION_NOTIFY_ON"
UI_URL = "PG_MIGRATION_UI_URL"
ALWAYS, FAILURE = "always", "failure"

# The run that told of its own end, and how it ended. A run that is started again inherits the tags of the first one.
NOTIFIED_TAG = "pg_migration/notified"

# Its success is news. That of an hourly comparison is not.
TELLS_SUCCESS = "migrate"
MOST_ROWS = 50

Row = Mapping[str, object]
Log = Callable[[str], object]


def tell_of(
    run: MigrationRun, record: dg.DagsterRun, instance: dg.DagsterInstance, failures: Sequence[str], log: Log
) -> None:
    """Tell of a run that is about to end, if anybody wants to know. A channel that fails is logged.

    Args:
        failures: why it fails; none when it succeeds.
        log: takes a warning.
    """
    ways = list(channels())
    if SNAPSHOT_OF in record.tags:  # it is part of another one, which tells
        return
    if not ways or not _is_wanted(record.job_name, bool(failures), log):
        return
    _send(_of_run(run, record, failures), ways, log)
    if failures:
        instance.add_run_tags(record.run_id, {NOTIFIED_TAG: _told(record.run_id)})


def tell(subject: str, lines: Sequence[str], log: Log) -> None:
    """Tell something that is not about a run. Never raises; what went wrong is logged."""
    text = "\n".join(lines)
    _send(Message(f"pg_migration: {subject}", text, f"<pre>{html.escape(text)}</pre>"), list(channels()), log)


def build_failed_runs() -> dg.SensorDefinition:
    """The sensor that tells of runs which could not tell themselves."""

    @dg.run_failure_sensor(
        name="failed_runs",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells, by Slack and e-mail as the environment says, of failed runs that could not tell it "
        "themselves: killed, refused, never started.",
    )
    def failed_runs(context: dg.RunFailureSensorContext) -> None:
        run = context.instance.get_run_by_id(context.dagster_run.run_id) or context.dagster_run
        if SNAPSHOT_OF in run.tags or run.tags.get(NOTIFIED_TAG) == _told(run.run_id):
            return
        reasons = [event.message for event in context.get_step_failure_events() if event.message]
        _send(_of_record(run, reasons or [context.failure_event.message or ""]), list(channels()), context.log.warning)

    return failed_runs


def _told(run_id: str) -> str:
    return f"{run_id} failed"


def _is_wanted(job: str, failed: bool, log: Log) -> bool:
    wish = os.environ.get(NOTIFY_ON, "").strip().lower() or ALWAYS
    if wish not in (ALWAYS, FAILURE):
        log(f"{NOTIFY_ON} is {wish!r}, but must be {ALWAYS} or {FAILURE}: taken as {ALWAYS}")
    return failed or (job == TELLS_SUCCESS and wish != FAILURE)


def _send(message: Message, ways: Sequence[Channel | ConfigurationError], log: Log) -> None:
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


def _of_run(run: MigrationRun, record: dg.DagsterRun, failures: Sequence[str]) -> Message:
    names = sorted({*run.outcomes.loaded, *run.outcomes.failed, *run.outcomes.checks})
    # What went wrong comes first, then what is large.
    rows = sorted((_row(run, name) for name in names), key=lambda row: (row["state"] == "copied", -_rows_of(row)))
    return _message(record, failures, [*run.cautions, *run.outcomes.notes], rows)


def _of_record(record: dg.DagsterRun, reasons: Sequence[str]) -> Message:
    return _message(record, reasons, [], [])


def _row(run: MigrationRun, name: TableName) -> dict[str, object]:
    outcomes = run.outcomes
    loaded, checks = outcomes.loaded.get(name), outcomes.checks.get(name, {})
    bad = name in outcomes.failed or not all(checks.values())
    return {
        "table": ".".join(name),
        "rows": loaded.rows if loaded else None,
        "bytes": loaded.bytes if loaded else None,
        "seconds": loaded.seconds if loaded else None,
        "rows/s": rows_per_second(loaded) if loaded else None,
        "checks": ", ".join(f"{check} {'passed' if passed else 'FAILED'}" for check, passed in checks.items()),
        "state": "FAILED" if bad else "copied" if loaded else "compared",
    }


def _rows_of(row: Row) -> int:
    rows = row["rows"]
    return rows if isinstance(rows, int) else 0


def _message(record: dg.DagsterRun, failures: Sequence[str], notes: Sequence[str], rows: Sequence[Row]) -> Message:
    subject = f"pg_migration: {record.job_name} {'FAILED' if failures else 'succeeded'}: {_database(Side.TARGET)}"
    facts = {
        "source": _address(Side.SOURCE),
        "target": _address(Side.TARGET),
        "run": _link(record.run_id),
        **_report(record.run_id),
        "tables": f"{len(rows):,}",
        "rows": f"{sum(map(_rows_of, rows)):,}",
    }
    shown = rows[:MOST_ROWS]
    rest = f"and {len(rows) - len(shown):,} more tables" if len(rows) > len(shown) else ""
    parts = [
        "\n".join(f"{name + ':':8} {value}" for name, value in facts.items()),
        _listed("Failures", failures),
        markdown_text(shown) if shown else "",
        rest,
        _listed("Notes", notes),
    ]
    body = [
        f"<h3>{html.escape(subject)}</h3>",
        "<p>" + "<br>".join(f"{name}: {html.escape(value)}" for name, value in facts.items()) + "</p>",
        _html_list("Failures", failures),
        _html_table(shown) if shown else "",
        f"<p>{rest}</p>" if rest else "",
        _html_list("Notes", notes),
    ]
    text, page = "\n\n".join(filter(None, parts)), "\n".join(filter(None, body))
    return Message(subject, _scrubbed(text), _scrubbed(page))


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"- {line}" for line in lines)]) if lines else ""


def _html_list(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<h4>{title}</h4><ul>{items}</ul>" if lines else ""


def _html_table(rows: Sequence[Row]) -> str:
    # A bar needs no escaping here.
    cells = [{name: cell(value).replace("\\|", "|") for name, value in row.items()} for row in rows]
    return str(tabulate(cells, headers="keys", tablefmt="html", disable_numparse=True))


def _link(run_id: str) -> str:
    base = os.environ.get(UI_URL, "").strip().rstrip("/")
    return f"{base}/runs/{run_id}" if base else run_id


def _endpoint(side: Side) -> Endpoint | None:
    try:
        return settings.endpoint(side)
    except ConfigurationError:
        return None


def _report(run_id: str) -> dict[str, str]:
    try:
        folder = settings.reports_folder()
    except ConfigurationError:
        return {}
    page = folder / run_id / PAGE if folder is not None else None
    return {"report": str(page)} if page is not None and page.exists() else {}


def _address(side: Side) -> str:
    end = _endpoint(side)
    return end.description if end else "not configured"


def _database(side: Side) -> str:
    end = _endpoint(side)
    return end.database if end else "no database"


def _scrubbed(text: str) -> str:
    """A text without the passwords of both databases; nothing should have put one there."""
    for end in filter(None, map(_endpoint, Side)):
        text = end.scrub(text)
    return text
