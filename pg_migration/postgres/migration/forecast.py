"""Plan every table, and say how long the copy will take."""

from pg_migration.postgres.catalog import LargeObjects
from pg_migration.postgres.large_objects.state import MAX_BATCH_OBJECTS, read_batches
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.planning.forecast import Forecast, forecast, usual_speed, with_large_objects


def look_ahead(run: MigrationRun) -> Forecast:
    """What `migrate` would do with the tables and large objects, at the speed of earlier runs to this target."""
    run.migration.check()
    found = forecast(run.plan(run.catalog.tables), run.workers(), usual_speed(run.sides.target_connection))
    objects = run.catalog.large_objects
    return found if objects is None else with_large_objects(found, objects.objects, _size(run, objects))


def _size(run: MigrationRun, of: LargeObjects) -> int:
    """The bytes of all; those of the first page stand for the others, as measuring one takes opening it."""
    measured = read_batches(run.sides.source_connection, of.columns, MAX_BATCH_OBJECTS, 0)
    objects = sum(batch.objects for batch in measured)
    return sum(batch.bytes for batch in measured) * of.objects // max(1, objects)
