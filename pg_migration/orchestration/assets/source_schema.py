"""The asset ``source_schema``: what the source holds, and how it is to be copied."""

import dagster as dg

from pg_migration.orchestration.location.names import BEFORE_ROWS, SOURCE_SCHEMA
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import catalog_metadata, findings_table, plan_metadata
from pg_migration.orchestration.runs.begin import begin
from pg_migration.orchestration.runs.failures import as_step_failure, fail_if
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.figures import sentence
from pg_migration.postgres.migration.forecast import look_ahead

LARGE_OBJECTS_ARE_NEW = (
    "the source has large objects, and had none when the code location was loaded. {}, so that they become an asset, "
    "and start again"
)


def build_source_schema(relations: Relations) -> dg.AssetsDefinition:
    """The asset of what the source holds."""
    location = relations.location
    known = {(t.schema, t.name) for t in location.tables}
    description = (
        "What the source's system catalogs say of the migrated schemas, read in the run's snapshot; what was looked at "
        "before anything was written; and how each table is to be copied."
    )
    if location.problem:
        description += f"\n\n**The source could not be read when this code location was loaded.** {location.problem}"

    @dg.asset(
        key=relations.key(SOURCE_SCHEMA),
        group_name=relations.pair.named(BEFORE_ROWS),
        required_resource_keys={relations.pair.resource},
        kinds={"postgres"},
        description=description,
        metadata={"source": relations.pair.place(Side.SOURCE)},
    )
    def source_schema(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        migration = migration_of(context, relations.pair)
        with as_step_failure(migration, context):
            begin(context, migration, relations)
        catalog, snapshot = migration.catalog, migration.sides.snapshot
        assert snapshot is not None
        renewal = sentence(location.renewal)
        unknown = sorted(f"{t.schema}.{t.name}" for t in catalog.tables if t.key not in known)
        migration.outcomes.failures += [f"{name} is not known to the code location" for name in unknown]
        fail_if(
            unknown,
            f"the source has tables that it did not have when the code location was loaded. {renewal}, so that they "
            f"become assets, and start again",
        )
        if catalog.large_objects is not None and not location.has_large_objects:
            fail_if([LARGE_OBJECTS_ARE_NEW.format(renewal)], "the source has what no step is about")
        for caution in migration.cautions:
            context.log.warning(caution)
        migration.outcomes.notes += [f"{n.kind} {n.name}: {n.reason}" for n in catalog.notices]
        with as_step_failure(migration, context):
            ahead = migration.call(lambda: look_ahead(migration))
        return dg.MaterializeResult(
            metadata={
                **catalog_metadata(catalog),
                **plan_metadata(ahead),
                "preflight": findings_table(migration.outcomes.findings),
                "snapshot": snapshot.name,
                "snapshot_taken_at": dg.MetadataValue.timestamp(snapshot.taken_at),
            }
        )

    return source_schema
