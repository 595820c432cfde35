"""Create foreign keys, last and only between tables that are complete."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pg_migration.postgres.catalog import ForeignKey, Phase, SchemaObject, TableName
from pg_migration.postgres.ddl import Outcome
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps.structure import make, missing_objects


@dataclass(frozen=True)
class ForeignKeysMade:
    """What became of the foreign keys of some schemas of the target.

    ``schemas`` maps source to target names. ``incomplete`` has the target schemas that lack a key. ``done`` is what
    this call tried to make, of the keys that are ``declared``.
    """

    schemas: Mapping[str, str]
    declared: Sequence[ForeignKey]
    done: Sequence[Outcome]
    incomplete: Collection[str]
    problems: Sequence[str]

    def schema_of(self, item: ForeignKey | SchemaObject) -> str:
        """The target schema of the table that a key belongs to."""
        assert item.table is not None, "a foreign key belongs to a table"
        return self.schemas[item.table[0]]


def create_foreign_keys(run: MigrationRun, schemas: Collection[str] | None = None) -> ForeignKeysMade:
    """Create the foreign keys of some schemas, or of all; what could not be created is in the run's failures.

    Args:
        schemas: by their names in the target.

    Raises:
        MigrationError: when the target can't be asked.
    """
    declared = [key for key in run.catalog.foreign_keys if schemas is None or run.live_schemas[key.table[0]] in schemas]
    incomplete = run.call(lambda: _incomplete(run, declared))
    problems = [
        f"foreign key {key.name} of {'.'.join(key.table)} was not created: {incomplete[table]}"
        for key in declared
        for table in dict.fromkeys((key.table, key.referenced))
        if table in incomplete
    ]
    allowed = {k.address for k in declared if k.table not in incomplete and k.referenced not in incomplete}
    objects = [item for item in run.call(lambda: missing_objects(run, Phase.FOREIGN_KEYS)) if item.address in allowed]
    before = len(run.outcomes.ddl)
    run.call(lambda: make(run, objects))
    done = run.outcomes.ddl[before:]
    for problem in problems:
        run.fail(problem)
    failed = [o.object for o in done if not o.made]
    problems += [f"{o.object.identity}: {o.error or o.skipped_because}" for o in done if not o.made]
    without_key = {run.live_schemas[key.table[0]] for key in declared if key.address not in allowed}
    without_key |= {run.live_schemas[item.table[0]] for item in failed if item.table is not None}
    return ForeignKeysMade(run.live_schemas, declared, done, without_key, problems)


def _incomplete(run: MigrationRun, keys: Sequence[ForeignKey]) -> Mapping[TableName, str]:
    """Of the tables that foreign keys connect, those that the ledger does not show as fully loaded, and why."""
    connected = {table for key in keys for table in (key.table, key.referenced)}
    # A partitioned table is complete when its partitions are.
    pieces = [t for t in run.catalog.tables if t.key in connected or t.root in connected]
    complete = run.complete_in_ledger(pieces) if pieces else {}
    found: dict[TableName, list[str]] = {}
    for piece in pieces:
        if piece.key not in complete:
            for table in connected & {piece.key, piece.root}:
                found.setdefault(table, []).append(".".join(run.target_name(piece)))
    return {
        table: f"{', '.join(names)} is not fully loaded in the target; materialize it first"
        for table, names in found.items()
    }
