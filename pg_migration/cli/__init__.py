"""The command ``pg_migration``: the jobs, and what they left behind, for people and scripts in a terminal."""

import sys

from pg_migration.cli.stopped import NOT_BEGUN, STOPPED


def main() -> None:
    """The program ``pg_migration``. What it imports takes a moment, in which a person may already stop it."""
    try:
        from pg_migration.cli.commands import main as program
    except KeyboardInterrupt:
        sys.stderr.write(f"{NOT_BEGUN}\n")
        sys.exit(STOPPED)
    program()
