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
from pydantic import ValidationError

from pg_migration.cli.ending import Misused, misuse_told
from pg_migration.cli.following import Follower
from pg_migration.cli.options import merged
from pg_migration.orchestration import settings, watching
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
        except (dg.DagsterInvariantViolationError, dg.DagsterInvalidConfigError, OSError) as error:
            raise Misused(
                f"Dagster's records can't be opened: {error}. Set DAGSTER_HOME to a folder of yours."
            ) from None
        yield instance


@contextmanager
def terminal_beside_steps() -> Iterator[TextIO]:
    """This process's error output as it is now. Dagster captures that of steps in files, where bars have no place."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):  # it is no file
        yield sys.stderr
        return
    with os.fdopen(descriptor, "w", encoding=sys.stderr.encoding, errors="replace") as stream:
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
    """
    _check(config)
    # Asks the source for its tables, so not before the environment was looked at.
    from pg_migration.definitions import defs

    job = defs.resolve_job_def(job_name)
    wanted = dict(config) if verbose else merged(config, QUIET)
    try:
        dg.validate_run_config(job, wanted)
    except dg.DagsterInvalidConfigError as error:
        raise Misused("\n".join(e.message for e in error.errors)) from None
    run_id = str(uuid4())
    instance.add_event_listener(run_id, follower.event)
    with follower, watching.watched_by(follower.load):
        result = job.execute_in_process(instance=instance, run_id=run_id, run_config=wanted, raise_on_error=False)
    return Ended(run_id, result.success, tuple(_failures(result)))


def _check(config: Mapping[str, Any]) -> None:
    """Refuse what no run can be made with, before there is one."""
    with misuse_told():
        for side in Side:
            settings.endpoint(side)
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
        yield f"{event.step_key}: {told or (failed.error.message.strip() if failed.error else 'failed')}"
    for event in result.all_events:
        if event.is_run_failure and event.job_failure_data.error:
            yield event.job_failure_data.error.message.strip()
