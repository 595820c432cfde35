"""How commands end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from pg_migration.postgres.errors import MigrationError

# There is one definition of success, and Dagster has it: a run succeeds when every step did, the summary among them,
# and every blocking check passed.
SUCCEEDED = 0
FAILED = 1
MISUSED = 2  # as click ends what it can't parse


class Misused(click.ClickException):
    """A command that can't be carried out as it was given; its message says why."""

    exit_code = MISUSED


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
        command.main(args=arguments, prog_name=name)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED
    return SUCCEEDED
