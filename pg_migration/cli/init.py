"""The command ``init``: a Dagster project for one pair of databases, or for every database of a server."""

import click

from pg_migration.cli.exit_status import FAILED, Misused, misuse_told
from pg_migration.cli.help import HelpfulCommand
from pg_migration.cli.streams import put, tell


@click.command(
    cls=HelpfulCommand,
    examples=(
        "pg_migration init --cluster postgresql://reader@old postgresql://mig@new",
        "pg_migration init postgresql://reader@old/shop postgresql://mig@new/shop",
    ),
    help="Write a Dagster project into this folder: a pair for the database of SOURCE and TARGET, with --cluster for "
    "every database of these servers but templates. Then `pg_migration run --all` moves them: it makes the databases "
    "and roles that the target lacks, and copies several databases at once. The URLs go into a file .env that you "
    "alone can read. Without SOURCE and TARGET those of PG_MIGRATION_SOURCE_URL and PG_MIGRATION_TARGET_URL are taken. "
    "No server is changed.",
)
@click.argument("source", required=False)
@click.argument("target", required=False)
@click.option("--cluster", is_flag=True, help="Every database of the source's server.")
@click.pass_context
def init(context: click.Context, source: str | None, target: str | None, cluster: bool) -> None:
    """Ask which databases there are, write, end."""
    from pg_migration.orchestration import environment
    from pg_migration.orchestration.env_file import current_folder
    from pg_migration.orchestration.new_project import write_project
    from pg_migration.postgres.connection.endpoint import Endpoint, Side
    from pg_migration.postgres.databases.server_databases import databases_of
    from pg_migration.postgres.figures import counted

    if source is not None and target is None:
        raise click.UsageError("give both SOURCE and TARGET, or neither")
    with misuse_told():
        pair = environment.pair()
        old, new = (
            Endpoint.parse(side, url, side.name) if url is not None else pair.endpoint(side)
            for side, url in ((Side.SOURCE, source), (Side.TARGET, target))
        )
        found = databases_of(old) if cluster else []
        closed = [database.name for database in found if not database.may_connect]
        names = [database.name for database in found if database.may_connect] if cluster else [old.database]
        if not names:
            raise Misused("the server of the source has no database that this role may connect to, but templates")
        try:
            written = write_project(current_folder(), old, new, names)
        except OSError as error:
            raise Misused(f"the project can't be written: {error}") from None
    put(
        f"{written.pairs_file}: {counted(len(names), 'pair')}, {', '.join(written.names.values())}\n"
        f"{written.env_file}: their URLs, for you alone\n"
        f"Look through the pairs. `pg_migration prepare --all` then makes databases and roles, `pg_migration preflight "
        f"--all` looks whether all can go ahead, `pg_migration run --all` does all of it.\n"
    )
    for name in closed:
        tell(f"left out: database {name}, to which the role of the source may not connect")
    context.exit(FAILED if closed else 0)
