"""Job ``prune_old_runs``: Dagster keeps what it recorded of every run for ever, and this deletes what is old.

What people still look at stays, however old it is: of each job the last run that succeeded, and the run that an asset
was materialized by last.
"""

from datetime import datetime, timedelta, timezone

import dagster as dg
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
from pydantic import Field

from pg_migration.orchestration.jobs import MIGRATE, VALIDATE
from pg_migration.orchestration.preflight import PREFLIGHT
from pg_migration.orchestration.repair import REPAIR

PRUNE = "prune_old_runs"

# What materializing in the UI runs as.
ASSET_JOB = "__ASSET_JOB"
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


class Pruning(dg.Config):
    """What is old."""

    older_than_days: int = Field(default=30, ge=1, description="Runs that ended longer ago than this are deleted.")


@dg.op(description="Deletes the records and logs of old runs.")
def prune(context: dg.OpExecutionContext, config: Pruning) -> dg.Output[None]:
    """The only step of the job."""
    before = datetime.now(timezone.utc) - timedelta(days=config.older_than_days)
    old = old_runs(context.instance, before, context.run.tags.get(REPOSITORY_LABEL_TAG))
    for run_id in old:
        context.instance.delete_run(run_id)
        context.instance.compute_log_manager.delete_logs(prefix=[run_id])
    context.log.info(f"deleted {len(old)} runs that ended before {before:%Y-%m-%d %H:%M} UTC")
    return dg.Output(None, metadata={"deleted": len(old)})


@dg.job(
    name=PRUNE,
    description="Deletes what Dagster recorded of runs that are older than `older_than_days`, but never of the last "
    "one of a job that succeeded, nor of the one that an asset was materialized by last.",
    executor_def=dg.in_process_executor,
)
def prune_job() -> None:
    """The job."""
    prune()


def old_runs(instance: dg.DagsterInstance, before: datetime, repository: str | None) -> list[str]:
    """The runs that may go.

    Args:
        before: when they had ended, with a time zone.
        repository: of the caller, as runs are labelled with; those of others, in an instance that several code
            locations share, stay. Runs without a label were started from a command line.
    """
    found: list[str] = []
    kept = _last_of_assets(instance)
    for job in (MIGRATE, VALIDATE, REPAIR, PREFLIGHT, PRUNE, ASSET_JOB):
        newest = instance.get_run_records(
            dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1, order_by="id"
        )
        kept |= {record.dagster_run.run_id for record in newest}
        for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=FINISHED, created_before=before)):
            run = record.dagster_run
            ended = record.end_time if record.end_time is not None else record.update_timestamp.timestamp()
            label = run.tags.get(REPOSITORY_LABEL_TAG)
            if ended < before.timestamp() and label in (None, repository) and run.run_id not in kept:
                found.append(run.run_id)
    return found


def _last_of_assets(instance: dg.DagsterInstance) -> set[str]:
    last = instance.get_latest_materialization_events(instance.all_asset_keys())
    return {entry.run_id for entry in last.values() if entry is not None}
