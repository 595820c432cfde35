"""Of jobs, runs and their steps."""

from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.definitions.dependency import IDependencyDefinition
from dagster._core.definitions.repository_definition.valid_definitions import SINGLETON_REPOSITORY_NAME
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.plan.active import __name__ as STEPS_LOGGER
from dagster._core.execution.stats import (
    RunStepKeyStatsSnapshot,
    StepEventStatus,
    build_run_step_stats_from_events,
)
from dagster._core.origin import JobPythonOrigin
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.snap import ExecutionPlanSnapshot, snapshot_from_execution_plan
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    MAX_RETRIES_TAG,
    PARENT_RUN_ID_TAG,
    PARTITION_NAME_TAG,
    REPOSITORY_LABEL_TAG,
    RETRY_NUMBER_TAG,
    RETRY_ON_ASSET_OR_OP_FAILURE_TAG,
    RETRY_STRATEGY_TAG,
    ROOT_RUN_ID_TAG,
    TAGS_TO_MAYBE_OMIT_ON_RETRY,
    WILL_RETRY_TAG,
)
from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "ASSET_PARTITION_RANGE_END_TAG",
    "ASSET_PARTITION_RANGE_START_TAG",
    "AUTO_RETRY_RUN_ID_TAG",
    "BACKFILL_ID_TAG",
    "FAILED_TO_RETRY",
    "IMPLICIT_ASSET_JOB_NAME",
    "MAX_RETRIES_TAG",
    "PARENT_RUN_ID_TAG",
    "PARTITION_NAME_TAG",
    "REPOSITORY_LABEL_TAG",
    "RETRY_NUMBER_TAG",
    "RETRY_ON_ASSET_OR_OP_FAILURE_TAG",
    "RETRY_STRATEGY_TAG",
    "ROOT_RUN_ID_TAG",
    "SINGLETON_REPOSITORY_NAME",
    "STEPS_LOGGER",
    "TAGS_TO_MAYBE_OMIT_ON_RETRY",
    "WILL_RETRY_TAG",
    "ExecutionPlanSnapshot",
    "IDependencyDefinition",
    "JobPythonOrigin",
    "RegisteredCodeLocationOrigin",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "RunStepKeyStatsSnapshot",
    "SerializableErrorInfo",
    "StepEventStatus",
    "UnresolvedAssetJobDefinition",
    "build_run_step_stats_from_events",
    "create_execution_plan",
    "snapshot_from_execution_plan",
]

# What Dagster's daemon writes into the log of a run that it could not start again.
FAILED_TO_RETRY = "Failed to retry run"
