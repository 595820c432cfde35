"""The Dagster instance that commands work on."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg
from dagster._cli.utils import get_possibly_temporary_instance_for_cli
from sqlalchemy.exc import SQLAlchemyError

from pg_migration.cli.exit_status import Misused, _first_line


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
