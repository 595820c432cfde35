"""The environment of a command: that of the process, above it what a ``.env`` file in this folder sets, then options.

Dagster's own commands take one in the same way. Reading it here, once for all subcommands, and not where some of them
open Dagster's records, gives those the same databases that need no records, and lasts until the last line is printed.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pg_migration.cli.exit_status import misuse_told
from pg_migration.orchestration.env_file import current_folder, read_env_file


@contextmanager
def local_environment() -> Iterator[None]:
    """What the file sets, for the length of a block.

    Raises:
        Misused: when there is one that can't be read, or the folder is gone.
    """
    with misuse_told():
        values = read_env_file(current_folder())
    with overridden(values):
        yield


@contextmanager
def overridden(values: Mapping[str, str]) -> Iterator[None]:
    """Set some variables for the length of a block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
