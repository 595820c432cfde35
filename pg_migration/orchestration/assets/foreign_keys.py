"""The multi-asset of foreign keys, created last and only between tables that are complete."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from pg_migration.orchestration.location.names import foreign_keys_key
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import sql_block
from pg_migration.orchestration.runs.begin import begin
from pg_migration.orchestration.runs.failures import fail_if, tell, told_plainly
from pg_migration.postgres.catalog import ForeignKey, Phase, TableName
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.structure import lacking, make


def build_foreign_keys(relations: Relations) -> dg.AssetsDefinition | None:
    """One asset for each table that has foreign keys; None when no table has any."""
    specs = relations.foreign_key_specs()
    if not specs:
        return None

    @dg.multi_asset(name="foreign_keys", specs=specs, can_subset=True)
    def foreign_keys(
        context: dg.AssetExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> Iterator[dg.MaterializeResult[None]]:
        with told_plainly(migration.outcomes.failures):
            begin(context, migration)
            names = relations.names(context.selected_asset_keys)
            yield from _ForeignKeysStep(context, migration, relations).events(names)

    return foreign_keys


class _ForeignKeysStep:
    def __init__(self, context: dg.AssetExecutionContext, migration: MigrationRun, relations: Relations) -> None:
        self._context = context
        self._migration = migration
        self._relations = relations

    def events(self, names: Sequence[TableName]) -> Iterator[dg.MaterializeResult[None]]:
        """Create the foreign keys of some tables; fail at the end when any could not be."""
        run, wanted = self._migration, set(names)
        declared = [key for key in run.catalog.foreign_keys if run.catalog.target_name(key.table) in wanted]
        incomplete = run.call(lambda: self._incomplete(declared))
        problems = [
            f"foreign key {key.name} of {'.'.join(key.table)} was not created: {incomplete[table]}"
            for key in declared
            for table in dict.fromkeys((key.table, key.referenced))
            if table in incomplete
        ]
        allowed = {k.address for k in declared if k.table not in incomplete and k.referenced not in incomplete}
        objects = [item for item in run.call(lambda: lacking(run, Phase.FOREIGN_KEYS)) if item.address in allowed]
        before = len(run.outcomes.ddl)
        run.call(lambda: make(self._context, run, objects))
        done = run.outcomes.ddl[before:]
        for problem in problems:
            tell(self._context, run, problem)
        failed = {outcome.object.table for outcome in done if not outcome.made} | {
            key.table for key in declared if key.address not in allowed
        }
        for table in sorted({key.table for key in declared} - failed):
            mine = [key for key in declared if key.table == table]
            yield dg.MaterializeResult(
                foreign_keys_key(self._relations.keys[run.catalog.target_name(table)]),
                metadata={
                    "foreign_keys": len(mine),
                    "not_valid": sum(not key.valid for key in mine),
                    "ddl": sql_block([o.statement for o in done if o.object.table == table]),
                },
            )
        problems += [f"{o.object.identity}: {o.error or o.skipped_because}" for o in done if not o.made]
        fail_if(problems, "these foreign keys could not be created")

    def _incomplete(self, keys: Sequence[ForeignKey]) -> Mapping[TableName, str]:
        """Of the tables that foreign keys connect, those that the ledger does not show as fully loaded, and why."""
        run, connected = self._migration, {table for key in keys for table in (key.table, key.referenced)}
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
