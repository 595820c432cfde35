"""What runs by itself: schedules, and the sensor that keeps key ranges registered."""

import dagster as dg

from pg_migration.orchestration import settings
from pg_migration.orchestration.jobs import MIGRATE, VALIDATE
from pg_migration.orchestration.naming import partitions_definition
from pg_migration.orchestration.relations import Relations
from pg_migration.postgres.catalog import discover
from pg_migration.postgres.endpoint import Side
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.ledger import TableName
from pg_migration.postgres.plan import LoadSettings, Planner
from pg_migration.postgres.session import Connections, execute

PLAN_INTERVAL_SECONDS = 60


def build_schedules() -> list[dg.ScheduleDefinition]:
    """Nightly ``migrate`` and hourly ``validate``, both off until somebody switches them on."""
    return [
        dg.ScheduleDefinition(
            name="nightly_migrate",
            job_name=MIGRATE,
            cron_schedule=settings.migrate_cron(),
            description="Copies everything again. Its page in the UI can also start the job once: Preview tick result.",
        ),
        dg.ScheduleDefinition(
            name="hourly_validate",
            job_name=VALIDATE,
            cron_schedule=settings.validate_cron(),
            description="Compares source and target as they are.",
        ),
    ]


def build_planned_ranges(relations: Relations) -> dg.SensorDefinition:
    """The sensor that registers key ranges of tables that have none, so that the UI can offer them."""

    @dg.sensor(
        name="planned_ranges",
        minimum_interval_seconds=PLAN_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Registers the key ranges of tables that have no partitions yet: without them a backfill from the "
        "asset graph would find nothing to copy.",
    )
    def planned_ranges(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        wanted = {
            name
            for name in relations.listings
            if not context.instance.get_dynamic_partitions(str(partitions_definition(name).name))
        }
        if not wanted:
            return dg.SkipReason("every table has its ranges")
        try:
            planned = _plan(relations, wanted)
        except MigrationError as error:
            return dg.SkipReason(str(error))
        requests = [partitions_definition(name).build_add_request(keys) for name, keys in planned.items()]
        return dg.SensorResult(dynamic_partitions_requests=requests)

    return planned_ranges


def _plan(relations: Relations, names: set[TableName]) -> dict[TableName, list[str]]:
    """Partition keys of some tables, by target name, with the default settings."""
    with Connections("pg_migration planned_ranges") as connections:
        connection = connections.open(settings.endpoint(Side.SOURCE))
        execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        catalog = discover(connection, relations.location.schemas)
        tables = [table for table in catalog.tables if catalog.target_name(table.key) in names]
        plans = Planner(connection, LoadSettings()).plan(tables)
        return {catalog.target_name(p.table.key): [piece.range.key for piece in p.ranges] for p in plans}
