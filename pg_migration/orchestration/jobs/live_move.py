"""The jobs of a replication: ``adopt_new_tables``, and those that end it: ``cutover``, ``abandon_replication``,
``go_back``, ``end_way_back``, ``release``.

Each is one step that calls the use case of the library. None is started again of itself: what a person has
begun at night a person looks at.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import dagster as dg
from pydantic import Field

from pg_migration.orchestration.assets.replication import figures
from pg_migration.orchestration.location.names import (
    ABANDON,
    ADOPT,
    CUTOVER,
    END_WAY_BACK,
    GO_BACK,
    RELEASE,
    REPLICATION,
)
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import Figure
from pg_migration.orchestration.run_tags import PAIR_TAG, TARGET_TAG
from pg_migration.orchestration.runs.failures import as_step_failure, fail_if
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import ConfigurationError, MigrationError
from pg_migration.postgres.migration.live.abandon import give_up
from pg_migration.postgres.migration.live.adopt import adopt_new
from pg_migration.postgres.migration.live.moved import CutoverOptions
from pg_migration.postgres.migration.live.release import allow_runs
from pg_migration.postgres.migration.live.takeover.back import end_the_way_back, return_to_source
from pg_migration.postgres.migration.live.takeover.cutover import cut_over, rehearse
from pg_migration.postgres.migration.live.watch import watch
from pg_migration.postgres.migration.run import MigrationRun

# The step of each job: graphs, steps and jobs share one name space.
STEPS = {
    ADOPT: "new_tables",
    CUTOVER: "take_over",
    ABANDON: "stop_following",
    GO_BACK: "take_back",
    END_WAY_BACK: "close_way_back",
    RELEASE: "allow_migrations",
}


class Pause(dg.Config):
    """What both directions are told."""

    max_pause_seconds: float = Field(
        default=60,
        gt=0,
        description="How long writers may wait at most. Where that is not enough, they go on where they are, and the "
        "job fails.",
    )
    check: Literal["content", "count"] = Field(
        default="count",
        description="How tables are compared while writers wait. 'count': their rows are counted, after a comparison "
        "of all of them that is not older than a day. 'content': all rows are hashed, which takes longer.",
    )


class Cutover(Pause):
    """What a cutover is told."""

    way_back: bool = Field(
        default=False,
        description="Replicate what is written to the new server back to the old one from then on, so that `go_back` "
        "loses nothing. `end_way_back` ends it.",
    )
    dry_run: bool = Field(
        default=False, description="Only look whether it could be done, and tell how long writers would wait."
    )


class Abandon(dg.Config):
    """What is given up."""

    slot: str | None = Field(
        default=None,
        description="The name of a slot and publication (pg_migration_ and 12 digits) that an earlier run has left in "
        "the source, where no ledger tells of it. By default the replication into this target.",
    )


class Release(dg.Config):
    """Which database is released, so that nobody does it by mistake."""

    database: str = Field(description="The name of the target database, whose contents migrations may replace again.")


Told = Iterator[dg.AssetMaterialization | dg.AssetObservation | dg.Output[None]]


def build_live_moves(relations: Relations) -> list[dg.JobDefinition]:
    """The jobs of a pair."""
    return [
        _adopt(relations),
        _cutover(relations),
        _abandon(relations),
        _go_back(relations),
        _end_way_back(relations),
        _release(relations),
    ]


def _adopt(relations: Relations) -> dg.JobDefinition:
    @_step(
        relations,
        ADOPT,
        "Makes what is new in the source in the target, copies its rows, and replicates it from there on.",
    )
    def new_tables(context: dg.OpExecutionContext) -> Told:
        yield from _done(context, relations, adopt_new)

    return _job(
        relations,
        ADOPT,
        new_tables,
        "Has the target follow tables and partitions that were made in the source since it began to follow. Have "
        "everything compared after it, with `validate`.",
    )


def _cutover(relations: Relations) -> dg.JobDefinition:
    @_step(relations, CUTOVER, "Lets the source's writers wait, compares, and makes the target the one to write to.")
    def take_over(context: dg.OpExecutionContext, config: Cutover) -> Told:
        chosen = CutoverOptions(config.max_pause_seconds, config.check, config.way_back, relations.pair.on_cutover)
        if config.dry_run:
            yield from _rehearsed(context, relations, chosen)
        else:
            yield from _done(context, relations, lambda run: cut_over(run, chosen))

    return _job(
        relations,
        CUTOVER,
        take_over,
        "Makes the target the one that is written to: writers of the source wait while the last changes arrive and "
        "everything is compared, for `max_pause_seconds` at most. Any failure before that leaves the source as it was, "
        "and the replication going on. With `dry_run` it only looks, and tells how long they would wait.",
    )


def _abandon(relations: Relations) -> dg.JobDefinition:
    @_step(relations, ABANDON, "Takes everything back that a replication has in the source.")
    def stop_following(context: dg.OpExecutionContext, config: Abandon) -> Told:
        yield from _done(context, relations, lambda run: give_up(run, config.slot))

    return _job(
        relations,
        ABANDON,
        stop_following,
        "Ends the replication from the source: the subscription goes, and in the source the slot, the publication "
        "and what was changed of tables without a key. The rows of the target stay as they are. With `slot` it removes "
        "what an earlier run has left in the source and no ledger tells of.",
    )


def _go_back(relations: Relations) -> dg.JobDefinition:
    @_step(relations, GO_BACK, "Lets the target's writers wait, compares, and makes the source the one to write to.")
    def take_back(context: dg.OpExecutionContext, config: Pause) -> Told:
        chosen = CutoverOptions(config.max_pause_seconds, config.check, command=relations.pair.on_cutover)
        yield from _done(context, relations, lambda run: return_to_source(run, chosen))

    return _job(
        relations,
        GO_BACK,
        take_back,
        "The cutover the other way round, where it was made with `way_back`: the source has all that was written to "
        "the target, and is written to again.",
    )


def _end_way_back(relations: Relations) -> dg.JobDefinition:
    @_step(relations, END_WAY_BACK, "Ends the replication back to the source.")
    def close_way_back(context: dg.OpExecutionContext) -> Told:
        yield from _done(context, relations, end_the_way_back)

    return _job(
        relations,
        END_WAY_BACK,
        close_way_back,
        "Ends the replication from the target back to the source that a cutover with `way_back` has begun. After it "
        "there is no `go_back`.",
    )


def _release(relations: Relations) -> dg.JobDefinition:
    @_step(relations, RELEASE, "Allows migrations into the target again.")
    def allow_migrations(context: dg.OpExecutionContext, config: Release) -> Told:
        yield from _done(context, relations, lambda run: allow_runs(run, config.database))

    return _job(
        relations,
        RELEASE,
        allow_migrations,
        "DANGEROUS: allows migrations into a target that has taken over. The next `migrate` replaces what applications "
        "have written there since.",
    )


def _step(relations: Relations, job: str, description: str) -> Callable[[Callable[..., Told]], dg.OpDefinition]:
    """Makes the step of a job of a function."""
    pair = relations.pair
    return dg.op(name=pair.named(STEPS[job]), description=description, required_resource_keys={pair.resource})


def _job(relations: Relations, name: str, step: dg.OpDefinition, description: str) -> dg.JobDefinition:
    pair = relations.pair

    # Not called after the job: Dagster refuses a code location with a graph and an op of one name.
    @dg.graph(name=pair.named(f"{name}_graph"))
    def graph() -> None:
        step()

    return graph.to_job(
        name=pair.named(name),
        # They queue with what else writes to the target, and are not started again.
        tags={TARGET_TAG: pair.place(Side.TARGET), PAIR_TAG: pair.places},
        description=description,
        executor_def=dg.in_process_executor,
    )


def _done(context: dg.OpExecutionContext, relations: Relations, work: Callable[[MigrationRun], object]) -> Told:
    """Do it, and tell what came of it: in the asset `replication`, and in the report."""
    run, asset = migration_of(context, relations.pair), relations.key(REPLICATION)
    failures = run.outcomes.failures
    with as_step_failure(run, context):
        # What failed was told before: the error is the last of it.
        try:
            work(run)
        except ConfigurationError:  # nothing was done, and there is nothing to show
            raise
        except MigrationError as error:
            failures.append(str(error))
    metadata = dict(_seen(run))
    if failures:
        yield dg.AssetObservation(asset, metadata=metadata)
    fail_if(failures, "not everything was done")
    yield dg.AssetMaterialization(asset, metadata=metadata)
    yield dg.Output(None)


def _seen(run: MigrationRun) -> Mapping[str, Figure]:
    """How the replication stands now, and how long writers waited."""
    moved = run.outcomes.cutover
    told: dict[str, Figure] = {}
    if moved is not None:
        told |= {"pause_seconds": round(moved.pause_seconds, 3), "pause": str(moved)}
    try:
        return {**figures(watch(run.migration, drops=False)), **told}
    except MigrationError:
        return told


def _rehearsed(context: dg.OpExecutionContext, relations: Relations, chosen: CutoverOptions) -> Told:
    run = migration_of(context, relations.pair)
    with as_step_failure(run, context):
        found = rehearse(run, chosen)
    run.outcomes.notes += [*found.warnings, str(found)]
    run.outcomes.failures += found.problems
    context.log.info(str(found))
    fail_if(found.problems, "a cutover would be refused")
    yield dg.Output(None, metadata={"expected_pause_seconds": round(found.seconds, 3), "expected_pause": str(found)})
