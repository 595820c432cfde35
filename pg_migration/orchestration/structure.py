"""Assets ``source_schema``, ``target_ddl`` and ``post_data``: everything but rows, keys and foreign keys."""

from collections.abc import Iterator, Sequence

import dagster as dg

from pg_migration.orchestration.beginning import begin
from pg_migration.orchestration.failing import fail_if, tell, told_plainly
from pg_migration.orchestration.location import Location
from pg_migration.orchestration.metadata import catalog_metadata, findings_table, sql_block
from pg_migration.orchestration.naming import AFTER_ROWS, BEFORE_ROWS
from pg_migration.orchestration.planning import look_ahead, plan_metadata
from pg_migration.orchestration.relations import Relations
from pg_migration.orchestration.run import MigrationRun
from pg_migration.postgres import suspension
from pg_migration.postgres.catalog import MATERIALIZED_ROWS, Catalog, Phase, SchemaObject
from pg_migration.postgres.ddl import (
    Outcome,
    Reconciliation,
    Surplus,
    Verdict,
    apply,
    bring_back,
    missing,
    note_brought,
    reconcile,
)
from pg_migration.postgres.ddl.identity import identity_of
from pg_migration.postgres.extension_rows import ExtensionFailed, ExtensionRows, copy_extension_rows
from pg_migration.postgres.session import execute, transaction

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


def build_target_ddl() -> dg.AssetsDefinition:
    """The asset of schemas, types, functions, sequences and empty tables in the target."""

    @dg.asset(
        group_name=BEFORE_ROWS,
        kinds={"postgres"},
        deps=["source_schema"],
        description="Schemas, types, functions, sequences and tables in the target. A table that is there is kept when "
        "its columns are the same; when they differ, the run stops before it changes anything.",
    )
    def target_ddl(
        context: dg.AssetExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> dg.MaterializeResult[None]:
        with told_plainly(migration.outcomes.failures):
            begin(context, migration)
            target = migration.call(migration.target_catalog)
            plan = reconcile(migration.catalog, target, migration.options.drop_existing_tables)
            lost = [*lost_with(plan), *migration.call(lambda: _drop(migration, plan))]
            taken_back = plan.surplus.taken_back
            migration.dropped = tuple(item for item in plan.dropped if item.address not in taken_back)
            wanted = [item for item in plan.create if item.phase is Phase.PRE_DATA]
            statements = [*plan.drop, *migration.call(lambda: make(context, migration, wanted))]
            of_extensions = migration.call(lambda: list(_extension_rows(migration)))
        notices = (f"{n.kind} {n.name}: {n.reason}" for n in plan.notices)
        migration.outcomes.notes += [*lost, *left_alone(plan.surplus), *notices]
        for done in of_extensions:
            if isinstance(done, ExtensionRows):
                migration.outcomes.notes.append(str(done))
            else:
                tell(context, migration, str(done))
        return dg.MaterializeResult(
            metadata={
                "ddl": sql_block(statements),
                "dropped": len(plan.dropped),
                "created": len(wanted),
                "kept": len(plan.keep),
                "extension_rows": sum(done.rows for done in of_extensions if isinstance(done, ExtensionRows)),
            }
        )

    return target_ddl


def _extension_rows(migration: MigrationRun) -> Iterator[ExtensionRows | ExtensionFailed]:
    """Copy what users keep in tables of extensions; those that could not be made have failed already."""
    failed = {o.object.name for o in migration.outcomes.ddl if not o.made and o.object.kind == "extension"}
    wanted = [table for table in migration.catalog.configurations if table.extension not in failed]
    overwrite = migration.options.overwrite_existing_rows
    return copy_extension_rows(migration.source_connection, migration.target_connection, wanted, overwrite)


def build_post_data(relations: Relations) -> dg.AssetsDefinition:
    """The asset of what is made after the rows."""

    @dg.asset(
        group_name=AFTER_ROWS,
        kinds={"postgres"},
        # Not of the tables alone: a step is skipped when everything before it was, as excluded tables are.
        deps=[dg.AssetDep("target_ddl"), *relations.every_table()],
        description="Views, materialized views, rules, triggers, policies, comments and privileges: what pg_dump calls "
        "the post-data section, without indexes and foreign keys.",
    )
    def post_data(
        context: dg.AssetExecutionContext, migration: dg.ResourceParam[MigrationRun]
    ) -> dg.MaterializeResult[None]:
        with told_plainly(migration.outcomes.failures):
            begin(context, migration)
            # First: a trigger that is still set aside looks like one that differs from the source's.
            left = migration.call(lambda: suspension.restore(migration.target_connection, suspension.EVERYTHING))
            wanted = _with_refreshes(migration.catalog, lacking(migration, Phase.POST_DATA))
            statements = migration.call(lambda: make(context, migration, wanted))
            migration.call(migration.note_all_brought)
            if migration.dropped and not migration.options.drop_existing_tables:
                migration.outcomes.notes += migration.call(lambda: return_strangers(migration))
        for failure in left:
            tell(context, migration, str(failure))
        return dg.MaterializeResult(metadata={"ddl": sql_block(statements), "created": len(wanted)})

    return post_data


def lacking(migration: MigrationRun, phase: Phase) -> list[SchemaObject]:
    """The source's objects of one phase that the target does not have now."""
    tried = {outcome.object.address for outcome in migration.outcomes.ddl if not outcome.made}
    return [
        item
        for item in missing(migration.catalog, migration.target_catalog(), phase)
        if item.kind != "settings" or item.address not in tried
    ]


def _with_refreshes(catalog: Catalog, wanted: Sequence[SchemaObject]) -> list[SchemaObject]:
    """The same, and what fills the materialized views that are there: the rows below them have been replaced."""
    addresses = {item.address for item in wanted}
    ordered = [item for item in catalog.objects if item.address in addresses or item.kind == MATERIALIZED_ROWS]
    # Alterations, and parts of tables, which come first: nothing of this phase is needed for them.
    known = {item.address for item in ordered}
    return [*(item for item in wanted if item.address not in known), *ordered]


def make(context: dg.AssetExecutionContext, migration: MigrationRun, objects: Sequence[SchemaObject]) -> list[str]:
    """Make objects in the target; one that fails is logged and kept for the summary, the rest goes on.

    Returns:
        The statements that were run with success.
    """
    settings, schemas = migration.catalog.settings, migration.schemas
    done = apply(migration.target_connection, objects, migration.outcomes.ddl, settings, schemas)
    migration.outcomes.ddl += done
    migration.outcomes.notes += [f"{outcome.object.identity}: {outcome.note}" for outcome in done if outcome.note]
    made = [outcome.object for outcome in done if outcome.made]
    new = [item for item in made if item.kind != "settings"]
    note_brought(migration.target_connection, migration.source.place, migration.catalog, new)
    migration.note_made(made)
    for problem in (problem_of(outcome) for outcome in done if not outcome.made):
        tell(context, migration, problem)
    return [outcome.statement for outcome in done if outcome.made]


def problem_of(outcome: Outcome) -> str:
    """What to tell of an object that was not made."""
    if outcome.skipped_because:
        return f"{outcome.object.identity} was skipped: {outcome.skipped_because}"
    advice = ""
    if outcome.object.kind == MATERIALIZED_ROWS:
        advice = (
            " (A materialized view is filled with the rights of its owner: a REFRESH in the source fails alike where "
            "its owner has lost a privilege since.)"
        )
    return f"{outcome.object.identity} could not be made on the target: {outcome.error}{advice}\n{outcome.statement}"


def lost_with(plan: Reconciliation) -> list[str]:
    """What is dropped by a statement of its own and does not come back, as the source has nothing like it."""
    verdicts = plan.surplus.verdicts
    gone = [item for item in plan.dropped if item.drop.startswith("DROP ") and item.address in verdicts]
    unknown = [item for item in plan.surplus.unknown_until_now() if item not in gone]
    return [
        *(
            f"dropped in the target: {item.identity}{_TAKEN_BACK if item.address in plan.surplus.taken_back else ''}"
            for item in gone
        ),
        *(f"taken away in the target, as the source does not have it: {item.identity}" for item in unknown),
    ]


_TAKEN_BACK = ", which the source does not have any more"


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


def _drop(migration: MigrationRun, plan: Reconciliation) -> list[str]:
    """Drop what reconciliation decided, all or nothing; what went with it although the source knows nothing of it."""
    connection = migration.target_connection
    names = [migration.target_name(table) for table in migration.catalog.tables]
    suspension.suspend(connection, names, keys=False, unchecked=False)
    del connection.notices[:]
    with transaction(connection):
        for statement in plan.drop:
            execute(connection, statement)
    return [
        f"dropped in the target: {' '.join(notice.split())}" for notice in connection.notices if "cascade" in notice
    ]
