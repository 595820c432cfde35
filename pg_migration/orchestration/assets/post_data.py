"""The asset ``post_data``: what is made after the rows, from views to privileges."""

import dagster as dg

from pg_migration.orchestration.assets.source_schema import _with_refreshes, return_strangers
from pg_migration.orchestration.location.names import AFTER_ROWS
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import sql_block
from pg_migration.orchestration.runs.begin import begin
from pg_migration.orchestration.runs.failures import tell, told_plainly
from pg_migration.postgres.catalog import Phase
from pg_migration.postgres.ddl import suspend
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.structure import lacking, make


def build_post_data(relations: Relations) -> dg.AssetsDefinition:
    """The asset of what is made after the rows."""

    @dg.asset(
        group_name=AFTER_ROWS,
        kinds={"postgres"},
        # Not of the tables alone: a step is skipped when everything before it was, as excluded tables are.
        deps=[dg.AssetDep("target_ddl"), *relations.every_table()],
        description="Views, materialized views, rules, triggers, policies, comments and privileges: what pg_dump calls "
        "the post-data section, without indexes and foreign keys.",
    )
    def post_data(
        context: dg.AssetExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> dg.MaterializeResult[None]:
        with told_plainly(migration.outcomes.failures):
            begin(context, migration)
            # First: a trigger that is still set aside looks like one that differs from the source's.
            left = migration.call(lambda: suspend.restore(migration.target_connection, suspend.EVERYTHING))
            wanted = _with_refreshes(migration.catalog, lacking(migration, Phase.POST_DATA))
            statements = migration.call(lambda: make(context, migration, wanted))
            migration.call(migration.note_all_brought)
            if migration.dropped and not migration.options.drop_existing_tables:
                migration.outcomes.notes += migration.call(lambda: return_strangers(migration))
        for failure in left:
            tell(context, migration, str(failure))
        return dg.MaterializeResult(metadata={"ddl": sql_block(statements), "created": len(wanted)})

    return post_data
