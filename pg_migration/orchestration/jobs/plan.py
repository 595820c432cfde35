"""Job ``plan``: how `migrate` would copy every table, without writing anything."""

import dagster as dg

from pg_migration.orchestration import environment
from pg_migration.orchestration.metadata import forecast_rows, markdown_text, plan_metadata
from pg_migration.orchestration.runs.failures import as_step_failure
from pg_migration.postgres.migration.forecast import look_ahead
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.reporting import formats

PLAN = "plan"


@dg.op(name="copy_plan", description="Per table, in the order of the copy: rows, bytes, format, ranges, chunks, time.")
def _copy_plan(context: dg.OpExecutionContext, migration: dg.ResourceParam[MigrationRun]) -> dg.Output[None]:
    with as_step_failure(migration, context):
        found = migration.call(lambda: look_ahead(migration))
        migration.outcomes.forecast = found
    lines = [*migration.cautions, markdown_text(forecast_rows(found)), formats.forecast(found)]
    context.log.info("\n" + "\n".join(lines))
    return dg.Output(None, metadata=plan_metadata(found))


@dg.job(
    name=PLAN,
    tags={environment.PAIR_TAG: environment.pair()},
    description="Shows how `migrate` would copy every table: in which order, format, ranges and chunks, and about how "
    "long that takes. Writes nothing.",
    executor_def=dg.in_process_executor,
)
def plan_job() -> None:
    """The job."""
    _copy_plan()
