"""The command ``compare``: the structural differences between source and target. It changes nothing."""

import json
from dataclasses import asdict

import click

from pg_migration.cli.exit_status import FAILED, SUCCEEDED, misuse_told
from pg_migration.cli.help import HelpfulCommand
from pg_migration.cli.streams import put


@click.command(
    cls=HelpfulCommand,
    examples=(
        "pg_migration compare",
        "pg_migration compare --exclude-tables 'audit_*' --no-owners --no-privileges",
        "pg_migration compare --json",
    ),
    help="Print the structural differences between source and target. Reads both catalogs and changes nothing. Ends "
    "with status 0 when they have the same structure, 1 when they differ, 2 when they could not be compared.",
)
@click.option("--owners/--no-owners", default=True, help="Compare owners.  [default: on]")
@click.option(
    "--privileges/--no-privileges", default=True, help="Compare grants and default privileges.  [default: on]"
)
@click.option(
    "--exclude-tables",
    multiple=True,
    help="Patterns (fnmatch) of tables to leave out, as 'table' or 'schema.table'.  [default: none]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
@click.pass_context
def compare(
    context: click.Context, owners: bool, privileges: bool, exclude_tables: tuple[str, ...], as_json: bool
) -> None:
    """Compare, print, end."""
    # Not for a page of help: they take half a second to import.
    from pg_migration.cli.pairs import chosen_pair
    from pg_migration.postgres.migration.comparison.databases import structural_differences
    from pg_migration.postgres.migration.options import Options

    with misuse_told():
        migration = chosen_pair(context).migration(
            Options(owners=owners, privileges=privileges, exclude_tables=list(exclude_tables))
        )
        source, found = structural_differences(migration)
    if as_json:
        told = {"equal": not found, "objects": len(source.objects), "differences": [asdict(d) for d in found]}
        put(json.dumps(told, indent=2) + "\n")
    else:
        many = f"{len(found)} differences" if found else "no difference"
        lines = [*map(str, found), f"{len(source.objects)} objects in the source, {many}"]
        put("".join(f"{line}\n" for line in lines))
    context.exit(FAILED if found else SUCCEEDED)
