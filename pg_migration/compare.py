"""``python -m pg_migration.compare`` is the command ``pg_migration compare``: status 0 where source and target have the
same structure, 1 when they differ, 2 when they could not be compared.
"""

import sys
from collections.abc import Sequence

from pg_migration.cli.compare import compare
from pg_migration.cli.exit_status import status_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return status_of(compare, arguments, "python -m pg_migration.compare")


if __name__ == "__main__":
    sys.exit(main())
