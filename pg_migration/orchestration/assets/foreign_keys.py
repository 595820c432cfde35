"""The multi-asset of foreign keys, created last and only between tables that are complete."""

from collections.abc import Iterator

import dagster as dg

from pg_migration.orchestration.location.names import foreign_keys_key
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import sql_block
from pg_migration.orchestration.runs.begin import begin
from pg_migration.orchestration.runs.failures import fail_if, told_plainly
from pg_migration.postgres.migration.foreign_keys import create_foreign_keys
from pg_migration.postgres.migration.run import MigrationRun


def build_foreign_keys(relations: Relations) -> dg.AssetsDefinition | None:
    """One asset for each table that has foreign keys; None when no table has any."""
    specs = relations.foreign_key_specs()
    if not specs:
        return None

    @dg.multi_asset(name="foreign_keys", specs=specs, can_subset=True)
    def foreign_keys(
        context: dg.AssetExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> Iterator[dg.MaterializeResult[None]]:
        with told_plainly(migration, context):
            begin(context, migration)
            made = create_foreign_keys(migration, set(relations.names(context.selected_asset_keys)))
        for table, keys in made.complete.items():
            yield dg.MaterializeResult(
                foreign_keys_key(relations.keys[migration.catalog.target_name(table)]),
                metadata={
                    "foreign_keys": len(keys),
                    "not_valid": sum(not key.valid for key in keys),
                    "ddl": sql_block([o.statement for o in made.done if o.object.table == table]),
                },
            )
        fail_if(made.problems, "these foreign keys could not be created")

    return foreign_keys
