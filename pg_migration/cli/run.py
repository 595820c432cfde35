"""The commands that run a job."""

import gc
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, TextIO
from uuid import uuid4

import dagster as dg
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from pg_migration.cli.consent import with_consent
from pg_migration.cli.dagster_instance import hushed, records
from pg_migration.cli.exit_status import (
    FAILED,
    MISUSED,
    SUCCEEDED,
    Misused,
    RecordsLost,
    first_line,
    misuse_told,
)
from pg_migration.cli.options import merged, of_pair
from pg_migration.cli.progress import Follower, follower, is_stop
from pg_migration.cli.report import print_report
from pg_migration.cli.stopped import STOPPED
from pg_migration.cli.streams import Forgiving, put
from pg_migration.orchestration import environment, load_events
from pg_migration.orchestration.build import build
from pg_migration.orchestration.dagster_internals.commands import without_mirrors
from pg_migration.orchestration.dagster_internals.running import SerializableErrorInfo
from pg_migration.orchestration.location import code_location
from pg_migration.orchestration.location.names import LIVE_MOVE, MIGRATE, PREFLIGHT, REPAIR, SWAP_BACK
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.run_tags import MISUSE
from pg_migration.orchestration.runs.failures import INTERRUPTED
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.migration.options import Options
from pg_migration.reporting import formats, store
from pg_migration.reporting.model import Report

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Ended:
    """A run that came to its end. ``failures`` are the messages of the steps that failed; ``stopped``: by a person;
    ``misuse`` is why what was asked for can't be done as it was asked: nothing was done then."""

    run_id: str
    succeeded: bool
    failures: tuple[str, ...]
    stopped: bool = False
    misuse: str = ""

    @property
    def status(self) -> int:
        """The exit status of the command."""
        return SUCCEEDED if self.succeeded else STOPPED if self.stopped else MISUSED if self.misuse else FAILED


@contextmanager
def terminal_beside_steps() -> Iterator[TextIO]:
    """This process's error output as it is now. Dagster captures that of steps in files, where bars have no place."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):  # it is no file
        yield sys.stderr
        return
    with Forgiving(os.fdopen(descriptor, "wb"), encoding=sys.stderr.encoding, errors="replace") as stream:
        yield stream


def execute(
    instance: dg.DagsterInstance,
    pair: Pair,
    job_name: str,
    config: Mapping[str, Any],
    follower: Follower,
    verbose: bool,
    may_ask: bool = True,
) -> Ended:
    """Run a job from begin to end.

    Args:
        instance: where the run is recorded.
        job_name: a job, without the name of the pair.
        config: the run configuration.
        follower: is told of everything that happens.
        verbose: whether Dagster prints its events.
        may_ask: whether a person may be asked what the run may delete.

    Raises:
        Misused: when the environment or the configuration is wrong; no run was made then.
        Declined: when a person was asked, and wanted rows of the target to stay; no run was made then either.
        RecordsLost: when Dagster could not write down what happened.
    """
    _check(pair, config)
    if job_name == MIGRATE and may_ask:
        config = with_consent(pair, config)
    follower.say(f"{job_name}: asking the source for its tables")
    with hushed(code_location.__name__):
        location = code_location.load(pair)
    with misuse_told():  # the pair may have a translation that can't be used for the tables of today
        job = build(location).resolve_job_def(pair.named(job_name))
    wanted = dict(config) if verbose else merged(config, QUIET)
    try:
        dg.validate_run_config(job, wanted)
    except dg.DagsterInvalidConfigError as error:
        raise Misused("\n".join(e.message for e in error.errors)) from None
    # What Dagster writes down of each table before the first step takes minutes where there are thousands.
    follower.say(f"{len(location.tables):,} tables; planning the run")
    run_id = str(uuid4())
    gc.freeze()
    gc.enable()
    instance.add_event_listener(run_id, follower.event)
    instance.add_event_listener(run_id, lambda entry: _cancel_if_stopped(instance, entry))
    try:
        with nullcontext() if verbose else without_mirrors(), follower, load_events.watched_by(follower):
            result = job.execute_in_process(instance=instance, run_id=run_id, run_config=wanted, raise_on_error=False)
    except SQLAlchemyError as error:
        raise RecordsLost(
            f"Dagster's records can't be written: {first_line(error)}. They are in {instance.root_directory}, or where "
            f"the dagster.yaml there says. Make room and run this again: it goes on with what was copied."
        ) from None
    stopped = any(map(is_stop, result.all_events))
    return Ended(run_id, result.success, tuple(_failures(result)), stopped, _misuse(result))


def _cancel_if_stopped(instance: dg.DagsterInstance, entry: dg.EventLogEntry) -> None:
    """Let Dagster record a run that a person has stopped as canceled, and not as failed."""
    if entry.dagster_event is not None and entry.dagster_event.is_step_failure and is_stop(entry.dagster_event):
        run = instance.get_run_by_id(entry.run_id)
        if run is not None and run.status is dg.DagsterRunStatus.STARTED:
            instance.report_run_canceling(run, "stopped at the command line")


def _check(pair: Pair, config: Mapping[str, Any]) -> None:
    """Refuse what no run can be made with, before there is one."""
    with misuse_told():
        for side in Side:
            pair.endpoint(side)
        environment.reports_folder()
        chosen = ((config.get("resources") or {}).get(pair.resource) or {}).get("config") or {}
        try:
            options = Options.model_validate({**pair.defaults, **chosen})
        except (ValidationError, TypeError):
            return  # Dagster tells what is wrong, in the terms of the run configuration
        options.check()


def _failures(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    for event in result.get_step_failure_events():
        failed = event.step_failure_data
        told = failed.user_failure_data and failed.user_failure_data.description
        yield f"{event.step_key}: {told or (_message(failed.error) if failed.error else 'failed')}"
    for event in result.all_events:
        if event.is_run_failure and event.job_failure_data.error:
            yield _message(event.job_failure_data.error)


def _misuse(result: dg.ExecuteInProcessResult) -> str:
    """Why nothing was done, where that is in what was asked for; else nothing. What fails later fails for that."""
    for event in result.all_events:
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION:
            return ""
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION and event.asset_check_evaluation_data.passed:
            return ""
        if event.is_step_failure:
            told = event.step_failure_data.user_failure_data
            return str(told.description) if told is not None and MISUSE in told.metadata else ""
    return ""


def _message(error: SerializableErrorInfo) -> str:
    while error.cause is not None:  # Dagster's own error says no more than that there was one
        error = error.cause
    return INTERRUPTED if error.cls_name == dg.DagsterExecutionInterruptedError.__name__ else error.message.strip()


def _stopped(job: str, report: Report | None) -> str:
    """What a person who has stopped a run is told: what is there, and how it goes on."""
    rows = 0 if report is None else report.total_rows
    swaps = report is not None and report.options.get("refresh") == "swap"
    if job == SWAP_BACK or (job == MIGRATE and swaps):
        loads = "" if job == SWAP_BACK else " The next `pg_migration run` loads everything anew."
        return f"stopped. What is live is one copy or the other, and whole.{loads}"
    if job in LIVE_MOVE:
        notes = report.notes if report is not None else ()
        told = (
            "stopped. `pg_migration status` tells which side is written to: until one has taken over, nothing has "
            "changed for writers. The same command again does what is left."
        )
        return "\n".join([told, *(f"note: {formats.on_one_line(note)}" for note in notes)])
    if job == MIGRATE:
        copied = f"after {rows:,} rows were copied" if rows else "before a row was copied"
        command = "follow" if report is not None and report.options.get("follow") else "run"
        return f"stopped {copied}. What is there stays; the next `pg_migration {command}` goes on from it."
    if job == REPAIR:
        return "stopped. What was loaded anew stays; `pg_migration repair` looks for the rest."
    return "stopped; nothing was changed."


def run_job(pair: Pair, job: str, config: Mapping[str, Any], as_json: bool, verbose: bool, may_ask: bool = True) -> int:
    """Run a job, show how it goes on the error output, and print what came of it on the standard output.

    Args:
        config: the run configuration, as it is for the pair without a name.
        as_json: whether to print the report as JSON.
        verbose: whether Dagster prints its events.
        may_ask: whether a person may be asked what the run may delete.

    Returns:
        The exit status of the command.

    Raises:
        Misused: when the environment or the configuration is wrong.
        KeyboardInterrupt: a person has stopped it before there was a run.
    """
    with records() as kept, terminal_beside_steps() as stream:
        if kept.advice is not None:
            stream.write(kept.advice)
            stream.flush()
        shown = follower(stream, lines=verbose)
        try:
            ended = execute(kept.instance, pair, job, of_pair(pair, config), shown, verbose, may_ask)
        except dg.DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
    if ended.misuse and job != PREFLIGHT and not as_json:
        raise Misused(ended.misuse)
    _print(pair, job, ended, shown.report, as_json)
    return ended.status


def _print(pair: Pair, job: str, ended: Ended, made: Report | None, as_json: bool) -> None:
    """Print how a run ended: its report as it was made, since a full disk may have no room for it."""
    folder = environment.reports_folder(pair.name)
    report = made or (store.read(folder, ended.run_id) if folder is not None else None)
    if ended.stopped and not as_json:
        put(_stopped(job, report) + "\n")
    elif report is not None and folder is not None:
        print_report(report.ended(ended.succeeded, ended.failures), folder, as_json)
    elif as_json:
        put(json.dumps(asdict(ended), indent=2) + "\n")
    else:
        outcome = "succeeded" if ended.succeeded else "FAILED"
        put("".join(f"{line}\n" for line in [*ended.failures, f"run {ended.run_id} {outcome}"]))
