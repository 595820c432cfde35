"""Create foreign keys, last and only between tables that are complete."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pg_migration.postgres.catalog import ForeignKey, Phase, TableName
from pg_migration.postgres.ddl import Outcome
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.structure import lacking, make


@dataclass(frozen=True)
class ForeignKeysMade:
    """What became of the foreign keys of some tables, whose names are the source's.

    ``complete`` has every key of each table that has all of its keys; ``done`` what this call tried to make.
    """

    complete: Mapping[TableName, Sequence[ForeignKey]]
    done: Sequence[Outcome]
    problems: Sequence[str]


def create_foreign_keys(run: MigrationRun, tables: Collection[TableName] | None = None) -> ForeignKeysMade:
    """Create the foreign keys of some tables, or of all; what could not be created is in the run's failures.

    Args:
        tables: by their names in the target.

    Raises:
        MigrationError: when the target can't be asked.
    """
    declared = [
        key for key in run.catalog.foreign_keys if tables is None or run.catalog.target_name(key.table) in tables
    ]
    incomplete = run.call(lambda: _incomplete(run, declared))
    problems = [
        f"foreign key {key.name} of {'.'.join(key.table)} was not created: {incomplete[table]}"
        for key in declared
        for table in dict.fromkeys((key.table, key.referenced))
        if table in incomplete
    ]
    allowed = {k.address for k in declared if k.table not in incomplete and k.referenced not in incomplete}
    objects = [item for item in run.call(lambda: lacking(run, Phase.FOREIGN_KEYS)) if item.address in allowed]
    before = len(run.outcomes.ddl)
    run.call(lambda: make(run, objects))
    done = run.outcomes.ddl[before:]
    for problem in problems:
        run.fail(problem)
    failed = {outcome.object.table for outcome in done if not outcome.made}
    failed |= {key.table for key in declared if key.address not in allowed}
    complete = sorted({key.table for key in declared} - failed)
    problems += [f"{o.object.identity}: {o.error or o.skipped_because}" for o in done if not o.made]
    return ForeignKeysMade({t: [key for key in declared if key.table == t] for t in complete}, done, problems)


def _incomplete(run: MigrationRun, keys: Sequence[ForeignKey]) -> Mapping[TableName, str]:
    """Of the tables that foreign keys connect, those that the ledger does not show as fully loaded, and why."""
    connected = {table for key in keys for table in (key.table, key.referenced)}
    # A partitioned table is complete when its partitions are.
    pieces = [t for t in run.catalog.tables if t.key in connected or t.root in connected]
    complete = run.complete_in_ledger(pieces)
    found: dict[TableName, list[str]] = {}
    for piece in pieces:
        if piece.key not in complete:
            for table in connected & {piece.key, piece.root}:
                found.setdefault(table, []).append(".".join(run.target_name(piece)))
    return {
        table: f"{', '.join(names)} is not fully loaded in the target; materialize it first"
        for table, names in found.items()
    }
