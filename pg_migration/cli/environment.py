"""The environment of a command: that of the process, and above it what a ``.env`` file in this folder sets.

Dagster's own commands take one in the same way. Reading it here, once for all subcommands, and not where some of them
open Dagster's records, gives those the same databases that need no records, and lasts until the last line is printed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotenv import dotenv_values

from pg_migration.cli.ending import Misused

FILE = ".env"


@contextmanager
def local_environment() -> Iterator[None]:
    """What the file sets, for the length of a block.

    Raises:
        Misused: when there is one that can't be read.
    """
    before: dict[str, str | None] = {}
    try:
        for name, value in dotenv_values(Path.cwd() / FILE).items():
            if value is not None:
                before[name] = os.environ.get(name)
                os.environ[name] = value
    except (OSError, ValueError) as error:
        raise Misused(f"{Path.cwd() / FILE} can't be used: {error}") from None
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
