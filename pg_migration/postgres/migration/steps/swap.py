"""Put what a run has loaded beside the live schemas in their place, and go back to what was there before."""

from collections.abc import Iterator

from pg_migration.postgres.catalog import Catalog, Phase, SchemaObject
from pg_migration.postgres.catalog.identity import by_identity, identity_of, is_same, there
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.ddl import Surplus, missing, note_brought
from pg_migration.postgres.errors import MigrationError, StructureConflict
from pg_migration.postgres.figures import listed
from pg_migration.postgres.ledger import runs
from pg_migration.postgres.ledger.lock import TargetLock
from pg_migration.postgres.ledger.schema import has
from pg_migration.postgres.migration.comparison.compare_state import compare_structure, grave_differences
from pg_migration.postgres.migration.outcomes import MAX_NAMED, Swap
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps.large_objects import take_back_large_objects
from pg_migration.postgres.migration.steps.structure import make
from pg_migration.postgres.preflight import Severity
from pg_migration.postgres.swap import shadows
from pg_migration.postgres.swap.exchange import Incoming, swap_back, swap_in
from pg_migration.postgres.swap.names import next_name
from pg_migration.postgres.swap.old_snapshots import Waited, wait_for_old_snapshots
from pg_migration.postgres.swap.refusals import PUBLICATIONS, of_publications

_ROLES = "SELECT rolname FROM pg_roles"


def swap(run: MigrationRun) -> Swap:
    """Swap everything that a run has loaded in at once, after everybody who might see it half has gone.

    Raises:
        MigrationError: it can't be done, or something is wrong with what was loaded; nothing has changed for readers.
    """
    if problems := list(_unproved(run)):
        raise MigrationError(f"not swapped, and nothing has changed for readers: {listed(problems, MAX_NAMED)}")
    done = run.call(lambda: _swap(run))
    run.outcomes.swap = done
    run.outcomes.notes.append(str(done))
    if run.takes_large_objects_back:  # the copy before may refer to some
        take_back_large_objects(run)
    return done


def _unproved(run: MigrationRun) -> Iterator[str]:
    """What keeps a run from swapping: it has to have loaded and compared every table itself, and made the rest."""
    outcomes = run.outcomes
    if outcomes.failures or not run.swaps:
        yield "the run has failed" if outcomes.failures else "there is nothing that could be swapped"
        return
    for name in map(run.target_name, run.call(lambda: run.catalog.tables)):
        if name not in outcomes.loaded:
            yield f"{'.'.join(name)} was not loaded by this run; start the job migrate, which does everything"
        elif not outcomes.checks.get(name) or not all(outcomes.checks[name].values()):
            yield f"{'.'.join(name)} was not compared by this run, or differs"
    yield from map(str, grave_differences(compare_structure(run), made_here=True))


def _swap(run: MigrationRun) -> Swap:
    options, connection, live = run.options, run.sides.target_connection, list(run.live_schemas.values())
    run.sides.check_held()
    source = _as_live(run)
    target = run.target_catalog_of({next_name(name): name for name in live})
    waited = wait_for_old_snapshots(
        connection, run.connections.processes(), options.swap_wait_seconds, options.swap_anyway, run.log.warning
    )
    before = run.target_catalog_of({name: name for name in live}, origin=run.sides.source.place)
    _refuse_what_came(run, before)
    incoming = Incoming(
        origin=run.sides.source.place,
        source_schemas=list(run.live_schemas),
        catalogs=(source, target),
        everything=not options.privileges,
        owners=options.owners is False,
        of_source=[role for (role,) in fetch(run.sides.source_connection, _ROLES)],
        published=_published(source, before),
        withdrawn=_withdrawn(source, before),
    )
    run.sides.check_held()
    done = swap_in(connection, live, incoming, options.swap_wait_seconds)
    run.swapped(source)
    _make_publications(run)
    run.sides.return_event_triggers()
    if not options.keep_previous:
        shadows.drop(connection, list(done.previous))
    return Swap(done, waited)


def _refuse_what_came(run: MigrationRun, live: Catalog) -> None:
    """Look again for what a swap would lose, as others may have made something in what is live while the run loaded."""
    found = [str(finding) for finding in run.swap_at_stake(live) if finding.severity is Severity.ERROR]
    if found:
        raise StructureConflict(f"not swapped, and nothing has changed for readers: {'; '.join(found)}")


def _make_publications(run: MigrationRun) -> None:
    """Make those of the source that the target lacks: what is to be in them had another name until now."""
    if wanted := of_publications(run.catalog):
        lacking = missing(run.catalog, run.target_catalogs.now(), Phase.POST_DATA)
        make(run, [item for item in lacking if item.address[:2] in wanted])
        published = _published(run.catalog, run.target_catalogs.now())
        note_brought(run.sides.target_connection, run.sides.source.place, run.catalog, published)


def _published(source: Catalog, target: Catalog) -> list[SchemaObject]:
    """Of the source's publications what the target has."""
    theirs = there(target)
    return [item for key, item in by_identity(source).items() if item.kind in PUBLICATIONS and key in theirs]


def _withdrawn(source: Catalog, target: Catalog) -> list[str]:
    """The statements that take out of the target's publications what the source publishes otherwise, or not any more.

    What it publishes otherwise is put in anew after the swap.
    """
    gone, ours = Surplus(source, target).taken_back, by_identity(source)
    tables = {source.target_name(name) for name in source.tables_by_name}

    def goes(item: SchemaObject) -> bool:
        if item.table is not None and item.table not in tables:
            return False  # it went with its table
        known = ours.get(identity_of(target, item))
        if known is None:
            return item.address in gone
        return item.kind != "publication" and not is_same(source, target, known, item)

    return [item.drop for item in reversed(target.objects) if item.kind in PUBLICATIONS and item.drop and goes(item)]


def _as_live(run: MigrationRun) -> Catalog:
    return run.live_catalog if run.transformation is None else run.transformation.applied(run.live_catalog)


def go_back(run: MigrationRun) -> Swap:
    """Make what was live before the last swap live again. The source is not asked.

    Raises:
        MigrationError: there is nothing to go back to, or something stands in the way; nothing has changed.
    """
    run.migration.check()
    done = run.call(lambda: _go_back(run))
    run.outcomes.swap = done
    run.outcomes.notes.append(str(done))
    return done


def _go_back(run: MigrationRun) -> Swap:
    connection, live = run.sides.target_connection, list(run.live_schemas.values())
    lock = TargetLock(run.connections, run.sides.target, run.run_id)
    lock.acquire()
    run.live.demand_none()
    incoming = Incoming(run.sides.source.place, list(run.live_schemas), everything=True)
    if not has(connection, "shadow"):
        return Swap(swap_back(connection, live, incoming, run.options.swap_wait_seconds), NOBODY)
    runs.end_orphans(connection, run.run_id)
    run.sides.set_event_triggers_aside()
    try:
        done = swap_back(connection, live, incoming, run.options.swap_wait_seconds)
    finally:
        if not connection.closed:
            run.sides.return_event_triggers()
    return Swap(done, NOBODY)


NOBODY = Waited((), 0.0, ())
