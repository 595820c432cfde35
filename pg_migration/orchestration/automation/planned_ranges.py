"""The sensor that keeps the key ranges of tables registered as partitions."""

import dagster as dg

from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.postgres.catalog import TableName, discover
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.planning.key_ranges import ALL
from pg_migration.postgres.planning.planner import Planner

PLAN_INTERVAL_SECONDS = 60


def build_planned_ranges(relations: Relations) -> dg.SensorDefinition:
    """The sensor that registers key ranges of tables that have none, so that the UI can offer them."""

    @dg.sensor(
        name=relations.pair.named("planned_ranges"),
        minimum_interval_seconds=PLAN_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Registers the key ranges of tables that have no partitions yet: without them a backfill from the "
        "asset graph would find nothing to copy.",
    )
    def planned_ranges(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        wanted = {
            name
            for name in relations.listings
            if not context.instance.get_dynamic_partitions(str(relations.partitions(name).name))
        }
        if not wanted:
            return dg.SkipReason("every table has its ranges")
        try:
            planned = _plan(relations, wanted)
        except MigrationError as error:
            return dg.SkipReason(str(error))
        requests = [relations.partitions(name).build_add_request(keys) for name, keys in planned.items()]
        return dg.SensorResult(dynamic_partitions_requests=requests)

    return planned_ranges


def _plan(relations: Relations, names: set[TableName]) -> dict[TableName, list[str]]:
    """Partition keys of some tables, by target name, with the settings that runs have unless they are told others.

    Bounds are values of keys, and of a source whose rows are chosen or masked no value is shown that the target does
    not get: a run registers what it has planned.
    """
    if relations.pair.transforms:
        return {name: [ALL] for name in names}
    with Connections("pg_migration planned_ranges") as connections:
        connection = connections.open(relations.pair.endpoint(Side.SOURCE))
        execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        catalog = discover(connection, relations.location.schemas)
        tables = [table for table in catalog.tables if catalog.target_name(table.key) in names]
        plans = Planner(connection, relations.pair.options).plan(tables)
        return {catalog.target_name(p.table.key): [piece.range.key for piece in p.ranges] for p in plans}
