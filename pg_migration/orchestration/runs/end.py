"""What is done when a run ends, whatever became of it: say whether it may be started again, and tell people."""

from collections.abc import Callable, Sequence

import dagster as dg

from pg_migration.orchestration.dagster_internals.running import MAX_RETRIES_TAG, RETRY_ON_ASSET_OR_OP_FAILURE_TAG
from pg_migration.orchestration.notifications.notify import notify_of
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.run_tags import TRANSIENT
from pg_migration.postgres.migration.run import MigrationRun


def at_end(
    run: MigrationRun, pair: Pair, record: dg.DagsterRun, instance: dg.DagsterInstance, log: Callable[[str], object]
) -> None:
    """Do it, before Dagster records how the run ended. Never raises; what went wrong is logged.

    Args:
        log: takes a warning.
    """
    try:
        now = instance.get_run_by_id(record.run_id)
        # `dagster job execute` makes the resources once more when the run has ended, to read its outputs with.
        if now is None or now.is_finished:
            return
        failures = _step_failures(record, instance)
        if instance.run_retries_enabled and MAX_RETRIES_TAG in record.tags:
            again = any(_may_pass(failure) for failure in failures)
            instance.add_run_tags(record.run_id, {RETRY_ON_ASSET_OR_OP_FAILURE_TAG: str(again).lower()})
        notify_of(run, pair, record, instance, run.outcomes.failures or _reasons(now, failures), log)
    except Exception as error:  # whatever it is, the run's own outcome stands
        log(f"nobody was notified: {type(error).__name__}: {error}")


def _reasons(now: dg.DagsterRun, failures: Sequence[dg.DagsterEvent]) -> list[str]:
    """Why a run fails whose steps told of nothing."""
    if now.status is dg.DagsterRunStatus.CANCELING:
        return ["the run was canceled"]
    return [failure.message or "a step failed" for failure in failures]


def _step_failures(record: dg.DagsterRun, instance: dg.DagsterInstance) -> list[dg.DagsterEvent]:
    entries = instance.all_logs(record.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    return [entry.dagster_event for entry in entries if entry.dagster_event is not None]


def _may_pass(failure: dg.DagsterEvent) -> bool:
    told = failure.step_failure_data.user_failure_data
    value = told.metadata.get(TRANSIENT) if told is not None else None
    return value is not None and value.value is True
