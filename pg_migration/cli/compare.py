"""The command ``compare``: the structural differences between source and target. It changes nothing."""

import json
from dataclasses import asdict

import click

from pg_migration.cli.exit_status import FAILED, SUCCEEDED, misuse_told
from pg_migration.cli.streams import put
from pg_migration.orchestration import environment
from pg_migration.postgres.catalog import Catalog, discover, installed_extensions, read_surroundings
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.ddl import Difference, differences
from pg_migration.postgres.migration.schemas import map_schemas


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
        source = connections.open(environment.endpoint(Side.SOURCE))
        target = connections.open(environment.endpoint(Side.TARGET))
        schemas = map_schemas(environment.source_schemas(), environment.target_schemas(), source)
        ours = discover(
            source,
            schemas,
            target_version=target.server_version,
            target_extensions=installed_extensions(target),
            surroundings=read_surroundings(target),
            ownership=ownership,
            privileges=privileges,
        )
        theirs = discover(target, {name: name for name in schemas.values()}, ownership=ownership, privileges=privileges)
        return ours, differences(ours, theirs)


@click.command(
    help="Print the structural differences between source and target. Reads both catalogs and changes nothing. Ends "
    "with status 0 when they have the same structure, 1 when they differ, 2 when they could not be compared.",
)
@click.option("--owners/--no-owners", default=True, help="Compare owners.  [default: on]")
@click.option(
    "--privileges/--no-privileges", default=True, help="Compare grants and default privileges.  [default: on]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
@click.pass_context
def compare(context: click.Context, owners: bool, privileges: bool, as_json: bool) -> None:
    """Compare, print, end."""
    with misuse_told():
        source, found = structural_differences(owners, privileges)
    if as_json:
        told = {"equal": not found, "objects": len(source.objects), "differences": [asdict(d) for d in found]}
        put(json.dumps(told, indent=2) + "\n")
    else:
        many = f"{len(found)} differences" if found else "no difference"
        lines = [*map(str, found), f"{len(source.objects)} objects in the source, {many}"]
        put("".join(f"{line}\n" for line in lines))
    context.exit(FAILED if found else SUCCEEDED)
