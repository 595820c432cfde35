"""The command ``prepare``, and what `pg_migration run` does before the run: make the target database and its roles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from pg_migration.cli.exit_status import FAILED, SUCCEEDED
from pg_migration.cli.pairs import chosen_pair, every_pair, is_about_all
from pg_migration.cli.streams import tell
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.databases.server_databases import make_like
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.migration.roles import make_roles
from pg_migration.reporting.formats import on_one_line


@dataclass(frozen=True)
class Prepared:
    """How far a pair's target is ready: ``impossible`` says why no run can begin, ``refused`` what else is missing."""

    impossible: str | None = None
    refused: tuple[str, ...] = ()


def prepare(pair: Pair) -> Prepared:
    """Make what the pair wants to be made and the target lacks, and say so. What is there stays as it is."""
    try:
        if pair.create_database:
            made = make_like(pair.endpoint(Side.SOURCE), pair.endpoint(Side.TARGET))
            _say(pair, [f"made with {made}"] if made else [])
        if not pair.bring_roles:
            return Prepared()
        plan, done = make_roles(pair.migration(pair.options))
    except MigrationError as error:
        return Prepared(impossible=str(error))
    refused = tuple(f"{one.statement.what} was refused: {one.error}" for one in done if one.error is not None)
    _say(pair, plan.notes)
    _say(pair, (f"made: {one.statement.what}" for one in done if one.error is None))
    _say(pair, refused)
    return Prepared(refused=refused)


def prepare_chosen(context: click.Context) -> int:
    """Prepare one pair or all, as a command line says; the exit status of the command."""
    pairs = list(every_pair(context).values()) if is_about_all(context) else [chosen_pair(context)]
    if not all(pair.name for pair in pairs):
        raise click.UsageError("this is about pairs of a project: give --pair or --all")
    done = [prepare(pair) for pair in pairs]
    for pair, found in zip(pairs, done, strict=True):
        _say(pair, [found.impossible] if found.impossible is not None else [])
    return FAILED if any(found.impossible is not None or found.refused for found in done) else SUCCEEDED


def _say(pair: Pair, lines: Sequence[str] | Iterator[str]) -> None:
    for line in lines:
        tell(f"{pair.name + ': ' if pair.name else ''}{on_one_line(line)}")
