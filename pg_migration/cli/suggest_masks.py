"""The command ``suggest-masks``: a transform to begin with."""

import uuid
from pathlib import Path

import click

from pg_migration.cli.exit_status import SUCCEEDED, Misused, misuse_told
from pg_migration.cli.help import HelpfulCommand
from pg_migration.cli.streams import put


@click.command(
    "suggest-masks",
    cls=HelpfulCommand,
    examples=("pg_migration suggest-masks", "pg_migration suggest-masks --output transform.yaml"),
    help="Print a transform that masks the columns which look personal, by their names and by a sample of the source's "
    "values, or write it to a file. Look at each line of it, then have PG_MIGRATION_TRANSFORM name the file. What a "
    "transform that is set already masks or ignores is left out. Nothing is written to a database, and no value is "
    "shown.",
)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="The file to write; it must not exist."
)
@click.pass_context
def suggest_masks(context: click.Context, output: Path | None) -> None:
    """Print or write it, and end."""
    from pg_migration.cli.pairs import chosen_pair
    from pg_migration.postgres.migration.run import MigrationRun
    from pg_migration.postgres.migration.suggestions import suggest_masks as suggest

    with misuse_told():
        pair = chosen_pair(context)
        run = MigrationRun(str(uuid.uuid4()), pair.options, lambda: pair.migration(pair.options))
        try:
            text = run.call(lambda: suggest(run))
        finally:
            run.close()
    if output is None:
        put(text)
    else:
        try:
            with output.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise Misused(f"{output} can't be written: {error.strerror}") from None
    context.exit(SUCCEEDED)
