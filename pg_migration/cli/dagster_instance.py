"""The Dagster instance that commands work on."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from pg_migration.cli.exit_status import Misused, first_line
from pg_migration.orchestration.dagster_internals.commands import (
    get_possibly_temporary_instance_for_cli,
    without_telemetry,
)


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
                f"Dagster's records can't be opened: {first_line(error)}. Set DAGSTER_HOME to a folder of yours."
            ) from None
        without_telemetry(instance)
        yield instance
