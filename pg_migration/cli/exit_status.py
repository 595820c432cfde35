"""How commands end."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

import click

from pg_migration.cli.stopped import NOT_BEGUN, STOPPED
from pg_migration.cli.streams import harmless
from pg_migration.postgres.errors import MigrationError

# There is one definition of success, and Dagster has it: a run succeeds when every step did, the summary among them,
# and every blocking check passed.
SUCCEEDED = 0
FAILED = 1
MISUSED = 2  # as click ends what it can't parse


class _Told(click.ClickException):
    """Ends a command with its message, or without where that can't be printed."""

    def show(self, file: IO[Any] | None = None) -> None:
        with suppress(OSError, ValueError):
            super().show(file)


class Misused(_Told):
    """A command that can't be carried out as it was given; its message says why."""

    exit_code = MISUSED


class Stopped(_Told):
    """A person has ended the command before it did anything."""

    exit_code = STOPPED

    def __init__(self) -> None:
        super().__init__(NOT_BEGUN)

    def show(self, file: IO[Any] | None = None) -> None:
        with suppress(OSError, ValueError):
            click.echo(self.message, file or sys.stderr)


class RecordsLost(_Told):
    """Dagster could not write down what happened; what became of the databases is not known."""

    exit_code = FAILED


@contextmanager
def misuse_told() -> Iterator[None]:
    """Turn errors that a person can mend into the message that the command ends with.

    Raises:
        Misused: for every `MigrationError`.
    """
    try:
        yield
    except MigrationError as error:
        raise Misused(str(error)) from None


def status_of(command: click.Command, arguments: Sequence[str] | None, name: str) -> int:
    """Run a command as a program of this name; its exit status."""
    try:
        with harmless():
            command.main(args=arguments, prog_name=name)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED
    return SUCCEEDED


def first_line(error: Exception) -> str:
    """What SQLAlchemy says without the statement and its parameters: its errors have what a driver raised."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0].rstrip(".")
