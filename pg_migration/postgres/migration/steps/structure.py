"""Make the structure of the source in the target."""

from ast import literal_eval
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import MATERIALIZED_ROWS, Address, Catalog, Phase, SchemaObject, Table
from pg_migration.postgres.catalog.identity import by_identity, identity_of, memory_key
from pg_migration.postgres.catalog.ordering.graph import reachable
from pg_migration.postgres.connection.statements import execute, fetch, gathered
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
from pg_migration.postgres.ddl.changes import suspend
from pg_migration.postgres.ddl.changes.together import in_portions
from pg_migration.postgres.errors import server_message
from pg_migration.postgres.figures import listed
from pg_migration.postgres.ledger import chunks
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps.large_objects import drop_lost_large_objects, take_back_large_objects
from pg_migration.postgres.statistics.restoring import NOT_ALL_TAKEN, restore
from pg_migration.postgres.statistics.source_statistics import TableStatistics, read_statistics
from pg_migration.postgres.transfer.extension_rows import (
    ExtensionFailed,
    ExtensionRows,
    copy_extension_rows,
    take_back_extension_rows,
)

# What is read of a table of this size takes no longer than a round trip.
SMALL_BYTES = 8 * 1024 * 1024
# Statistics are given of so many materialized views at once.
VIEWS_AT_ONCE = 50
# Names of objects in one line of the summary.
MAX_NAMED = 20


def missing_objects(run: MigrationRun, phase: Phase) -> list[SchemaObject]:
    """The source's objects of one phase that the target does not have."""
    tried = {outcome.object.address for outcome in run.outcomes.ddl if not outcome.made}
    return [
        item
        for item in missing(run.catalog, run.target_catalogs.of(phase), phase)
        if item.kind != "settings" or item.address not in tried
    ]


def refreshes(run: MigrationRun, tables: Sequence[Table]) -> list[SchemaObject]:
    """What fills the materialized views of the target that may read some tables of the source, directly or not.

    The catalogs don't tell what functions read: a view that calls one counts as well.
    """
    catalog, known = run.catalog, run.catalog.tables_by_name
    read = {table.key for table in tables}
    while above := {parent for name in read for parent in known[name].parents if parent in known} - read:
        read |= above
    edges = {item.address: item.depends_on for item in catalog.objects}
    changed = {item.address for item in catalog.objects if item.kind == "table" and (item.schema, item.name) in read}
    changed |= {item.address for item in catalog.objects if item.kind in ("function", "aggregate", "foreign table")}
    below = {item: reachable([item.address], edges) for item in catalog.objects if item.kind == MATERIALIZED_ROWS}
    filling = [item for item, needed in below.items() if changed & needed]
    if not filling:
        return []
    other = {item.address for item in missing_objects(run, Phase.POST_DATA) if item.kind == "materialized view"}
    return [item for item in filling if other.isdisjoint(item.depends_on)]


def make(run: MigrationRun, objects: Sequence[SchemaObject]) -> list[str]:
    """Make objects in the target; one that fails is logged and kept for the summary, the rest goes on.

    Returns:
        The statements that were run with success.
    """
    if not objects:
        return []
    settings, alone = run.catalog.settings, _taking_long(run.catalog, objects)
    done = apply(run.sides.target_connection, objects, run.outcomes.ddl, settings, run.schemas, alone)
    run.outcomes.ddl += done
    run.outcomes.notes += [f"{outcome.object.identity}: {outcome.note}" for outcome in done if outcome.note]
    made = [outcome.object for outcome in done if outcome.made]
    _restore_statistics(run, [item for item in made if item.kind in ("materialized view", MATERIALIZED_ROWS)])
    new = [item for item in made if item.kind != "settings"]
    note_brought(run.sides.target_connection, run.origin, run.catalog, new)
    run.target_catalogs.changed({item.phase for item in objects})
    run.target_catalogs.made(made)
    run.target_catalogs.settle()
    for outcome in done:
        if not outcome.made:
            run.fail(problem_of(outcome))
    return [outcome.statement for outcome in done if outcome.made]


def _restore_statistics(run: MigrationRun, made: Sequence[SchemaObject]) -> None:
    """Let the target know of materialized views that were made or filled what the source knows of them."""
    if not made or not run.carries_statistics:
        return
    every = {item.address.objid: item for item in made}.values()
    for schema in dict.fromkeys(item.schema for item in every):
        views = [item for item in every if item.schema == schema]
        for first in range(0, len(views), VIEWS_AT_ONCE):
            some = views[first : first + VIEWS_AT_ONCE]
            oids = {item.address.objid for item in some}
            known = read_statistics(run.sides.source_connection, oids, run.statistics_objects)
            if _refusal(run, schema, list(known.values())) is None:
                continue
            for view in some:  # which of them it is
                if (refusal := _refusal(run, schema, [known[view.address.objid]])) is not None:
                    name = f"{run.schemas[schema]}.{view.name}"
                    run.outcomes.notes.append(f"no statistics of materialized view {name}: {refusal}")


def _refusal(run: MigrationRun, schema: str, known: Sequence[TableStatistics]) -> str | None:
    """Why the target does not take statistics; None where it has taken them."""
    try:
        taken = restore(run.sides.target_connection, run.schemas[schema], known)
    except psycopg2.Error as error:
        if run.sides.target_connection.closed:
            raise
        return server_message(error)
    return None if taken else NOT_ALL_TAKEN


def _taking_long(catalog: Catalog, objects: Sequence[SchemaObject]) -> set[Address]:
    """Of some objects those that read many rows: what was read in vain for another one would be read again."""
    large = {table.key for table in catalog.tables if table.bytes > SMALL_BYTES}
    large |= {table.root for table in catalog.tables if table.root is not None and table.key in large}
    referenced = {key.address: key.referenced for key in catalog.foreign_keys}
    return {
        item.address
        for item in objects
        if item.kind == MATERIALIZED_ROWS or not large.isdisjoint((item.table, referenced.get(item.address)))
    }


@dataclass(frozen=True)
class TargetMade:
    """What was done so that rows can be loaded: statements that ran, and how many objects they concern."""

    statements: Sequence[str]
    dropped: int
    created: int
    kept: int
    extension_rows: int


def make_target(run: MigrationRun) -> TargetMade:
    """Make the target's schemas, types, functions, sequences and tables like the source's, and drop what it took back.

    Raises:
        MigrationError: when that can't be done; nothing was changed.
    """
    run.call(run.make_shadows)
    target = run.call(run.target_catalogs.now)
    plan = reconcile(run.catalog, target, run.options.drop_existing_tables)
    lost = [*lost_with(plan), *run.call(lambda: _drop(run, plan))]
    run.kept = frozenset(item.address for item in plan.keep)
    taken_back = plan.surplus.taken_back
    run.dropped = tuple(item for item in plan.dropped if item.address not in taken_back)
    wanted = [item for item in plan.create if item.phase is Phase.PRE_DATA]
    statements = [*plan.drop, *run.call(lambda: make(run, wanted))]
    of_extensions = run.call(lambda: list(copy_rows_of_extensions(run)))
    if target.has_brought_large_objects and run.takes_large_objects_back and not run.swaps:
        take_back_large_objects(run)
    elif target.has_brought_large_objects and run.catalog.large_objects is None and run.with_large_objects:
        drop_lost_large_objects(run)  # no step is about large objects where the source has none
    dropped_schemas = run.call(lambda: _dropped_schemas(run, target))
    not_coming_back = {item.address for item in plan.dropped} if run.options.drop_existing_tables else set()
    run.outcomes.notes += [*lost, *_left_alone(plan.surplus, dropped_schemas, not_coming_back)]
    run.outcomes.notes += [f"{notice.kind} {notice.name}: {notice.reason}" for notice in plan.notices]
    copied = [done for done in of_extensions if isinstance(done, ExtensionRows)]
    run.outcomes.notes += map(str, copied)
    for done in of_extensions:
        if isinstance(done, ExtensionFailed):
            run.fail(str(done))
    rows = sum(done.rows for done in copied)
    return TargetMade(statements, len(plan.dropped), len(wanted), len(plan.keep), rows)


def make_post_data(run: MigrationRun) -> TargetMade:
    """Bring back what was set aside, and make what comes after the rows: views, triggers, policies, privileges."""
    # First: a trigger that is still set aside looks like one that differs from the source's.
    done = run.call(lambda: suspend.restore(run.sides.target_connection, suspend.EVERYTHING))
    if (back := _as_before(run, done.returned)) is None:
        run.target_catalogs.changed()
    lacking = [i for i in run.call(lambda: missing_objects(run, Phase.POST_DATA)) if i.address not in (back or ())]
    wanted = _with_refreshes(run.catalog, lacking)
    statements = run.call(lambda: make(run, wanted))
    if run.outcomes.failures:
        run.call(run.target_catalogs.note_the_rest)
    else:
        run.call(run.target_catalogs.note_all_brought)
    if run.dropped and not run.options.drop_existing_tables:
        run.outcomes.notes += run.call(lambda: _return_other_objects(run))
    if not run.swaps:  # which alters schemas, and what others have built on them
        run.call(run.sides.return_event_triggers)
    for failure in done.failures:
        run.fail(str(failure))
    return TargetMade(statements, 0, len(wanted), 0, 0)


def _as_before(run: MigrationRun, returned: Sequence[suspend.Suspended]) -> set[Address] | None:
    """Of what was set aside and is back, the source's objects that are again as they were, and the source has them.

    Returns:
        None when something else is back, that the target as it was last read does not tell.
    """
    ours = {
        (item.kind, run.catalog.target_name(item.table), item.name): item.address
        for item in run.catalog.objects
        if item.table is not None and item.kind in suspend.WRITES
    }
    back = {ours.get((item.kind, item.table, item.name)) for item in returned} - {None}
    if back <= run.kept and all(item.kind in suspend.WRITES for item in returned):
        return {address for address in back if address is not None}
    return None


def return_everything(run: MigrationRun) -> None:
    """After a failure: bring back what was dropped and did not come again."""
    bring_back(run.sides.target_connection, run.target_catalogs.now(), run.dropped, run.catalog.settings)
    run.target_catalogs.changed()


def problem_of(outcome: Outcome) -> str:
    """What to tell of an object that was not made."""
    if outcome.skipped_because:
        return f"{outcome.object.identity} was skipped: {outcome.skipped_because}"
    advice = ""
    if outcome.object.kind == MATERIALIZED_ROWS:
        advice = (
            " (A materialized view is filled with the rights of its owner: a REFRESH in the source fails alike where "
            "its owner has lost a privilege since. Where it reads a foreign table, the target has to reach its server.)"
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
            if not plan.surplus.is_unfinished_key(item)
        ),
        *(f"taken away in the target, as the source does not have it: {item.identity}" for item in unknown),
    ]


_TAKEN_BACK = ", which the source does not have any more"


def _drop(run: MigrationRun, plan: Reconciliation) -> list[str]:
    """Drop what reconciliation decided; what went with it although the source knows nothing of it.

    That is all or nothing, unless it takes more locks than the target has room for.
    """
    connection = run.sides.target_connection
    present = {(item.schema, item.name) for item in plan.surplus.target.objects}
    names = present.intersection(run.place(table) for table in run.catalog.tables)
    if not run.sides.made_ledger:
        _forget_of_source(connection, run.catalog, plan.surplus.target)
    if names and suspend.suspend(connection, sorted(names), keys=False, unchecked=False).taken:
        run.target_catalogs.changed()
    if not (plan.drop or plan.dropped):
        return []
    run.target_catalogs.changed()
    del connection.notices[:]
    # What the source has otherwise or not at all must not come back from there.
    verdicts = plan.surplus.verdicts
    theirs = (item for item in plan.dropped if verdicts.get(item.address) not in (Verdict.OWN, Verdict.NEEDED))
    gone = list(theirs)
    try:
        _drop_together(connection, plan, gone, plan.drop)
    except errors.OutOfMemory:  # of the memory that is shared: for locks
        run.dropped = plan.dropped  # as far as it goes; what is still there then is not brought back
        for some in in_portions(plan.drop):
            _drop_together(connection, plan, gone, some)
    return [
        f"dropped in the target: {' '.join(notice.split())}" for notice in connection.notices if "cascade" in notice
    ]


def _drop_together(
    connection: Connection, plan: Reconciliation, gone: Sequence[SchemaObject], statements: Sequence[str]
) -> None:
    with gathered(connection):
        suspend.forget(connection, gone)
        if tables := [item.table for item in plan.dropped if item.kind == "table" and item.table is not None]:
            chunks.forget(connection, tables)
        for statement in statements:
            execute(connection, statement)


def _forget_of_source(connection: Connection, source: Catalog, target: Catalog) -> None:
    """Forget what a killed run has set aside, where the source makes it anew if it still has it.

    It may have dropped or changed a constraint or an index since. What is the target's own comes back from the ledger.
    """
    tables = {source.target_name(table.key) for table in source.tables}
    left_out = {(source.target_name(item.table), item.name) for item in source.excluded if item.table}
    made = by_identity(source)

    def is_of_source(item: suspend.Suspended) -> bool:
        if item.kind == suspend.OF_DOMAINS:
            schema, domain = item.table
            return ("domain", schema, None, domain) in made
        if item.table not in tables or (item.table, item.name) in left_out:
            return False
        key = (item.kind, item.table[0], item.table, item.name)
        came = item.kind == "index" and (key in made or memory_key(key) in target.brought)
        return came or item.kind in suspend.CONSTRAINTS

    suspend.forget(connection, [item for item in suspend.left(connection) if is_of_source(item)])


def copy_rows_of_extensions(run: MigrationRun) -> Iterator[ExtensionRows | ExtensionFailed]:
    """Copy what users keep in tables of extensions; those that could not be made have failed already."""
    failed = {o.object.name for o in run.outcomes.ddl if not o.made and o.object.kind == "extension"}
    wanted = [table for table in run.catalog.configurations if table.extension not in failed]
    overwrite = run.options.overwrite_existing_rows
    yield from copy_extension_rows(run.sides.source_connection, run.sides.target_connection, wanted, overwrite)
    left_behind = run.transformation.left_behind if run.transformation is not None else ()
    for found in take_back_extension_rows(run.sides.target_connection, left_behind):
        if isinstance(found, ExtensionFailed):
            yield found
        else:
            run.outcomes.notes.append(found)


def _with_refreshes(catalog: Catalog, wanted: Sequence[SchemaObject]) -> list[SchemaObject]:
    """The same, and what fills the materialized views that are there: the rows below them have been replaced."""
    addresses = {item.address for item in wanted}
    ordered = [item for item in catalog.objects if item.address in addresses or item.kind == MATERIALIZED_ROWS]
    # Alterations, and parts of tables, which come first: nothing of this phase is needed for them.
    known = {item.address for item in ordered}
    return [*(item for item in wanted if item.address not in known), *ordered]


def _left_alone(surplus: Surplus, dropped_schemas: Sequence[str], gone: Container[Address]) -> list[str]:
    """What stays in the target although the source does not have it, in a line for each reason."""
    staying = {
        verdict.value: [item.identity for item in surplus.staying(verdict) if item.address not in gone]
        for verdict in (Verdict.OWN, Verdict.NEEDED)
    }
    staying[_NOT_FOR_US] = [*(f"schema {name}" for name in dropped_schemas), *(i.identity for i in surplus.wholes)]
    return [
        f"left alone in the target, since {reason}: {listed(names, MAX_NAMED)}"
        for reason, names in staying.items()
        if names
    ]


_NOT_FOR_US = "the source does not have it any more, but others may use it, so that only you can drop it"


def _dropped_schemas(run: MigrationRun, target: Catalog) -> list[str]:
    """The schemas of the target that hold what was brought from schemas which the source has dropped since."""
    others = set(target.brought.values()) - {*run.schemas, ""}
    if not others:
        return []
    query = "SELECT nspname FROM pg_catalog.pg_namespace"
    gone = others - {name for (name,) in fetch(run.sides.source_connection, query)}
    held = {literal_eval(key)[1] for key, schema in target.brought.items() if schema in gone}
    return sorted(held & {name for (name,) in fetch(run.sides.target_connection, query)})


def _return_other_objects(run: MigrationRun) -> list[str]:
    """Bring back what never was the source's and was built on something that was replaced; what did not come."""
    known = by_identity(run.catalog)
    now = run.target_catalogs.now()
    own = [item for item in run.dropped if identity_of(now, item) not in known]
    done = bring_back(run.sides.target_connection, now, own, run.catalog.settings)
    if done:
        run.target_catalogs.changed()
    return [f"could not be brought back in the target: {o.object.identity}: {o.error}" for o in done if not o.made]
