"""Print the structural differences between source and target, as PG_MIGRATION_SOURCE_URL and ..._TARGET_URL name them.

``python -m pg_migration.compare`` reads both catalogs, changes nothing, and ends with status 0 when source and target
have the same structure, 1 when they differ, 2 when they could not be compared.
"""

import argparse
import sys
from collections.abc import Sequence

from pg_migration.orchestration import settings
from pg_migration.postgres.catalog import Catalog, discover, installed_extensions
from pg_migration.postgres.ddl import Difference, differences
from pg_migration.postgres.endpoint import Side
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.schemas import map_schemas
from pg_migration.postgres.session import Connections


def structural_differences(ownership: bool = True, privileges: bool = True) -> tuple[Catalog, list[Difference]]:
    """Discover both databases as the environment names them, and compare.

    Args:
        ownership: whether to compare owners.
        privileges: whether to compare grants and default privileges.

    Returns:
        The source's catalog, and the differences.

    Raises:
        MigrationError: when a setting is wrong, a server can't be reached or a schema does not exist.
    """
    with Connections("pg_migration compare") as connections:
        source = connections.open(settings.endpoint(Side.SOURCE))
        target = connections.open(settings.endpoint(Side.TARGET))
        schemas = map_schemas(settings.source_schemas(), settings.target_schemas(), source)
        ours = discover(
            source,
            schemas,
            target_version=target.server_version,
            target_extensions=installed_extensions(target),
            ownership=ownership,
            privileges=privileges,
        )
        theirs = discover(target, {name: name for name in schemas.values()}, ownership=ownership, privileges=privileges)
        return ours, differences(ours, theirs)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pg_migration.compare", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--no-owners", action="store_true", help="don't compare owners")
    parser.add_argument("--no-privileges", action="store_true", help="don't compare grants and default privileges")
    chosen = parser.parse_args(arguments)
    try:
        source, found = structural_differences(not chosen.no_owners, not chosen.no_privileges)
    except MigrationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    told = f"{len(found)} differences" if found else "no difference"
    sys.stdout.write("".join(f"{line}\n" for line in [*found, f"{len(source.objects)} objects in the source, {told}"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
