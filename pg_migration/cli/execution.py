"""Run a job in this process, on the user's Dagster instance, so that the UI shows the run as any other."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TextIO
from uuid import uuid4

import dagster as dg
from dagster._cli.utils import get_possibly_temporary_instance_for_cli
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster_shared.error import SerializableErrorInfo
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pg_migration.cli.consent import with_consent
from pg_migration.cli.ending import Misused, RecordsLost, misuse_told
from pg_migration.cli.following import Follower
from pg_migration.cli.options import merged
from pg_migration.cli.streams import Forgiving
from pg_migration.orchestration import location, settings, watching
from pg_migration.orchestration.failing import INTERRUPTED
from pg_migration.orchestration.jobs import MIGRATE
from pg_migration.orchestration.resources import Migration
from pg_migration.postgres.endpoint import Side

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Ended:
    """A run that came to its end. ``failures`` are the messages of the steps that failed."""

    run_id: str
    succeeded: bool
    failures: tuple[str, ...]


@contextmanager
def user_instance() -> Iterator[dg.DagsterInstance]:
    """The instance that every command of Dagster's would use in this place.

    Raises:
        Misused: when there is none, and none can be made.
    """
    # Where neither DAGSTER_HOME nor a dagster.yaml says otherwise, Dagster makes one for the time of the command.
    hushed = logging.getLogger("pg_migration.cli")
    hushed.setLevel(logging.WARNING)
    with ExitStack() as stack:
        try:
            instance = stack.enter_context(get_possibly_temporary_instance_for_cli("pg_migration", logger=hushed))
        except (dg.DagsterInvariantViolationError, dg.DagsterInvalidConfigError, OSError, SQLAlchemyError) as error:
            raise Misused(
                f"Dagster's records can't be opened: {_first_line(error)}. Set DAGSTER_HOME to a folder of yours."
            ) from None
        if not instance.get_settings("telemetry"):
            # Dagster's own commands count how they are used in the user's home, and fail where that can't be written.
            # Whoever wants this can switch it on in dagster.yaml.
            instance._settings = {**(instance._settings or {}), "telemetry": {"enabled": False}}
        yield instance


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
    instance: dg.DagsterInstance, job_name: str, config: Mapping[str, Any], follower: Follower, verbose: bool
) -> Ended:
    """Run a job from begin to end.

    Args:
        instance: where the run is recorded.
        job_name: a job of `pg_migration.definitions`.
        config: the run configuration.
        follower: is told of everything that happens.
        verbose: whether Dagster prints its events.

    Raises:
        Misused: when the environment or the configuration is wrong; no run was made then.
        Declined: when a person was asked, and wanted rows of the target to stay; no run was made then either.
        RecordsLost: when Dagster could not write down what happened.
    """
    _check(config)
    if job_name == MIGRATE:
        config = with_consent(config)
    follower.say(f"{job_name}: asking the source for its tables")
    # Asks the source for its tables, so not before the environment was looked at.
    from pg_migration.definitions import defs

    job = defs.resolve_job_def(job_name)
    wanted = dict(config) if verbose else merged(config, QUIET)
    try:
        dg.validate_run_config(job, wanted)
    except dg.DagsterInvalidConfigError as error:
        raise Misused("\n".join(e.message for e in error.errors)) from None
    # What Dagster writes down of each table before the first step takes minutes where there are thousands.
    follower.say(f"{len(location.load().tables):,} tables; planning the run")
    run_id = str(uuid4())
    instance.add_event_listener(run_id, follower.event)
    try:
        with follower, watching.watched_by(follower):
            result = job.execute_in_process(instance=instance, run_id=run_id, run_config=wanted, raise_on_error=False)
    except SQLAlchemyError as error:
        raise RecordsLost(
            f"Dagster's records can't be written: {_first_line(error)}. They are where DAGSTER_HOME or its "
            f"dagster.yaml says ({os.environ.get('DAGSTER_HOME') or 'else in this folder'}). Make room there and run "
            f"this again: it goes on with what was copied."
        ) from None
    return Ended(run_id, result.success, tuple(_failures(result)))


def _check(config: Mapping[str, Any]) -> None:
    """Refuse what no run can be made with, before there is one."""
    with misuse_told():
        for side in Side:
            settings.endpoint(side)
        settings.reports_folder()
        chosen = ((config.get("resources") or {}).get("migration") or {}).get("config") or {}
        try:
            migration = Migration(**chosen)
        except (ValidationError, TypeError):
            return  # Dagster tells what is wrong, in the terms of the run configuration
        migration.options().check()


def _failures(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    for event in result.get_step_failure_events():
        failed = event.step_failure_data
        told = failed.user_failure_data and failed.user_failure_data.description
        yield f"{event.step_key}: {told or (_message(failed.error) if failed.error else 'failed')}"
    for event in result.all_events:
        if event.is_run_failure and event.job_failure_data.error:
            yield _message(event.job_failure_data.error)


def _message(error: SerializableErrorInfo) -> str:
    return INTERRUPTED if error.cls_name == DagsterExecutionInterruptedError.__name__ else error.message.strip()


def _first_line(error: Exception) -> str:
    """What SQLAlchemy says without the statement and its parameters."""
    return str(error.orig if isinstance(error, DBAPIError) and error.orig else error).partition("\n")[0].rstrip(".")
