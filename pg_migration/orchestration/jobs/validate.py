"""The job ``validate``: all checks, without copying, and what they say together."""

from collections.abc import Collection

import dagster as dg

from pg_migration.orchestration.dagster_internals.running import UnresolvedAssetJobDefinition
from pg_migration.orchestration.location.names import VALIDATE, VALIDATION
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.runs.concurrency import run_tags


def build_validate(relations: Relations, checks: Collection[dg.AssetCheckKey]) -> UnresolvedAssetJobDefinition:
    """The checks, against what is in the two databases now, and the asset that sums them up."""
    return dg.define_asset_job(
        relations.pair.named(VALIDATE),
        selection=dg.AssetSelection.checks(*checks) | dg.AssetSelection.assets(relations.key(VALIDATION)),
        tags=run_tags(relations.pair),
        description="Compares source and target as they are now; copies nothing. The asset "
        "validation says what differs.",
        executor_def=dg.in_process_executor,
    )
