"""Job ``prune_old_runs``: Dagster keeps what it recorded of every run for ever, as we do the reports, and this deletes
what is old.

What people still look at stays, however old it is: of each job the last run that succeeded, and the run that an asset
was materialized by last.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

import dagster as dg
from pydantic import Field

from pg_migration.orchestration import environment
from pg_migration.orchestration.dagster_internals.running import IMPLICIT_ASSET_JOB_NAME, REPOSITORY_LABEL_TAG
from pg_migration.orchestration.location.known_pairs import known_pairs
from pg_migration.orchestration.location.names import JOBS
from pg_migration.orchestration.run_tags import FINISHED, own_label
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.reporting import store

PRUNE = "prune_old_runs"


class Pruning(dg.Config):
    """What is old."""

    older_than_days: int = Field(
        default=30, ge=1, description="Runs that ended longer ago than this are deleted, with their reports."
    )


@dg.op(description="Deletes the records, logs and reports of old runs.")
def prune(context: dg.OpExecutionContext, config: Pruning) -> dg.Output[None]:
    """The only step of the job."""
    before = datetime.now(timezone.utc) - timedelta(days=config.older_than_days)
    old = old_runs(context.instance, before, context.run.tags.get(REPOSITORY_LABEL_TAG))
    for run_id in old:
        context.instance.delete_run(run_id)
        context.instance.compute_log_manager.delete_logs(prefix=[run_id])
    reports = prune_reports(context.instance, before, set(old), context.log.warning)
    context.log.info(f"deleted {len(old)} runs that ended before {before:%Y-%m-%d %H:%M} UTC, and {reports} reports")
    return dg.Output(None, metadata={"deleted": len(old), "reports_deleted": reports})


@dg.job(
    name=PRUNE,
    description="Deletes what Dagster recorded of runs that are older than `older_than_days`, and their reports, but "
    "never of the last one of a job that succeeded, nor of the one that an asset was materialized by last.",
    executor_def=dg.in_process_executor,
)
def prune_job() -> None:
    """The job."""
    prune()


@cache
def weekly_prune(cron: str, timezone: str) -> dg.ScheduleDefinition:
    """The schedule of the job: the same object each time, since a location has one for all of its pairs."""
    return dg.ScheduleDefinition(
        name="weekly_prune",
        job=prune_job,
        cron_schedule=cron,
        execution_timezone=timezone,
        description="Deletes what Dagster recorded of old runs.",
    )


def old_runs(instance: dg.DagsterInstance, before: datetime, repository: str | None) -> list[str]:
    """The runs that may go.

    Args:
        before: when they had ended, with a time zone.
        repository: of the caller, as runs are labelled with; those of others, in an instance that several code
            locations share, stay. Runs of a command line have a label of ours, or none.
    """
    found: list[str] = []
    kept = _last_of_assets(instance)
    pairs = known_pairs()
    jobs = [known.pair.named(job) for known in pairs for job in JOBS]
    for job in (*jobs, PRUNE, IMPLICIT_ASSET_JOB_NAME):
        newest = instance.get_run_records(
            dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1, order_by="id"
        )
        kept |= {record.dagster_run.run_id for record in newest}
        for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=FINISHED, created_before=before)):
            run = record.dagster_run
            if job == IMPLICIT_ASSET_JOB_NAME and not any(known.is_only_of_this(run) for known in pairs):
                continue  # of whoever shares the location
            ended = record.end_time if record.end_time is not None else record.update_timestamp.timestamp()
            label = run.tags.get(REPOSITORY_LABEL_TAG)
            if ended < before.timestamp() and label in (None, repository, own_label()) and run.run_id not in kept:
                found.append(run.run_id)
    return found


def prune_reports(
    instance: dg.DagsterInstance, before: datetime, deleted: Collection[str], log: Callable[[str], object]
) -> int:
    """Delete the reports of runs that are gone; how many.

    Args:
        before: when a report was written that may go although nobody knows of its run any more, with a time zone.
        deleted: runs whose reports go whatever their age.
        log: takes a warning about each that could not be deleted.
    """
    try:
        folders = [environment.reports_folder(known.pair.name) for known in known_pairs()]
        found = [(folder, run_id) for folder in folders if folder is not None for run_id in store.runs(folder)]
    except (OSError, ConfigurationError) as error:
        log(f"the reports stay: {error}")
        return 0
    return sum(_prune_report(instance, folder, run_id, before, deleted, log) for folder, run_id in found)


def _prune_report(
    instance: dg.DagsterInstance,
    folder: Path,
    run_id: str,
    before: datetime,
    deleted: Collection[str],
    log: Callable[[str], object],
) -> bool:
    try:
        written = store.written_at(folder, run_id)
        if run_id not in deleted and (written >= before or instance.has_run(run_id)):
            return False
        store.remove(folder, run_id)
    except OSError as error:
        log(f"the report of run {run_id} stays: {error}")
        return False
    return True


def _last_of_assets(instance: dg.DagsterInstance) -> set[str]:
    last = instance.get_latest_materialization_events(instance.all_asset_keys())
    return {entry.run_id for entry in last.values() if entry is not None}
