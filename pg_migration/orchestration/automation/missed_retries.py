"""The sensor that starts runs again which the daemon could not."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone

import dagster as dg

from pg_migration.orchestration.automation.following import why_not_start
from pg_migration.orchestration.dagster_internals.running import (
    AUTO_RETRY_RUN_ID_TAG,
    FAILED_TO_RETRY,
    MAX_RETRIES_TAG,
    PARENT_RUN_ID_TAG,
    RETRY_NUMBER_TAG,
    ROOT_RUN_ID_TAG,
    TAGS_TO_MAYBE_OMIT_ON_RETRY,
    WILL_RETRY_TAG,
    UnresolvedAssetJobDefinition,
)
from pg_migration.orchestration.pair import Pair

INTERVAL_SECONDS = 30
# Who looks after a day will have seen to it.
WITHIN = timedelta(days=1)
# The daemon looks for failures every few seconds.
OVERLOOKED = timedelta(minutes=1)


def build_missed_retries(
    pair: Pair, jobs: Sequence[dg.JobDefinition | UnresolvedAssetJobDefinition]
) -> dg.SensorDefinition:
    """The sensor that starts runs of ``jobs`` again where Dagster's daemon should have, and has not.

    It tries once, and the code location was away then: its process and those of its runs often die together, as when
    their machine starts anew. Or it looked, as it does once too, when there was the event of the failure and the run
    did not yet have its status.
    """

    @dg.sensor(
        name=pair.named("missed_retries"),
        jobs=jobs,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts runs again that died, where the daemon could not or has overlooked them.",
    )
    def missed_retries(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = datetime.now(timezone.utc)
        failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - WITHIN)
        names = {job.name for job in jobs}
        missed: list[dg.DagsterRun] = []
        for record in context.instance.get_run_records(failed):
            run = record.dagster_run
            failed_at = datetime.fromtimestamp(record.end_time or now.timestamp(), timezone.utc)
            if run.job_name in names and _is_ours(context, run) and _was_missed(context.instance, run, now - failed_at):
                missed.append(run)
        refused = {name: why_not_start(pair, name) for name in {run.job_name for run in missed}}
        for reason in filter(None, refused.values()):
            context.log.info(reason)
        wanted = [run for run in missed if refused[run.job_name] is None]
        if missed and not wanted:
            yield dg.SkipReason("; ".join(filter(None, refused.values())))
        yield from map(_retry, wanted)

    return missed_retries


def _is_ours(context: dg.SensorEvaluationContext, run: dg.DagsterRun) -> bool:
    """Whether a run is of this code location, and was launched there: a command line looks after its own."""
    origin, here = run.remote_job_origin, context.code_location_origin
    if origin is None or here is None:
        return False
    return origin.repository_origin.code_location_origin.location_name == here.location_name


def _was_missed(instance: dg.DagsterInstance, run: dg.DagsterRun, since: timedelta) -> bool:
    """Whether the daemon wanted to start a run again and could not, or should have wanted to for some time."""
    if AUTO_RETRY_RUN_ID_TAG in run.tags or MAX_RETRIES_TAG not in run.tags or WILL_RETRY_TAG not in run.tags:
        return False
    if run.tags[WILL_RETRY_TAG] == "true":
        return since > OVERLOOKED
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    return any(event.message == FAILED_TO_RETRY for event in events)


def _retry(run: dg.DagsterRun) -> dg.RunRequest:
    """What the daemon would have started; under a key by which a second request is known as such.

    The daemon counts the retries of runs that it has started itself. So this one has one less left.
    """
    lineage = {
        PARENT_RUN_ID_TAG: run.run_id,
        ROOT_RUN_ID_TAG: run.root_run_id or run.tags.get(ROOT_RUN_ID_TAG, run.run_id),
        RETRY_NUMBER_TAG: str(int(run.tags.get(RETRY_NUMBER_TAG, 0)) + 1),
        MAX_RETRIES_TAG: str(int(run.tags[MAX_RETRIES_TAG]) - 1),
    }
    inherited = {name: value for name, value in run.tags.items() if name not in TAGS_TO_MAYBE_OMIT_ON_RETRY}
    return dg.RunRequest(
        run_key=f"retry of {run.run_id}",
        job_name=run.job_name,
        run_config=run.run_config,
        tags={**inherited, **lineage},
        asset_selection=None if run.asset_selection is None else list(run.asset_selection),
        asset_check_keys=None if run.asset_check_selection is None else list(run.asset_check_selection),
    )
