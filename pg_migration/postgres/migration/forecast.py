"""Plan every table, and say how long the copy will take."""

from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.planning.forecast import Forecast, forecast, usual_speed


def look_ahead(run: MigrationRun) -> Forecast:
    """What `migrate` would do with the tables, at the speed of earlier runs to this target."""
    run.migration.check()
    return forecast(run.plan(run.catalog.tables), run.workers(), usual_speed(run.target_connection))
