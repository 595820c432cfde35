"""Tags of runs, and the statuses of runs that have not ended or that have."""

import dagster as dg

from pg_migration.orchestration import settings
from pg_migration.orchestration.dagster_internals.running import (
    MAX_RETRIES_TAG,
    REPOSITORY_LABEL_TAG,
    RETRY_ON_ASSET_OR_OP_FAILURE_TAG,
    RETRY_STRATEGY_TAG,
    SINGLETON_REPOSITORY_NAME,
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

# Dagster's daemon starts a run again, from its first step and so from a new snapshot, when its process died. After a
# step that failed it does not: most failures stay what they are, however often they are tried. `at_end` allows it where
# a server or a connection was lost.
RETRY_TAGS = {
    MAX_RETRIES_TAG: "2",
    RETRY_STRATEGY_TAG: "ALL_STEPS",
    RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "false",
}


FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

TARGET_TAG = "pg_migration/target"
# The two databases, as `Pair.places` names them.
PAIR_TAG = "pg_migration/pair"


# On a failure: a new run may well succeed.
TRANSIENT = "may pass"
# On a failure: what was asked for can't be done as it was asked, and nothing was done.
MISUSE = "wrong configuration"


UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


SNAPSHOT_OF = "pg_migration/snapshot_of"


# The run that told of its own end, and how it ended. A run that is started again inherits the tags of the first one.
NOTIFIED_TAG = "pg_migration/notified"


def own_label() -> str:
    """The label of runs that a command line begins."""
    return f"{SINGLETON_REPOSITORY_NAME}@{settings.current().location}"


def label(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Say of a run that a command line has begun which code location it belongs to.

    The UI shows a run on the page of its job by the tag, and in its timeline by the origin. Dagster gives both to other
    runs only. The daemon starts a run again that has an origin; who sits at the terminal does that, or does not.
    """
    if run.remote_job_origin is not None or REPOSITORY_LABEL_TAG in run.tags:
        return
    instance.add_run_tags(run.run_id, {REPOSITORY_LABEL_TAG: own_label(), MAX_RETRIES_TAG: "0"})
    location = RegisteredCodeLocationOrigin(settings.current().location)
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME), run.job_name)
    instance.run_storage.replace_job_origin(instance.get_run_by_id(run.run_id) or run, origin)
