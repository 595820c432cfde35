"""Job ``swap_back``: what was live before the last swap becomes live again."""

from collections.abc import Iterator

import dagster as dg

from pg_migration.orchestration.assets.live import figures
from pg_migration.orchestration.location.names import LIVE, SWAP_BACK
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.runs.concurrency import run_tags
from pg_migration.orchestration.runs.failures import as_step_failure
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.migration.steps.swap import go_back


def build_swap_back(relations: Relations) -> dg.JobDefinition:
    """The job of a pair. It asks the target alone."""
    pair = relations.pair

    @dg.op(
        name=pair.named("previous_copy"),
        description="Makes the schemas that the last swap has kept live, and keeps the live ones in their place.",
        required_resource_keys={pair.resource},
    )
    def previous_copy(context: dg.OpExecutionContext) -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
        migration = migration_of(context, pair)
        with as_step_failure(migration, context):
            done = go_back(migration)
        context.log.info(str(done))
        yield dg.AssetMaterialization(relations.key(LIVE), metadata={"refresh": SWAP_BACK, **figures(done)})
        yield dg.Output(None)

    # Not called after the job: Dagster refuses a code location with a graph and an op of one name.
    @dg.graph(name=pair.named("swap_back_graph"))
    def graph() -> None:
        previous_copy()

    return graph.to_job(
        name=pair.named(SWAP_BACK),
        tags=run_tags(pair),
        description="Makes the copy live again that the last run with `refresh: swap` has replaced, at once; the one "
        "that is live now is kept in its place. The source is not asked.",
        executor_def=dg.in_process_executor,
    )
