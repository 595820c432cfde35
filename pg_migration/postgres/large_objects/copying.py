"""Bring the large objects of the target to what they are in the source: one batch after another, by several workers.

A batch is one transaction of the target, which also writes what it brought into the ledger. So a run after a failed one
finds whole batches, compares them, and goes on. What is the same on both sides is left as it is.
"""

import queue
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.retry import Retry
from pg_migration.postgres.connection.statements import execute, fetch, gathered, undone_on_errors
from pg_migration.postgres.errors import CopyFailed, MigrationError, server_message
from pg_migration.postgres.large_objects.owned import record, recorded, unlink
from pg_migration.postgres.large_objects.properties import Properties, difference, undone_defaults
from pg_migration.postgres.large_objects.state import PART_BYTES, Batch, State, as_array, parts_of, read_states
from pg_migration.postgres.snapshot.readers import Reader, Readers
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.transfer.load_context import Lock
from pg_migration.postgres.transfer.streams.copy_stream import stream

# What the server gives on every large object that this role makes (from 18 on).
_DEFAULT_GRANTEES = """
SELECT DISTINCT CASE WHEN x.grantee <> 0 THEN pg_get_userbyid(x.grantee)::text END
  FROM pg_default_acl d
  JOIN pg_roles r ON r.oid = d.defaclrole AND r.rolname = current_user
 CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
 WHERE d.defaclobjtype = 'L' AND x.grantee <> d.defaclrole
"""


@dataclass(frozen=True)
class Different:
    """A large object that is not the same on both sides, and in what."""

    oid: int
    what: str


@dataclass(frozen=True)
class BatchCompared:
    """A batch as it is on both sides, when it was compared last: ``source`` and ``target`` are what it is there.

    ``copied`` are the objects that were copied before that, and ``copied_bytes`` what they have.
    """

    source: Sequence[State]
    target: Sequence[State]
    different: Sequence[Different]
    copied: int = 0
    copied_bytes: int = 0


@dataclass(frozen=True)
class BatchFailed:
    """A batch that could not be copied or compared, and why."""

    batch: Batch
    error: str


@dataclass(frozen=True)
class Both:
    """What is to be known of both sides.

    Args:
        readers: of the source; None where only the target is read.
        ours: what the source's objects have besides their bytes.
        theirs: what the target's have.
        hashed: whether contents are compared.
        may_exist: whether the target had large objects before.
    """

    connections: Connections
    target: Endpoint
    readers: Readers | None
    lock: Lock | None
    run_id: str
    ours: Properties
    theirs: Properties
    hashed: bool
    may_exist: bool = True


class _Worker:
    """One session on each side."""

    def __init__(self, both: Both) -> None:
        self._both = both
        self._reader: Reader | None = None
        self._target: Connection | None = None
        self._grantees: Sequence[str | None] = ()
        self._again = False

    @property
    def _source(self) -> Connection:
        assert self._both.readers is not None, "the source is not read"
        self._reader = self._both.readers.take(None, self._reader)
        return self._reader.connection

    @property
    def _writer(self) -> Connection:
        if self._target is None or self._target.closed:
            self._target = self._both.connections.open(self._both.target, then="SET synchronous_commit = off")
            if self._both.lock is not None:
                # After it is open: whoever has the lock by then has ended all sessions that he found.
                self._both.lock.check_held()
                stage = sql.SQL(sql_file("large_objects/stage.sql")).format(part=sql.Literal(PART_BYTES))
                execute(self._target, stage)
                self._grantees = [role for (role,) in fetch(self._target, _DEFAULT_GRANTEES)]
        return self._target

    @property
    def lost_a_connection(self) -> bool:
        reader, target = self._reader, self._target
        return bool((reader and reader.connection.closed) or (target and target.closed))

    def abandon(self) -> None:
        """Give both sessions up; the next use takes others, and looks at what an earlier attempt may have left."""
        self._again = True
        self.close()

    def close(self) -> None:
        if self._reader is not None and self._both.readers is not None:
            self._both.readers.give(self._reader)
        if self._target is not None:
            self._target.close()
        self._reader = self._target = None

    def copy(self, batch: Batch) -> BatchCompared:
        """Copy what differs of a batch, and compare that again."""
        hashed = self._both.hashed
        looks = self._both.may_exist or self._again
        ours = self._ours(batch.oids, hashed or looks)
        theirs = self._theirs(batch.oids, hashed=True) if looks else {}
        changed = [ours[found.oid] for found in self._different(ours, theirs)]
        if not changed:
            return BatchCompared(list(ours.values()), list(theirs.values()), ())
        self._write(changed, [state.oid for state in changed if state.oid in theirs])
        theirs |= self._theirs(as_array(state.oid for state in changed), hashed)
        different = self._different(ours, theirs)
        copied = sum(state.size for state in changed)
        return BatchCompared(list(ours.values()), list(theirs.values()), different, len(changed), copied)

    def compare(self, batch: Batch) -> BatchCompared:
        """Compare a batch, and write nothing."""
        ours, theirs = self._ours(batch.oids, self._both.hashed), self._theirs(batch.oids, self._both.hashed)
        different = self._different(ours, theirs)
        copied = recorded(self._writer, as_array(found.oid for found in different)) if different else {}
        told = [replace(found, what=f"{found.what}{_since(ours[found.oid], copied)}") for found in different]
        return BatchCompared(list(ours.values()), list(theirs.values()), told)

    def compare_with_ledger(self, batch: Batch) -> BatchCompared:
        """Compare a batch with what it was when it was copied."""
        copied, theirs = recorded(self._writer, batch.oids), read_states(self._writer, batch.oids, hashed=True)
        found = ((state.oid, _changed(state, theirs.get(state.oid))) for state in copied.values())
        different = [Different(oid, what) for oid, what in found if what is not None]
        return BatchCompared(list(copied.values()), list(theirs.values()), different)

    def _ours(self, oids: str, hashed: bool) -> dict[int, State]:
        states = read_states(self._source, oids, hashed)
        self._both.ours.learn(self._source, states.values())
        return states

    def _theirs(self, oids: str, hashed: bool) -> dict[int, State]:
        states = read_states(self._writer, oids, hashed)
        self._both.theirs.learn(self._writer, states.values())
        return states

    def _different(self, ours: Mapping[int, State], theirs: Mapping[int, State]) -> list[Different]:
        both = self._both
        found = ((s.oid, difference(s, both.ours, theirs.get(s.oid), both.theirs)) for s in ours.values())
        return [Different(oid, what) for oid, what in found if what is not None]

    def _write(self, changed: Sequence[State], replaced: Sequence[int]) -> None:
        both, source, target = self._both, self._source, self._writer
        copy_out = sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(parts_of(changed))
        copy_in = sql.SQL("COPY pg_temp.pg_migration_parts FROM STDIN (FORMAT binary)")
        named = ", ".join(str(state.oid) for state in changed)
        with undone_on_errors(target):
            with gathered(target):
                execute(target, "BEGIN")
                if replaced:
                    unlink(target, replaced)
            stream(source, copy_out, target, copy_in, _ignore, stored=False)
            with gathered(target):
                for revocation in undone_defaults(self._grantees, named):
                    execute(target, revocation)
                for statement in both.ours.statements(changed):
                    execute(target, statement)
                record(target, both.run_id, changed)
                execute(target, "COMMIT")


def _changed(copied: State, now: State | None) -> str | None:
    """How an object of the target is not as it was copied; None where it is."""
    if now is None:
        return "missing"
    if copied.digest is None:
        return "its content was not hashed when it was copied"
    changed = [("size", copied.size != now.size), ("content", copied.digest != now.digest)]
    return ", ".join(what for what, differs in changed if differs) or None


def _since(source: State, copied: Mapping[int, State]) -> str:
    """What has become of an object since it was copied, as far as the ledger can tell."""
    then = copied.get(source.oid)
    if then is None:
        return " (no run has copied it)"
    if then.size != source.size or (then.digest is not None and then.digest != source.digest):
        return " (the source changed since it was copied)"
    return " (its content in the source did not change since it was copied)" if then.digest is not None else ""


Work = Callable[[_Worker, Batch], BatchCompared]


def copy(both: Both, batches: Iterable[Batch], workers: int) -> Iterator[BatchCompared | BatchFailed]:
    """Copy batches, as `_Worker.copy` does each.

    Raises:
        MigrationError: what concerns more than one batch, such as a lost snapshot or lock.
    """
    yield from _worked_off(both, _Worker.copy, batches, workers)


def compare(both: Both, batches: Iterable[Batch], workers: int) -> Iterator[BatchCompared | BatchFailed]:
    """Compare batches, as `_Worker.compare` does each.

    Raises:
        MigrationError: as `copy`.
    """
    yield from _worked_off(both, _Worker.compare, batches, workers)


def compare_with_ledger(both: Both, batches: Iterable[Batch], workers: int) -> Iterator[BatchCompared | BatchFailed]:
    """Compare batches, as `_Worker.compare_with_ledger` does each.

    Raises:
        MigrationError: as `copy`.
    """
    yield from _worked_off(both, _Worker.compare_with_ledger, batches, workers)


def _worked_off(
    both: Both, work: Work, batches: Iterable[Batch], workers: int
) -> Iterator[BatchCompared | BatchFailed]:
    # The largest first: one that is begun last would be waited for alone.
    waiting: queue.SimpleQueue[Batch] = queue.SimpleQueue()
    ordered = sorted(batches, key=lambda batch: -batch.bytes)
    for batch in ordered:
        waiting.put(batch)
    stopped = both.connections.stopped()

    def share(tell: Callable[[BatchCompared | BatchFailed], None]) -> None:
        worker, retry = _Worker(both), Retry(stopped)
        try:
            while not stopped.is_set():
                try:
                    batch = waiting.get_nowait()
                except queue.Empty:
                    return
                tell(_tried(worker, work, batch, retry))
        finally:
            worker.close()

    pool = both.connections.pool("large objects")
    for event in pool.events([share] * min(workers, len(ordered)), stopped.set):
        if event is not None:
            yield event


def _tried(worker: _Worker, work: Work, batch: Batch, retry: Retry) -> BatchCompared | BatchFailed:
    while (done := _once(worker, work, batch, retry)) is None:
        pass
    return done


def _once(worker: _Worker, work: Work, batch: Batch, retry: Retry) -> BatchCompared | BatchFailed | None:
    """What an attempt came to; None where a connection was lost, and there is to be another one."""
    try:
        done = work(worker, batch)
    except (CopyFailed, psycopg2.Error) as error:
        lost = worker.lost_a_connection
        worker.abandon()
        if lost and retry.pause():
            return None
        return BatchFailed(batch, str(error) if isinstance(error, MigrationError) else server_message(error))
    retry.renew()
    return done


def _ignore(_: int) -> None:
    """Nobody follows the bytes of a batch."""
