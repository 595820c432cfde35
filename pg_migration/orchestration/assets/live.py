"""The asset ``live``: what was copied is where people look for it, and stays as the source is where it follows."""

from collections.abc import Iterator, Sequence

import dagster as dg

from pg_migration.orchestration.assets.replication import figures as replication_figures
from pg_migration.orchestration.checks.replication import of_watched
from pg_migration.orchestration.location.names import AFTER_ROWS, LIVE, REPLICATION
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import Figure
from pg_migration.orchestration.runs.begin import begin
from pg_migration.orchestration.runs.failures import as_step_failure, fail_if
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.figures import listed
from pg_migration.postgres.migration.live.follow import start_replication
from pg_migration.postgres.migration.live.watch import Watched, watch
from pg_migration.postgres.migration.outcomes import Swap
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps.swap import swap


def build_live(relations: Relations, after: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """The asset that comes after everything that is made, and after the blocking checks of that.

    Args:
        after: the assets that are made last.
    """

    @dg.asset(
        key=relations.key(LIVE),
        group_name=relations.pair.named(AFTER_ROWS),
        required_resource_keys={relations.pair.resource},
        kinds={"postgres"},
        deps=after,
        description="With `refresh: swap` everything was loaded and compared beside the live schemas; here it takes "
        "their place at once. With `refresh: in_place` it was there all the time. With `follow: true` the target "
        "begins to follow the source here. What uses the copy comes after this.",
    )
    def live(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetMaterialization | dg.AssetCheckEvaluation]:
        migration = migration_of(context, relations.pair)
        done = None
        if migration.options.refresh == "swap":
            with as_step_failure(migration, context):
                begin(context, migration, relations)
                done = swap(migration)
        # With an output: but for the job `migrate`, Dagster skips a step that comes after one without.
        yield dg.MaterializeResult(metadata={"refresh": migration.options.refresh, **figures(done)})
        if migration.options.follow:
            with as_step_failure(migration, context):
                begin(context, migration, relations)
                watched = _follow(migration)
            asset = relations.key(REPLICATION)
            yield dg.AssetMaterialization(asset, metadata=replication_figures(watched))
            for judgement in of_watched(watched):
                yield judgement.evaluation(asset)
            migration.outcomes.failures += watched.problems
            fail_if(watched.problems, "the target does not follow the source")

    return live


def _follow(migration: MigrationRun) -> Watched:
    start_replication(migration)
    return migration.call(lambda: watch(migration.migration, drops=False))


def figures(swap: Swap | None) -> dict[str, Figure]:
    """What readers would have noticed of a swap, and what was taken over with it."""
    if swap is None:
        return {}
    done, waited = swap.done, swap.waited
    lists = {
        "kept": done.previous,
        "sessions_waited_for": waited.sessions,
        "sessions_left": waited.left,
        "grants_carried_over": done.carried,
        "views_that_follow": done.views,
        "views_made_anew": done.made_anew,
        "publications_that_follow": done.publications,
    }
    return {
        "swapped": listed(done.schemas),
        "locks_held_ms": round(done.seconds * 1000, 1),
        "attempts": done.attempts,
        "seconds_waited": waited.seconds,
        **{name: listed(found) for name, found in lists.items() if found},
    }
