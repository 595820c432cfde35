"""The command ``pg_migration``: the jobs, and what they left behind, for people and scripts in a terminal."""

import sys


def main() -> None:
    """The program ``pg_migration``. What it imports takes a moment, in which a person may already stop it."""
    try:
        from pg_migration.cli.commands import main as program
    except KeyboardInterrupt:
        sys.stderr.write("stopped before a run began; nothing was changed\n")
        sys.exit(130)
    program()
