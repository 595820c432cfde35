"""The one entry point of Dagster: everything that the code location offers."""

import dagster as dg

from pg_migration.orchestration import settings
from pg_migration.orchestration.attendance import attended
from pg_migration.orchestration.database_checks import build_database_checks, build_known_tables
from pg_migration.orchestration.foreign_keys import build_foreign_keys
from pg_migration.orchestration.jobs import build_migrate, build_validate
from pg_migration.orchestration.location import Location, load
from pg_migration.orchestration.notifications import build_failed_runs
from pg_migration.orchestration.planning import plan_job
from pg_migration.orchestration.preflight import preflight_job
from pg_migration.orchestration.pruning import prune_job
from pg_migration.orchestration.relations import Relations
from pg_migration.orchestration.repair import build_repair
from pg_migration.orchestration.resources import Database, Migration
from pg_migration.orchestration.schedules import build_schedules
from pg_migration.orchestration.sensors import (
    build_planned_ranges,
    build_source_rows_changed,
    build_source_structure_changed,
)
from pg_migration.orchestration.structure import build_post_data, build_source_schema, build_target_ddl
from pg_migration.orchestration.summary import build_summary
from pg_migration.orchestration.table_checks import build_table_checks
from pg_migration.orchestration.tables import build_tables


def build(location: Location) -> dg.Definitions:
    """The definitions for the tables of one location."""
    relations = Relations(location)
    foreign_keys = build_foreign_keys(relations)
    table_checks = build_table_checks(relations)
    post_data = build_post_data(relations)
    assets = [build_source_schema(location), build_target_ddl(), post_data]
    if relations.listings:
        assets.append(build_tables(relations))
    if foreign_keys is not None:
        assets.append(foreign_keys)
    last = [post_data.key, *(foreign_keys.keys if foreign_keys is not None else ())]
    base = dg.Definitions(
        assets=[attended(made) for made in (*assets, build_summary(relations, last))],
        asset_checks=[
            build_known_tables(relations),
            build_database_checks(last),
            *([table_checks] if table_checks is not None else []),
        ],
        resources={
            "source": Database(url_variable=settings.SOURCE_URL, schema_variable=settings.SOURCE_SCHEMA),
            "target": Database(url_variable=settings.TARGET_URL, schema_variable=settings.TARGET_SCHEMA),
            "migration": Migration(),
        },
        executor=dg.in_process_executor,
    )
    migrate = build_migrate(base)
    automation = dg.Definitions(
        jobs=[migrate, build_validate(), build_repair(relations), preflight_job, plan_job, prune_job],
        schedules=build_schedules(),
        sensors=[
            build_planned_ranges(relations),
            build_source_structure_changed(relations),
            build_source_rows_changed(relations, migrate),
            build_failed_runs(),
        ],
    )
    return dg.Definitions.merge(base, automation)


defs = build(load())
