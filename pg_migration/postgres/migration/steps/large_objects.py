"""Copy and compare large objects, which belong to the database as a whole."""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import LargeObjects
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.free_connections import affordable_workers, free_connections
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.ddl.changes.security_labels import loaded_providers
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import counted, size
from pg_migration.postgres.large_objects import copying, owned
from pg_migration.postgres.large_objects.copying import BatchCompared, BatchFailed, Both
from pg_migration.postgres.large_objects.properties import Properties
from pg_migration.postgres.large_objects.result import LargeObjectsFound
from pg_migration.postgres.large_objects.state import MAX_BATCH_OBJECTS, Batch, pages, read_batches
from pg_migration.postgres.ledger.source_state import record_large_objects
from pg_migration.postgres.migration.comparison.databases import both_sides
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.snapshot.readers import Readers, room_for_locks
from pg_migration.postgres.transfer.load_context import Lock
from pg_migration.postgres.transfer.progress import Pace
from pg_migration.postgres.verification.both_sides import BothSides

CHECK_SECONDS = 5.0
MIN_BATCH_OBJECTS = 10


def copy_large_objects(run: MigrationRun) -> LargeObjectsFound | None:
    """Bring the target's large objects to what the source's are, and compare them; None where there are none to copy.

    Begun runs only. What could not be copied, or is not the same, is in the run's failures.

    Raises:
        MigrationError: when nothing can go on.
    """
    if not run.with_large_objects:
        return None
    dropped = drop_lost_large_objects(run)
    found = run.catalog.large_objects
    if found is None:
        return None
    assert run.sides.snapshot is not None, "begin() takes the snapshot"
    workers = run.call(run.workers)
    at_once = run.call(lambda: _objects_at_once(run.sides.target_connection, workers))
    may_exist = bool(
        run.call(lambda: fetch(run.sides.target_connection, "SELECT FROM pg_largeobject_metadata LIMIT 1"))
    )
    both = _both(run, found, run.sides.snapshot.readers, run.sides.lock, run.options.check_content, may_exist)
    source, columns = run.sides.source_connection, found.columns
    every = pages(lambda after: run.call(lambda: read_batches(source, columns, at_once, after)))
    done = LargeObjectsFound(dropped=dropped, hashed=run.options.check_content)
    _count(run, done, found.objects, (copying.copy(both, page, workers) for page in every))
    run.outcomes.large_objects = done
    run.log.info(str(done))
    for problem in done.problems:
        run.fail(problem)
    if not done.problems:
        run.call(lambda: record_large_objects(run.sides.target_connection, run.run_id))
    return done


def drop_lost_large_objects(run: MigrationRun) -> int:
    """Drop what migrations from this source brought, and the source does not have any more; how many that were."""
    source, target = run.sides.source_connection, run.sides.target_connection
    runs = run.call(lambda: owned.our_runs(target, run.sides.databases))
    lost = run.call(lambda: owned.lost(source, target, runs))
    if lost:
        run.call(lambda: owned.drop(target, lost, _objects_at_once(target, 1)))
        run.outcomes.notes.append(f"dropped, since the source has them no more: {counted(len(lost), 'large object')}")
    return len(lost)


def take_back_large_objects(run: MigrationRun) -> None:
    """Drop what migrations from this source brought before a transform was applied, which no mask has reached."""
    target = run.sides.target_connection
    found = run.call(lambda: owned.brought(target, owned.our_runs(target, run.sides.databases)))
    if found:
        run.call(lambda: owned.drop(target, found, _objects_at_once(target, 1)))
        run.outcomes.notes.append(
            f"dropped, since the transform leaves large objects out: {counted(len(found), 'large object')}"
        )


def compare_large_objects(run: MigrationRun) -> LargeObjectsFound | None:
    """Compare the large objects of both sides, in the run's snapshot if it has one; None where there are none.

    What is not the same is in the run's failures. Never raises a `MigrationError`.
    """
    if not run.with_large_objects:
        return None
    if run.asks_ledger:
        return _compare_with_ledger(run)
    found = LargeObjectsFound(hashed=True)
    try:
        if run.call(lambda: run.live.followed) is not None:
            run.outcomes.notes.append("large objects are not replicated, and copied at the cutover: not compared now")
            return None
        run.migration.check()
        of_source = run.call(lambda: run.catalog.large_objects)
        runs = run.call(lambda: owned.our_runs(run.sides.target_connection, run.sides.databases))
        if of_source is None and not runs:
            return None
        with both_sides(run) as sides:
            target = run.sides.target_connection
            found.gone = run.call(lambda: sides.on([Side.SOURCE], lambda ends: owned.lost(ends[0], target, runs)))
            if of_source is not None:
                both = _both(run, of_source, sides.snapshots[Side.SOURCE].readers, None, True, True)
                workers, every = run.call(run.workers), pages(partial(_read_page, run, sides, of_source))
                _count(run, found, of_source.objects, (copying.compare(both, page, workers) for page in every))
    except MigrationError as error:
        found.failures.append(str(error))
    for problem in found.problems:
        run.fail(problem)
    return found


def _read_page(run: MigrationRun, sides: BothSides, found: LargeObjects, after: int) -> list[Batch]:
    """The batches of the source that come after an OID, as many as are known at once."""
    size_of_batch, columns = MAX_BATCH_OBJECTS, found.columns
    return run.call(lambda: sides.on([Side.SOURCE], lambda ends: read_batches(ends[0], columns, size_of_batch, after)))


def _compare_with_ledger(run: MigrationRun) -> LargeObjectsFound | None:
    """Compare the target's large objects with what was copied; None where nothing was."""
    found = LargeObjectsFound(hashed=True, by_ledger=True)
    try:
        if not run.call(lambda: owned.has_brought_large_objects(run.sides.target_connection)):
            return None
        none = LargeObjects(0, None, ())
        workers = run.call(
            lambda: affordable_workers(run.options.workers, [free_connections(run.sides.target_connection)])
        )
        both = _both(run, none, None, None, True, True)
        every = pages(lambda after: run.call(lambda: owned.recorded_batches(run.sides.target_connection, after)))
        _count(run, found, None, (copying.compare_with_ledger(both, page, workers) for page in every))
    except MigrationError as error:
        found.failures.append(str(error))
    for problem in found.problems:
        run.fail(problem)
    return found


def _both(
    run: MigrationRun, found: LargeObjects, readers: Readers | None, lock: Lock | None, hashed: bool, may_exist: bool
) -> Both:
    options = run.options
    owners, role = bool(options.owners), run.sides.reach.role
    reach = run.sides.reach if options.owners == "best_effort" else None
    unlabelled = run.call(lambda: _missing_providers(run)) if readers is not None else frozenset[str]()
    return Both(
        run.connections,
        run.sides.target,
        readers,
        lock,
        run.owner or run.run_id,
        Properties(found.privileges, role, owners, options.privileges, reach, unlabelled),
        Properties((), role, owners, options.privileges, None),
        hashed,
        may_exist,
    )


def _missing_providers(run: MigrationRun) -> frozenset[str]:
    """The providers of security labels that the source's large objects have, and that the target has not loaded."""
    rows = fetch(
        run.sides.source_connection,
        "SELECT DISTINCT l.provider FROM pg_seclabel l WHERE l.classoid = 'pg_largeobject'::regclass",
    )
    names = {name for (name,) in rows}
    missing = names - loaded_providers(run.sides.target_connection, names) if names else frozenset[str]()
    run.outcomes.notes += [
        f"security labels of large objects: the target has not loaded the provider {name}, which sets labels (see LOAD)"
        for name in sorted(missing)
    ]
    return frozenset(missing)


def _count(
    run: MigrationRun,
    into: LargeObjectsFound,
    expected: int | None,
    pages_of_events: Iterable[Iterator[BatchCompared | BatchFailed]],
) -> None:
    """Work off what there is, one page after the other, and tell now and then how far that is."""
    started = due = time.monotonic()
    pace, of_all = Pace(), f" of {expected:,}" if expected is not None else ""
    for event in chain.from_iterable(pages_of_events):
        if isinstance(event, BatchFailed):
            into.failures.append(f"large objects could not be read or written: {event.error}")
        else:
            into.add(event)
        if pace.is_due():
            run.log.info(f"large objects: {into.objects:,}{of_all}, {size(into.bytes)}")
        if run.begun and time.monotonic() >= due + CHECK_SECONDS:
            due = time.monotonic()
            run.call(run.sides.check_held)
    into.seconds = time.monotonic() - started


def _objects_at_once(target: Connection, workers: int) -> int:
    """How many objects a transaction may lock: what all workers lock has to leave half of the server's room."""
    return max(MIN_BATCH_OBJECTS, min(MAX_BATCH_OBJECTS, room_for_locks(target) // (2 * workers)))
