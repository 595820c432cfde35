"""The asset ``post_data``: what is made after the rows, from views to privileges."""

import dagster as dg

from pg_migration.orchestration.location.names import AFTER_ROWS, POST_DATA, TARGET_DDL
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import sql_block
from pg_migration.orchestration.runs.begin import begin
from pg_migration.orchestration.runs.failures import as_step_failure
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.migration.steps.structure import make_post_data


def build_post_data(relations: Relations) -> dg.AssetsDefinition:
    """The asset of what is made after the rows."""

    @dg.asset(
        key=relations.key(POST_DATA),
        group_name=relations.pair.named(AFTER_ROWS),
        required_resource_keys={relations.pair.resource},
        kinds={"postgres"},
        # Not of the tables alone: a step is skipped when everything before it was, as excluded tables are.
        deps=[dg.AssetDep(relations.key(TARGET_DDL)), *relations.every_table()],
        description="Views, materialized views, rules, triggers, policies, comments and privileges: what pg_dump calls "
        "the post-data section, without indexes and foreign keys.",
    )
    def post_data(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        migration = migration_of(context, relations.pair)
        with as_step_failure(migration, context):
            begin(context, migration, relations)
            made = make_post_data(migration)
        return dg.MaterializeResult(metadata={"ddl": sql_block(made.statements), "created": made.created})

    return post_data
