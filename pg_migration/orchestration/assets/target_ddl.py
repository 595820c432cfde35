"""The asset ``target_ddl``: everything in the target that rows need."""

import dagster as dg

from pg_migration.orchestration.location.names import BEFORE_ROWS, SOURCE_SCHEMA, TARGET_DDL
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import sql_block
from pg_migration.orchestration.runs.begin import begin
from pg_migration.orchestration.runs.failures import as_step_failure
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.migration.steps.structure import make_target


def build_target_ddl(relations: Relations) -> dg.AssetsDefinition:
    """The asset of schemas, types, functions, sequences and empty tables in the target."""

    @dg.asset(
        key=relations.key(TARGET_DDL),
        group_name=relations.pair.named(BEFORE_ROWS),
        required_resource_keys={relations.pair.resource},
        kinds={"postgres"},
        deps=[relations.key(SOURCE_SCHEMA)],
        description="Schemas, types, functions, sequences and tables in the target. A table that is there is kept when "
        "its columns are the same; when they differ, the run stops before it changes anything.",
        metadata={"target": relations.pair.place(Side.TARGET)},
    )
    def target_ddl(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        migration = migration_of(context, relations.pair)
        with as_step_failure(migration, context):
            begin(context, migration, relations)
            made = make_target(migration)
        return dg.MaterializeResult(
            metadata={
                "ddl": sql_block(made.statements),
                "dropped": made.dropped,
                "created": made.created,
                "kept": made.kept,
                "extension_rows": made.extension_rows,
            }
        )

    return target_ddl
