"""The asset ``large_objects``: those of the database, beside the rows of its tables."""

from collections.abc import Iterator

import dagster as dg

from pg_migration.orchestration.location.names import BEFORE_ROWS, LARGE_OBJECTS, TARGET_DDL
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import Figure
from pg_migration.orchestration.runs.begin import begin
from pg_migration.orchestration.runs.concurrency import source_pool
from pg_migration.orchestration.runs.failures import as_step_failure, fail_if
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.large_objects.result import LargeObjectsFound
from pg_migration.postgres.migration.steps.large_objects import copy_large_objects


def build_large_objects(relations: Relations) -> dg.AssetsDefinition:
    """The asset of all large objects; nobody makes it where the source has none."""

    @dg.asset(
        key=relations.key(LARGE_OBJECTS),
        group_name=relations.pair.named(BEFORE_ROWS),
        required_resource_keys={relations.pair.resource},
        kinds={"postgres"},
        deps=[relations.key(TARGET_DDL)],
        output_required=False,
        pool=source_pool(relations.pair),
        description="Large objects with their OIDs, owners, privileges and comments: all of the database, or those "
        "that columns of type oid refer to. What is the same in the target already is not copied again.",
    )
    def large_objects(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        migration = migration_of(context, relations.pair)
        with as_step_failure(migration, context):
            begin(context, migration, relations)
            found = copy_large_objects(migration)
        if found is None:  # left out, or gone since the code location was loaded
            return
        fail_if(found.failures, "these large objects are not complete in the target")
        yield dg.MaterializeResult(metadata=_metadata(found))

    return large_objects


def _metadata(found: LargeObjectsFound) -> dict[str, Figure]:
    per_second = found.copied_bytes / found.seconds if found.seconds else 0.0
    return {
        "objects": found.objects,
        "bytes": found.bytes,
        "copied": found.copied,
        "bytes_copied": found.copied_bytes,
        "dropped": found.dropped,
        "seconds": round(found.seconds, 3),
        "bytes_per_second": round(per_second),
        **({"hash_in_source": found.digest(Side.SOURCE)} if found.hashed else {}),
    }
