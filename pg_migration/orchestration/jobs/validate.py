"""The job ``validate``: all checks, without copying, and what they say together."""

import dagster as dg

from pg_migration.orchestration.dagster_internals.running import UnresolvedAssetJobDefinition
from pg_migration.orchestration.location.names import VALIDATION
from pg_migration.orchestration.runs.concurrency import run_tags

VALIDATE = "validate"


def build_validate() -> UnresolvedAssetJobDefinition:
    """The checks, against what is in the two databases now, and the asset that sums them up."""
    return dg.define_asset_job(
        VALIDATE,
        selection=dg.AssetSelection.all_asset_checks() | dg.AssetSelection.assets(VALIDATION),
        tags=run_tags(),
        description="Compares source and target as they are now; copies nothing. The asset "
        "validation says what differs.",
        executor_def=dg.in_process_executor,
    )
