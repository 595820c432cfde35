"""The multi-asset of foreign keys, created last and only between tables that are complete."""

from collections.abc import Iterator

import dagster as dg

from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import Figure, sql_block
from pg_migration.orchestration.runs.begin import begin
from pg_migration.orchestration.runs.failures import as_step_failure, fail_if
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.migration.steps.foreign_keys import ForeignKeysMade, create_foreign_keys


def build_foreign_keys(relations: Relations) -> dg.AssetsDefinition | None:
    """One asset for each schema that has foreign keys; None when there are none."""
    specs = relations.foreign_key_specs()
    if not specs:
        return None

    @dg.multi_asset(
        name=relations.pair.named("foreign_keys"),
        specs=specs,
        can_subset=True,
        required_resource_keys={relations.pair.resource},
    )
    def foreign_keys(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        migration = migration_of(context, relations.pair)
        with as_step_failure(migration, context):
            begin(context, migration, relations)
            selected = {key: relations.foreign_keys[key] for key in context.selected_asset_keys}
            made = create_foreign_keys(migration, set(selected.values()))
        for key, schema in selected.items():
            if schema not in made.incomplete:
                yield dg.MaterializeResult(key, metadata=_metadata(made, schema))
        fail_if(made.problems, "these foreign keys could not be created")

    return foreign_keys


def _metadata(made: ForeignKeysMade, schema: str) -> dict[str, Figure]:
    keys = [key for key in made.declared if made.schema_of(key) == schema]
    ddl = [outcome.statement for outcome in made.done if made.schema_of(outcome.object) == schema]
    return {"foreign_keys": len(keys), "not_valid": sum(not key.valid for key in keys), "ddl": sql_block(ddl)}
