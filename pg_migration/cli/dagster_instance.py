"""The Dagster instance that commands work on."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from pg_migration.cli.exit_status import Misused, first_line
from pg_migration.orchestration import dagster_home, environment
from pg_migration.orchestration.dagster_internals.commands import (
    InstanceRef,
    without_telemetry,
)
from pg_migration.orchestration.storage.event_log import LockingEventLog
from pg_migration.orchestration.storage.stock import write_through_ours
from pg_migration.postgres.errors import ConfigurationError


@dataclass(frozen=True)
class Records:
    """Where Dagster keeps its records: an instance, and what people should know of it, if anything."""

    instance: dg.DagsterInstance
    advice: str | None


@contextmanager
def records() -> Iterator[Records]:
    """The instance of DAGSTER_HOME or of the dagster.yaml in this folder, else one of our own.

    A home without a dagster.yaml gets the project's storage: Dagster's own can read what that writes.

    Raises:
        Misused: when there is none, and none can be made.
    """
    named, advice = os.environ.get("DAGSTER_HOME"), None
    with ExitStack() as stack:
        try:
            if not named and not Path(dagster_home.FILE).exists():
                instance, advice = _of_our_own(stack)
            elif named and Path(named).is_dir() and not (Path(named) / dagster_home.FILE).exists():
                instance = stack.enter_context(_with_our_storage(Path(named)))
            else:
                instance = stack.enter_context(_as_dagster_has_it())
        except (dg.DagsterInvariantViolationError, dg.DagsterInvalidConfigError, OSError, SQLAlchemyError) as error:
            raise Misused(
                f"Dagster's records can't be opened: {first_line(error)}. Set DAGSTER_HOME to a folder of yours."
            ) from None
        without_telemetry(instance)
        write_through_ours(instance)
        if not isinstance(instance.event_log_storage, LockingEventLog):
            advice = "dagster.yaml names a storage that takes long for many tables: see docs/deployment.md.\n"
        yield Records(instance, advice)


def _of_our_own(stack: ExitStack) -> tuple[dg.DagsterInstance, str]:
    """One that stays, or one for the time of the command where none can."""
    try:
        home = dagster_home.prepare(environment.default_home())
    except (OSError, ConfigurationError):
        advice = "DAGSTER_HOME is not set, and no records can be kept: Dagster's UI will not show this run.\n"
        return stack.enter_context(_as_dagster_has_it()), advice
    return stack.enter_context(dg.DagsterInstance.from_config(str(home))), "pg_migration ui shows this run.\n"


def _with_our_storage(home: Path) -> dg.DagsterInstance:
    with hushed("dagster"):  # which warns that there is no dagster.yaml
        settings = {"storage": dagster_home.settings(home)["storage"]}
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=settings))


@contextmanager
def hushed(logger: str) -> Iterator[None]:
    """Let a logger warn of nothing, for the length of a block: a command says the same in its own way."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


@contextmanager
def _as_dagster_has_it() -> Iterator[dg.DagsterInstance]:
    """As its own commands have it: where neither DAGSTER_HOME nor a dagster.yaml says otherwise, one for the command.

    Their function for it is not used, since all of Dagster's commands are imported with it.
    """
    if os.environ.get("DAGSTER_HOME"):
        with dg.DagsterInstance.get() as instance:
            yield instance
        return
    here = Path.cwd()
    with (
        TemporaryDirectory(prefix=".tmp_dagster_home_", dir=here) as home,
        dg.DagsterInstance.from_ref(InstanceRef.from_dir(home, config_dir=str(here))) as instance,
    ):
        yield instance
