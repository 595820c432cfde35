"""Copy and compare large objects, which belong to the database as a whole."""

import time
from collections.abc import Iterator, Sequence

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import LargeObjects
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.free_connections import affordable_workers, free_connections
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import counted, size
from pg_migration.postgres.large_objects import copying, owned
from pg_migration.postgres.large_objects.copying import BatchCompared, BatchFailed, Both
from pg_migration.postgres.large_objects.properties import Properties
from pg_migration.postgres.large_objects.result import LargeObjectsFound
from pg_migration.postgres.large_objects.state import MAX_BATCH_OBJECTS, Batch, read_batches
from pg_migration.postgres.migration.comparison.databases import both_sides
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.snapshot.readers import Readers, room_for_locks
from pg_migration.postgres.transfer.load_context import Lock
from pg_migration.postgres.transfer.progress import Pace

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
    assert run.snapshot is not None, "begin() takes the snapshot"
    workers = run.call(run.workers)
    at_once = run.call(lambda: _objects_at_once(run.target_connection, workers))
    may_exist = bool(run.call(lambda: fetch(run.target_connection, "SELECT FROM pg_largeobject_metadata LIMIT 1")))
    both = _both(run, found, run.snapshot.readers, run.lock, run.options.check_content, may_exist)
    batches = run.call(lambda: read_batches(run.source_connection, found.columns, at_once))
    done = LargeObjectsFound(dropped=dropped, hashed=run.options.check_content)
    _count(run, done, batches, copying.copy(both, batches, workers))
    run.outcomes.large_objects = done
    run.log.info(str(done))
    for problem in done.problems:
        run.fail(problem)
    return done


def drop_lost_large_objects(run: MigrationRun) -> int:
    """Drop what migrations from this source brought, and the source does not have any more; how many that were."""
    source, target = run.source_connection, run.target_connection
    runs = run.call(lambda: owned.our_runs(target, run.databases))
    lost = run.call(lambda: owned.lost(source, target, runs))
    if lost:
        run.call(lambda: owned.drop(target, lost, _objects_at_once(target, 1)))
        run.outcomes.notes.append(f"dropped, since the source has them no more: {counted(len(lost), 'large object')}")
    return len(lost)


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
        run.migration.check()
        of_source = run.call(lambda: run.catalog.large_objects)
        runs = run.call(lambda: owned.our_runs(run.target_connection, run.databases))
        if of_source is None and not runs:
            return None
        with both_sides(run) as sides:
            target = run.target_connection
            found.gone = run.call(lambda: sides.on([Side.SOURCE], lambda ends: owned.lost(ends[0], target, runs)))
            if of_source is not None:
                read = read_batches
                batches = run.call(
                    lambda: sides.on([Side.SOURCE], lambda ends: read(ends[0], of_source.columns, MAX_BATCH_OBJECTS))
                )
                both = _both(run, of_source, sides.snapshots[Side.SOURCE].readers, None, True, True)
                _count(run, found, batches, copying.compare(both, batches, run.call(run.workers)))
    except MigrationError as error:
        found.failures.append(str(error))
    for problem in found.problems:
        run.fail(problem)
    return found


def _compare_with_ledger(run: MigrationRun) -> LargeObjectsFound | None:
    """Compare the target's large objects with what was copied; None where nothing was."""
    found = LargeObjectsFound(hashed=True, by_ledger=True)
    try:
        batches = run.call(lambda: owned.recorded_batches(run.target_connection))
        if not batches:
            return None
        none = LargeObjects(0, None, ())
        workers = run.call(lambda: affordable_workers(run.options.workers, [free_connections(run.target_connection)]))
        both = _both(run, none, None, None, True, True)
        _count(run, found, batches, copying.compare_with_ledger(both, batches, workers))
    except MigrationError as error:
        found.failures.append(str(error))
    for problem in found.problems:
        run.fail(problem)
    return found


def _both(
    run: MigrationRun, found: LargeObjects, readers: Readers | None, lock: Lock | None, hashed: bool, may_exist: bool
) -> Both:
    options = run.options
    owners, role = bool(options.owners), run.reach.role
    reach = run.reach if options.owners == "best_effort" else None
    return Both(
        run.connections,
        run.target,
        readers,
        lock,
        run.owner or run.run_id,
        Properties(found.privileges, role, owners, options.privileges, reach),
        Properties((), role, owners, options.privileges, None),
        hashed,
        may_exist,
    )


def _count(
    run: MigrationRun, into: LargeObjectsFound, batches: Sequence[Batch], events: Iterator[BatchCompared | BatchFailed]
) -> None:
    """Work batches off, and tell now and then how far that is."""
    started = due = time.monotonic()
    objects, total, pace = sum(b.objects for b in batches), size(sum(b.bytes for b in batches)), Pace()
    for event in events:
        if isinstance(event, BatchFailed):
            into.failures.append(f"large objects could not be read or written: {event.error}")
        else:
            into.add(event)
        if pace.is_due():
            run.log.info(f"large objects: {into.objects:,} of {objects:,}, {size(into.bytes)} of {total}")
        if run.begun and time.monotonic() >= due + CHECK_SECONDS:
            due = time.monotonic()
            run.call(run.check_held)
    into.seconds = time.monotonic() - started


def _objects_at_once(target: Connection, workers: int) -> int:
    """How many objects a transaction may lock: what all workers lock has to leave half of the server's room."""
    return max(MIN_BATCH_OBJECTS, min(MAX_BATCH_OBJECTS, room_for_locks(target) // (2 * workers)))
