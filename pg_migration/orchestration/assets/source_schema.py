"""Assets ``source_schema``, ``target_ddl`` and ``post_data``: everything but rows, keys and foreign keys."""

from collections.abc import Iterator, Sequence

import dagster as dg

from pg_migration.orchestration.location.code_location import Location
from pg_migration.orchestration.location.names import BEFORE_ROWS
from pg_migration.orchestration.metadata import catalog_metadata, findings_table, plan_metadata
from pg_migration.orchestration.runs.begin import begin
from pg_migration.orchestration.runs.failures import fail_if, told_plainly
from pg_migration.postgres.catalog import MATERIALIZED_ROWS, Catalog, SchemaObject
from pg_migration.postgres.catalog.identity import identity_of
from pg_migration.postgres.ddl import Surplus, Verdict, bring_back
from pg_migration.postgres.migration.forecast import look_ahead
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.transfer.extension_rows import ExtensionFailed, ExtensionRows, copy_extension_rows

MOST_NAMED = 20


def build_source_schema(location: Location) -> dg.AssetsDefinition:
    """The asset of what the source holds."""
    known = {(t.schema, t.name) for t in location.tables}
    description = (
        "What the source's system catalogs say of the migrated schemas, read in the run's snapshot; what was looked at "
        "before anything was written; and how each table is to be copied."
    )
    if location.problem:
        description += f"\n\n**The source could not be read when this code location was loaded.** {location.problem}"

    @dg.asset(group_name=BEFORE_ROWS, kinds={"postgres"}, description=description)
    def source_schema(
        context: dg.AssetExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> dg.MaterializeResult[None]:
        with told_plainly(migration.outcomes.failures):
            begin(context, migration)
        catalog, snapshot = migration.catalog, migration.snapshot
        assert snapshot is not None
        unknown = sorted(f"{t.schema}.{t.name}" for t in catalog.tables if t.key not in known)
        migration.outcomes.failures += [f"{name} is not known to the code location; reload it" for name in unknown]
        fail_if(
            unknown,
            "the source has tables that it did not have when the code location was loaded. Reload the code location, "
            "so that they become assets, and start again",
        )
        for caution in migration.cautions:
            context.log.warning(caution)
        migration.outcomes.notes += [f"{n.kind} {n.name}: {n.reason}" for n in catalog.notices]
        with told_plainly(migration.outcomes.failures):
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


def _extension_rows(migration: MigrationRun) -> Iterator[ExtensionRows | ExtensionFailed]:
    """Copy what users keep in tables of extensions; those that could not be made have failed already."""
    failed = {o.object.name for o in migration.outcomes.ddl if not o.made and o.object.kind == "extension"}
    wanted = [table for table in migration.catalog.configurations if table.extension not in failed]
    overwrite = migration.options.overwrite_existing_rows
    return copy_extension_rows(migration.source_connection, migration.target_connection, wanted, overwrite)


def _with_refreshes(catalog: Catalog, wanted: Sequence[SchemaObject]) -> list[SchemaObject]:
    """The same, and what fills the materialized views that are there: the rows below them have been replaced."""
    addresses = {item.address for item in wanted}
    ordered = [item for item in catalog.objects if item.address in addresses or item.kind == MATERIALIZED_ROWS]
    # Alterations, and parts of tables, which come first: nothing of this phase is needed for them.
    known = {item.address for item in ordered}
    return [*(item for item in wanted if item.address not in known), *ordered]


def left_alone(surplus: Surplus) -> list[str]:
    """What stays in the target although the source does not have it, in a line for each reason."""
    lines = []
    for verdict in (Verdict.OWN, Verdict.NEEDED):
        if staying := [item.identity for item in surplus.staying(verdict)]:
            more = f" and {len(staying) - MOST_NAMED:,} more" if len(staying) > MOST_NAMED else ""
            lines.append(f"left alone in the target, since {verdict.value}: {', '.join(staying[:MOST_NAMED])}{more}")
    return lines


def return_strangers(migration: MigrationRun) -> list[str]:
    """Bring back what never was the source's and was built on something that was replaced; what did not come."""
    known = {identity_of(migration.catalog, item) for item in (*migration.catalog.objects, *migration.catalog.parts)}
    now = migration.target_catalog()
    own = [item for item in migration.dropped if identity_of(now, item) not in known]
    done = bring_back(migration.target_connection, now, own, migration.catalog.settings)
    return [f"could not be brought back in the target: {o.object.identity}: {o.error}" for o in done if not o.made]


def return_everything(migration: MigrationRun) -> None:
    """After a failure: bring back what was dropped and did not come again."""
    now = migration.target_catalog()
    bring_back(migration.target_connection, now, migration.dropped, migration.catalog.settings)
