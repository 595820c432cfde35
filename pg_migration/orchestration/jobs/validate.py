"""The job ``validate``: all checks, without copying."""

import dagster as dg

from pg_migration.orchestration.dagster_internals.running import UnresolvedAssetJobDefinition
from pg_migration.orchestration.runs.concurrency import run_tags

VALIDATE = "validate"


def build_validate() -> UnresolvedAssetJobDefinition:
    """The checks alone, against what is in the two databases now."""
    return dg.define_asset_job(
        VALIDATE,
        selection=dg.AssetSelection.all_asset_checks(),
        tags=run_tags(),
        description="Compares source and target as they are now; copies nothing.",
        executor_def=dg.in_process_executor,
    )
