"""Make the structure of the source in the target."""

from collections.abc import Sequence

import dagster as dg

from pg_migration.orchestration.runs.failures import tell
from pg_migration.postgres.catalog import MATERIALIZED_ROWS, Phase, SchemaObject, Table
from pg_migration.postgres.catalog.ordering.graph import reachable
from pg_migration.postgres.connection.statements import execute, transaction
from pg_migration.postgres.ddl import Outcome, Reconciliation, Verdict, apply, missing, note_brought, suspend
from pg_migration.postgres.migration.run import MigrationRun


def lacking(migration: MigrationRun, phase: Phase) -> list[SchemaObject]:
    """The source's objects of one phase that the target does not have now."""
    tried = {outcome.object.address for outcome in migration.outcomes.ddl if not outcome.made}
    return [
        item
        for item in missing(migration.catalog, migration.target_catalog(), phase)
        if item.kind != "settings" or item.address not in tried
    ]


def refreshes(migration: MigrationRun, tables: Sequence[Table]) -> list[SchemaObject]:
    """What fills the materialized views of the target that may read some tables of the source, directly or not.

    The catalogs don't tell what functions read: a view that calls one counts as well.
    """
    catalog, known = migration.catalog, migration.catalog.tables_by_name
    read = {table.key for table in tables}
    while above := {parent for name in read for parent in known[name].parents if parent in known} - read:
        read |= above
    edges = {item.address: item.depends_on for item in catalog.objects}
    changed = {item.address for item in catalog.objects if item.kind == "table" and (item.schema, item.name) in read}
    changed |= {item.address for item in catalog.objects if item.kind in ("function", "aggregate")}
    below = {item: reachable([item.address], edges) for item in catalog.objects if item.kind == MATERIALIZED_ROWS}
    filling = [item for item, needed in below.items() if changed & needed]
    if not filling:
        return []
    other = {item.address for item in lacking(migration, Phase.POST_DATA) if item.kind == "materialized view"}
    return [item for item in filling if other.isdisjoint(item.depends_on)]


def make(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, migration: MigrationRun, objects: Sequence[SchemaObject]
) -> list[str]:
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


def _drop(migration: MigrationRun, plan: Reconciliation) -> list[str]:
    """Drop what reconciliation decided, all or nothing; what went with it although the source knows nothing of it."""
    connection = migration.target_connection
    names = [migration.target_name(table) for table in migration.catalog.tables]
    suspend.suspend(connection, names, keys=False, unchecked=False)
    del connection.notices[:]
    with transaction(connection):
        for statement in plan.drop:
            execute(connection, statement)
        # What the source has otherwise or not at all must not come back from there.
        verdicts = plan.surplus.verdicts
        theirs = (item for item in plan.dropped if verdicts.get(item.address) not in (Verdict.OWN, Verdict.NEEDED))
        suspend.forget(connection, theirs)
    return [
        f"dropped in the target: {' '.join(notice.split())}" for notice in connection.notices if "cascade" in notice
    ]
