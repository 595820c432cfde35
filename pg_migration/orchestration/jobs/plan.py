"""Job ``plan``: how `migrate` would copy every table, without writing anything."""

import dagster as dg

from pg_migration.orchestration.location.names import PLAN
from pg_migration.orchestration.metadata import forecast_rows, markdown_text, plan_metadata
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.run_tags import PAIR_TAG
from pg_migration.orchestration.runs.failures import as_step_failure
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.migration.forecast import look_ahead
from pg_migration.reporting import formats


def build_plan(pair: Pair) -> dg.JobDefinition:
    """The job of a pair."""

    @dg.op(
        name=pair.named("copy_plan"),
        description="Per table, in the order of the copy: rows, bytes, format, ranges, chunks, time.",
        required_resource_keys={pair.resource},
    )
    def copy_plan(context: dg.OpExecutionContext) -> dg.Output[None]:
        migration = migration_of(context, pair)
        with as_step_failure(migration, context):
            found = migration.call(lambda: look_ahead(migration))
            migration.outcomes.forecast = found
        lines = [*migration.cautions, markdown_text(forecast_rows(found)), formats.forecast(found)]
        context.log.info("\n" + "\n".join(lines))
        return dg.Output(None, metadata=plan_metadata(found))

    @dg.job(
        name=pair.named(PLAN),
        tags={PAIR_TAG: pair.places},
        description="Shows how `migrate` would copy every table: in which order, format, ranges and chunks, and about "
        "how long that takes. Writes nothing.",
        executor_def=dg.in_process_executor,
    )
    def job() -> None:
        copy_plan()

    return job
