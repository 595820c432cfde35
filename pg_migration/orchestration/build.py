"""From a pair of databases to its definitions in Dagster."""

from collections.abc import Iterable

import dagster as dg

from pg_migration.orchestration.assets.foreign_keys import build_foreign_keys
from pg_migration.orchestration.assets.large_objects import build_large_objects
from pg_migration.orchestration.assets.live import build_live
from pg_migration.orchestration.assets.ownership import attended
from pg_migration.orchestration.assets.post_data import build_post_data
from pg_migration.orchestration.assets.replication import build_replication
from pg_migration.orchestration.assets.source_schema import build_source_schema
from pg_migration.orchestration.assets.summary import build_summary
from pg_migration.orchestration.assets.tables import build_tables
from pg_migration.orchestration.assets.target_ddl import build_target_ddl
from pg_migration.orchestration.assets.validation import build_validation
from pg_migration.orchestration.automation.failed_runs import failed_runs
from pg_migration.orchestration.automation.missed_retries import build_missed_retries
from pg_migration.orchestration.automation.planned_ranges import build_planned_ranges
from pg_migration.orchestration.automation.replication_watch import build_replication_watch
from pg_migration.orchestration.automation.schedules import build_schedules
from pg_migration.orchestration.automation.source_rows import build_source_rows_changed
from pg_migration.orchestration.automation.source_structure import build_source_structure_changed
from pg_migration.orchestration.checks.database import build_database_checks, build_known_tables
from pg_migration.orchestration.checks.large_objects import build_large_object_checks
from pg_migration.orchestration.checks.replication import build_replication_checks
from pg_migration.orchestration.checks.tables import build_table_checks
from pg_migration.orchestration.dagster_internals.commands import count_without_failing
from pg_migration.orchestration.jobs.live_move import build_live_moves
from pg_migration.orchestration.jobs.migrate import build_migrate
from pg_migration.orchestration.jobs.plan import build_plan
from pg_migration.orchestration.jobs.preflight import build_preflight
from pg_migration.orchestration.jobs.prune import prune_job, weekly_prune
from pg_migration.orchestration.jobs.repair import build_repair
from pg_migration.orchestration.jobs.swap_back import build_swap_back
from pg_migration.orchestration.jobs.validate import build_validate
from pg_migration.orchestration.location.code_location import Location, load
from pg_migration.orchestration.location.known_pairs import remember
from pg_migration.orchestration.location.names import TARGET_DDL
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.runs.executor import usual_or_one_process
from pg_migration.orchestration.runs.resource import database, resource_of
from pg_migration.orchestration.settings import current
from pg_migration.orchestration.storage.stock import store_batches_at_once
from pg_migration.postgres.catalog import TableListing
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.migration.schemas import EVERY_SCHEMA, map_schemas


def build_migration(
    pair: Pair, tables: Iterable[TableListing] | None = None, large_objects: bool = False
) -> dg.Definitions:
    """The definitions of a pair: assets, checks, jobs, schedules, sensors and resources, all of them with its name.

    What a code location has once (the job `prune_old_runs` and its schedule, the sensor `failed_runs`) is the same
    object for every pair, so the definitions of several pairs can be merged.

    Args:
        pair: the two databases.
        tables: those of the source, as `pg_migration.postgres.catalog.list_tables` finds them. None: the source is
            asked now. When it can't be reached, the last known tables stand in, and the asset `source_schema` says so.
        large_objects: where tables are given, whether the source has large objects.

    Raises:
        ConfigurationError: when the pair can't be used, or writes into a schema that another one in this process writes
            into. A missing variable is no such error: every run says so.
    """
    pair.check()
    if tables is None:
        return build(load(pair))
    known = tuple(tables)
    every = pair.schemas[0].strip() == EVERY_SCHEMA
    schemas = {table.schema: table.schema for table in known} if every else map_schemas(*pair.schemas)
    return build(Location(pair, schemas, known, has_large_objects=large_objects))


def build(location: Location, with_shared: bool = True) -> dg.Definitions:
    """The definitions for the tables of one location.

    Args:
        with_shared: whether it brings what a code location has once.

    Raises:
        ConfigurationError: as `build_migration`.
    """
    store_batches_at_once()
    count_without_failing()
    relations, pair = Relations(location), location.pair
    foreign_keys = build_foreign_keys(relations)
    table_checks = build_table_checks(relations)
    post_data = build_post_data(relations)
    assets = [build_source_schema(relations), build_target_ddl(relations), post_data]
    if relations.listings:
        assets.append(build_tables(relations))
    if foreign_keys is not None:
        assets.append(foreign_keys)
    last = [post_data.key, *(foreign_keys.keys if foreign_keys is not None else ())]
    checks = [build_known_tables(relations), build_database_checks(relations, last)]
    if table_checks is not None:
        checks.append(table_checks)
    if location.has_large_objects:
        large_objects = build_large_objects(relations)
        assets.append(large_objects)
        checks.append(build_large_object_checks(relations))
        last.append(large_objects.key)
    check_keys = [key for check in checks for key in check.check_keys]
    made_late = foreign_keys.keys if foreign_keys is not None else {relations.key(TARGET_DDL)}
    live = build_live(relations, last)
    assets += [live, build_validation(relations, check_keys, made_late), build_summary(relations, [*last, live.key])]
    replication = build_replication(relations)
    remember(location, {replication.key, *(key for made in assets for key in made.keys)})
    base = dg.Definitions(
        assets=[attended(made, pair) for made in assets],
        asset_checks=checks,
        resources={
            pair.named("source"): database(pair, Side.SOURCE),
            pair.named("target"): database(pair, Side.TARGET),
            pair.resource: resource_of(relations),
        },
        executor=usual_or_one_process if pair.name else dg.in_process_executor,
    )
    migrate, validate = build_migrate(base, relations), build_validate(relations, check_keys)
    repair = build_repair(relations, check_keys)
    automation = dg.Definitions(
        # What is added here is in no run that copies or compares: such a run would plan what it can't make.
        assets=[replication],
        asset_checks=[build_replication_checks(relations)],
        jobs=[
            migrate,
            validate,
            repair,
            build_preflight(pair),
            build_plan(pair),
            build_swap_back(relations),
            *build_live_moves(relations),
        ],
        schedules=build_schedules(pair),
        sensors=[
            build_planned_ranges(relations),
            build_replication_watch(relations),
            build_source_structure_changed(relations),
            build_source_rows_changed(relations, migrate),
            build_missed_retries(pair, [migrate, validate]),
        ],
    )
    return dg.Definitions.merge(base, automation, *([_of_the_location()] if with_shared else []))


def _of_the_location() -> dg.Definitions:
    """What there is once, however many pairs there are."""
    return dg.Definitions(
        jobs=[prune_job], schedules=[weekly_prune(current().prune_cron, current().timezone)], sensors=[failed_runs]
    )
