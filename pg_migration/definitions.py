"""The one entry point of Dagster: everything that the code location offers."""

import gc

import dagster as dg

from pg_migration.orchestration import environment
from pg_migration.orchestration.assets.foreign_keys import build_foreign_keys
from pg_migration.orchestration.assets.ownership import attended
from pg_migration.orchestration.assets.post_data import build_post_data
from pg_migration.orchestration.assets.source_schema import build_source_schema
from pg_migration.orchestration.assets.summary import build_summary
from pg_migration.orchestration.assets.tables import build_tables
from pg_migration.orchestration.assets.target_ddl import build_target_ddl
from pg_migration.orchestration.assets.validation import build_validation
from pg_migration.orchestration.automation.failed_runs import build_failed_runs
from pg_migration.orchestration.automation.missed_retries import build_missed_retries
from pg_migration.orchestration.automation.planned_ranges import build_planned_ranges
from pg_migration.orchestration.automation.schedules import build_schedules
from pg_migration.orchestration.automation.source_rows import build_source_rows_changed
from pg_migration.orchestration.automation.source_structure import build_source_structure_changed
from pg_migration.orchestration.checks.database import build_database_checks, build_known_tables
from pg_migration.orchestration.checks.tables import build_table_checks
from pg_migration.orchestration.jobs.migrate import build_migrate
from pg_migration.orchestration.jobs.plan import plan_job
from pg_migration.orchestration.jobs.preflight import preflight_job
from pg_migration.orchestration.jobs.prune import prune_job
from pg_migration.orchestration.jobs.repair import build_repair
from pg_migration.orchestration.jobs.validate import build_validate
from pg_migration.orchestration.location.code_location import Location, load
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.runs.begin import TARGET_DDL
from pg_migration.orchestration.runs.resource import MigrationResource, database
from pg_migration.orchestration.storage.stock import store_batches_at_once
from pg_migration.postgres.connection.endpoint import Side


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
    checks = [build_known_tables(relations), build_database_checks(last)]
    if table_checks is not None:
        checks.append(table_checks)
    check_keys = [key for check in checks for key in check.check_keys]
    made_late = foreign_keys.keys if foreign_keys is not None else {TARGET_DDL}
    assets.append(build_validation(check_keys, made_late))
    base = dg.Definitions(
        assets=[attended(made) for made in (*assets, build_summary(relations, last))],
        asset_checks=checks,
        resources={
            "source": database(Side.SOURCE, environment.SOURCE_URL),
            "target": database(Side.TARGET, environment.TARGET_URL),
            "migration": MigrationResource(),
        },
        executor=dg.in_process_executor,
    )
    migrate, validate = build_migrate(base), build_validate()
    automation = dg.Definitions(
        jobs=[migrate, validate, build_repair(relations, check_keys), preflight_job, plan_job, prune_job],
        schedules=build_schedules(),
        sensors=[
            build_planned_ranges(relations),
            build_source_structure_changed(relations),
            build_source_rows_changed(relations, migrate),
            build_failed_runs(),
            build_missed_retries([migrate, validate]),
        ],
    )
    return dg.Definitions.merge(base, automation)


store_batches_at_once()
defs = build(load())
gc.freeze()  # it stays, and is large where there are many tables
