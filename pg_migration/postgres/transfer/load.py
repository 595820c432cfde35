"""The load: chunks of all tables in one queue, largest table first, worked off by a bounded pool of connections.

A table's indexes and keys are built as soon as its rows are there, by the same workers, and both sides of each chunk
are hashed once it was copied. The calling thread only receives events, so that it stays free to report them and can be
interrupted at any moment.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from enum import Enum
from functools import partial

import psycopg2

from pg_migration.postgres.catalog import Address, SchemaObject, TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.retry import Retry
from pg_migration.postgres.errors import (
    ConnectionFailed,
    LockLost,
    MigrationError,
    SnapshotLost,
    SourceUnprotected,
    collided,
    server_message,
)
from pg_migration.postgres.execution.task_graph import Schedule
from pg_migration.postgres.hashing.digests import Digest, Hashing
from pg_migration.postgres.hashing.places import conditions
from pg_migration.postgres.hashing.untouched import Counts, Written, read_counts
from pg_migration.postgres.ledger import chunks
from pg_migration.postgres.ledger.chunks import ChunkName, Placed
from pg_migration.postgres.planning.plan import Chunk, RangePlan, TablePlan
from pg_migration.postgres.statistics.restoring import NOT_ALL_TAKEN
from pg_migration.postgres.statistics.source_statistics import SourceStatistics, TableStatistics
from pg_migration.postgres.transfer.events import (
    Event,
    LoadBegun,
    NotAnalyzed,
    ObjectFailed,
    ObjectMade,
    ObjectNoted,
    RangeLoaded,
    RowsHashed,
    StatisticsCollected,
    TableFailed,
    TableLoaded,
    WorkDone,
    WorkerLeft,
    is_complete,
)
from pg_migration.postgres.transfer.load_context import LoadContext
from pg_migration.postgres.transfer.load_progress import Doing, LoadProgress, TableWork, is_long
from pg_migration.postgres.transfer.progress import TableMeter, next_beat
from pg_migration.postgres.transfer.resume import Continued
from pg_migration.postgres.transfer.streams.copy_stream import Copied
from pg_migration.postgres.transfer.streams.row_memory import RowMemory
from pg_migration.postgres.transfer.tasks import (
    Alter,
    Build,
    Complete,
    Copy,
    Finish,
    Hash,
    Task,
    beside_others,
    build_statements,
)
from pg_migration.postgres.transfer.worker import Worker

PROGRESS_SECONDS = 1.0
LOCK_ANSWER_SECONDS = 1.0

# Pages of a table up to this size are taken to be in memory still when it has all its rows.
MAX_BYTES_IN_MEMORY = 2**30


class Mode(Enum):
    """What becomes of the rows that are in the target.

    The whole table is emptied, or only ranges are replaced, or ranges are added while other runs add theirs.
    """

    RELOAD = "reload"
    REPLACE_RANGES = "replace ranges"
    SHARE = "share"


@dataclass
class _TableState:
    plan: TablePlan
    work: TableWork
    objects: list[SchemaObject] = field(default_factory=list)
    moved: dict[Copy, Copied] = field(default_factory=dict)
    placed: dict[Copy, Placed] = field(default_factory=dict)
    to_hash: set[Hash] = field(default_factory=set)
    hashed: dict[Hash, Digest | None] = field(default_factory=dict)
    hash_seconds: float = 0.0
    hashed_before: frozenset[ChunkName] = frozenset()
    counts: Counts | None = None
    rows: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    started: float | None = None
    copied: float | None = None
    complete: bool = False
    error: str | None = None
    continued: Continued | None = None


class _Incomplete(Exception):
    """Other ranges of the table are still to come, so its keys are not built yet."""


class Load:
    """One load of some tables; `events` runs it."""

    def __init__(
        self,
        context: LoadContext,
        plans: Sequence[TablePlan],
        objects: Sequence[SchemaObject],
        mode: Mode,
        continued: Mapping[TableName, Continued],
    ) -> None:
        """
        Args:
            plans: the tables, largest first.
            objects: what to build on them once their rows are there, in dependency order.
            continued: by source name, the tables that are not emptied, as some of their chunks are there.
        """
        self._context = context
        self._mode = mode
        self._tables = {p.name: _begin(context, p, continued.get(p.name)) for p in plans}
        self._objects: dict[Address, SchemaObject] = {}
        for item in objects:
            if item.table in self._tables:
                state = self._tables[item.table]
                made = self._objects[item.address] = beside_others(item, state.plan)
                state.objects.append(made)
        self._chunks: dict[Copy, tuple[RangePlan, Chunk]] = {
            Copy(p.name, r.range.key, c.number): (r, c) for p in plans for r in p.ranges for c in r.chunks
        }
        columns = [(p.table.oid, len(p.table.columns)) for p in plans]
        carried = SourceStatistics(columns, context.statistics_objects)
        self._statistics = carried if context.carries_statistics else None
        self._tell: Callable[[Event], None]  # to whoever waits for events; the workers are given it
        self._lock = threading.Lock()
        self._schedule: Schedule[Task] = Schedule(self._skip)
        self._stopping = threading.Event()
        self._row_memory = RowMemory(self._stopping.is_set)
        self._staying = context.workers
        works = {name: self._with_builds(state) for name, state in self._tables.items()}
        self._progress = LoadProgress(works, context.workload, context.compared)

    def events(self) -> Iterator[Event]:
        """Run the load; what happened, as it happens. Leaving the iterator early stops the workers.

        Raises:
            ConnectionFailed, SnapshotLost, LockLost: when no table can go on.
        """
        if self._mode is Mode.RELOAD:
            self._context.connections.run(self._empty_tables)
        if self._context.question is not None and any(state.continued for state in self._tables.values()):
            self._context.connections.run(self._find_hashed)
        self._draw_graph()
        workers = [partial(self._work, number) for number in range(1, self._context.workers + 1)]
        yield LoadBegun(tuple(state.plan for state in self._tables.values()), len(workers))
        due = time.monotonic() + PROGRESS_SECONDS
        for event in self._context.connections.pool("worker").events(workers, self._stop):
            if event is not None:
                yield event
            # Also while one event follows the other, as small chunks bring about.
            if (begun := time.monotonic()) >= due:
                self._look()
                progress = self._progress.now()
                due = next_beat(begun, PROGRESS_SECONDS)
                yield progress
        self._context.connections.run(self._context.lock.check_held)
        yield self._progress.now()

    def _stop(self) -> None:
        self._stopping.set()
        self._schedule.stop()

    def _look(self) -> None:
        observer = self._context.observer
        if observer is not None and self._progress.wants_a_look:
            self._context.connections.run(lambda: self._progress.look(observer))

    @staticmethod
    def _with_builds(state: _TableState) -> TableWork:
        """The work on a table, after what is built on it is known."""
        tasks = [task for made in state.objects for task in (Build(made.address), Alter(made.address))]
        builds = zip(tasks, (made for made in state.objects for _ in range(2)), strict=True)
        state.work.builds = frozenset(task for task, made in builds if is_long(made, task))
        return state.work

    def _empty_tables(self) -> None:
        """Empty what is not emptied in the transaction of its only chunk."""
        worker = Worker(self._context)
        if self._context.question is not None:
            names = {name: self._context.target_name(state.plan.table) for name, state in self._tables.items()}
            counts = read_counts(self._context.observer or worker.target, list(names.values()))
            for name, state in self._tables.items():
                state.counts = counts.get(names[name])
        for state in self._tables.values():
            if state.continued or self._is_emptied_by_its_chunk(state):
                continue
            worker.empty(state.plan.table)
        worker.abandon()

    def _find_hashed(self) -> None:
        """Which of the chunks that are there have a digest in the ledger."""
        worker = Worker(self._context)
        continued = {self._context.target_name(s.plan.table): s for s in self._tables.values() if s.continued}
        for name, found in chunks.hashed_chunks(worker.target, continued).items():
            continued[name].hashed_before = found
        worker.abandon()

    def _is_emptied_by_its_chunk(self, state: _TableState) -> bool:
        whole = self._mode is Mode.RELOAD and state.continued is None
        return whole and state.plan.frozen

    def _draw_graph(self) -> None:
        """Rows that name objects come when the other tables have theirs, indexes and keys among them."""
        named = [Finish(name) for name, state in self._tables.items() if not state.plan.table.names_objects]
        # One after the other, the largest first: no table waits for its keys until all others have their rows.
        order = {name: len(self._tables) - number for number, name in enumerate(self._tables)}
        for name, state in sorted(self._tables.items(), key=lambda item: item[1].plan.table.names_objects):
            weight = order[name]
            present = state.continued.present if state.continued else {}
            copies = [
                Copy(name, r.range.key, c.number)
                for r in state.plan.ranges
                for c in r.chunks
                if (r.range.key, c.number) not in present
            ]
            for copy in copies:
                self._schedule.add(copy, weight, follows=named if state.plan.table.names_objects else ())
            for task in self._hashes(state, copies):
                state.to_hash.add(task)
                after = [task.copy] if task.copy in copies else []
                self._schedule.add(task, weight, after, rank=_rank(state.plan, task))
            self._schedule.add(Complete(name), weight, after=copies)
            builds = [Build(o.address) for o in state.objects if build_statements(o)]
            alters = [Alter(o.address) for o in state.objects]
            for previous, made in zip([None, *alters], state.objects, strict=False):
                self._add_object(name, weight, made, builds, previous)
            self._schedule.add(Finish(name), weight, after=[Complete(name)], follows=alters)

    def _hashes(self, state: _TableState, copies: Sequence[Copy]) -> Iterator[Hash]:
        """The digests to make of what is copied. On the target where all of the table is, by us alone."""
        plan = state.plan
        if self._context.question is None or plan.table.kind != "r":
            return
        everything = self._mode is Mode.RELOAD and state.continued is None and not plan.table.through_root
        both = everything and state.counts is not None and not self._context.unlogged_for_load(plan.table)
        for copy in copies:
            for side in Side if both else (Side.SOURCE,):
                yield Hash(copy.table, copy.range_key, copy.chunk, side)
        for key, number in state.continued.present if state.continued else ():
            if (key, number) not in state.hashed_before:
                yield Hash(plan.name, key, number, Side.SOURCE)

    def _add_object(
        self, table: TableName, weight: int, made: SchemaObject, builds: Sequence[Build], previous: Alter | None
    ) -> None:
        address = made.address
        needed: list[Task] = [Alter(a) for a in sorted(made.depends_on) if a in self._objects]
        if build_statements(made):
            self._schedule.add(Build(address), weight, after=[Complete(table), *needed])
            needed = [Build(address)]
        # An ALTER waits for a lock that every CREATE INDEX on the table holds: it comes when they are through, and one
        # at a time, so that no worker idles in a lock queue.
        ahead: list[Task] = [b for b in builds if address not in self._needs(b.address)]
        if previous is not None and address not in self._needs(previous.address):
            ahead.append(previous)
        self._schedule.add(Alter(address), weight, after=[Complete(table), *needed], follows=ahead)

    def _needs(self, address: Address) -> frozenset[Address]:
        return self._objects[address].depends_on

    def _work(self, number: int, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        worker = Worker(self._context)
        try:
            while (task := self._schedule.take()) is not None:
                started_at = datetime.now(timezone.utc)
                self._progress.begin(number, self._doing(task, worker))
                succeeded = self._perform(worker, number, task)
                if succeeded is None:
                    self._progress.give_back(number)
                    self._schedule.give_back(task)
                    return
                self._progress.settle(number, succeeded)
                self._tell_of_work(number, task, started_at, succeeded)
                self._schedule.settle(task, succeeded)
            worker.tell_counts()
            worker.keep_target()
        finally:
            worker.abandon()

    def _doing(self, task: Task, worker: Worker) -> Doing:
        what = self._activity(task)
        activity, detail = (_in_words(what[0]), what[1]) if what is not None else ("", "")
        return Doing(task, self._table_of(task), activity, detail, time.monotonic(), lambda: worker.process)

    def _table_of(self, task: Task) -> TableName:
        """The table that a task is about, by its name in the source."""
        table = self._objects[task.address].table if isinstance(task, (Build, Alter)) else task.table
        assert table is not None, "only what belongs to a table is built by a load"
        return table

    def _tell_of_work(self, worker: int, task: Task, started_at: datetime, succeeded: bool) -> None:
        """Tell of a task that had something to do."""
        what = self._activity(task)
        if what is None:
            return
        (activity, detail), moved = what, None
        if isinstance(task, Copy):
            moved = self._tables[task.table].moved.get(task)
        name = self._context.target_name(self._tables[self._table_of(task)].plan.table)
        rows, size = (moved.rows, moved.bytes) if moved is not None else (0, 0)
        finished_at = datetime.now(timezone.utc)
        self._tell(WorkDone(worker, activity, name, detail, started_at, finished_at, succeeded, rows, size))

    def _activity(self, task: Task) -> tuple[str, str] | None:
        """What a task does, and to what; None when it does nothing that takes time."""
        if isinstance(task, Copy):
            return "copy", task.range_key
        if isinstance(task, Hash):
            return "hash", f"{task.range_key}, {task.side.value}"
        if isinstance(task, Finish):
            return "analyze", ""
        if isinstance(task, Complete):
            table = self._tables[task.table].plan.table
            logs = self._mode is Mode.RELOAD and self._context.unlogged_for_load(table)
            return ("set logged", "") if logs else None
        made = self._objects[task.address]
        if isinstance(task, Alter) and len(made.statements) == len(build_statements(made)):
            return None
        return made.kind, made.name

    def _perform(self, worker: Worker, number: int, task: Task) -> bool | None:
        """Do one task; whether it succeeded, or None when this worker has no connection and leaves it to the others.

        What makes every further task hopeless is raised.

        A lost connection is made anew, and what collided with another session is done again, a few times, as long as
        the two sessions live that prove that nothing was lost: the one that holds the snapshot and the one that holds
        the target's lock.
        """
        retry, again = Retry(self._stopping), False
        while (error := self._attempt(worker, task, again)) is not None:
            if isinstance(error, _Incomplete):
                return False
            transient = worker.lost_a_connection or isinstance(error, ConnectionFailed) or collided(error)
            worker.abandon()
            if _has_no_place(error) and self._may_leave():
                self._tell(WorkerLeft(number, str(error)))
                return None
            if not transient or not retry.is_possible:
                self._give_up(worker, task, error)
                return False
            self._context.lock.check_held()
            retry.pause()
            again = True
        return True

    def _may_leave(self) -> bool:
        """Whether a worker may go: there are others. It counts as gone then."""
        with self._lock:
            if self._staying > 1 and not self._stopping.is_set():
                self._staying -= 1
                return True
            return False

    def _give_up(self, worker: Worker, task: Task, error: Exception) -> None:
        if isinstance(error, ConnectionFailed):
            raise error
        if isinstance(task, Copy) and not self._stopping.is_set():
            self._make_logged_all_the_same(worker, self._tables[task.table])
        self._fail(task, str(error) if isinstance(error, MigrationError) else server_message(error))

    def _make_logged_all_the_same(self, worker: Worker, state: _TableState) -> None:
        """A table whose load failed keeps no state that was for the load only; the first failure is what is told."""
        if self._mode is Mode.RELOAD and self._context.unlogged_for_load(state.plan.table):
            with suppress(MigrationError, psycopg2.Error):
                worker.make_logged(state.plan.table)

    def _attempt(self, worker: Worker, task: Task, again: bool) -> Exception | None:
        """Do one task once; the error that it ended with."""
        try:
            self._do(worker, task, again)
        except (SnapshotLost, LockLost):
            raise
        except (MigrationError, psycopg2.Error, _Incomplete) as error:
            return error
        return None

    def _do(self, worker: Worker, task: Task, again: bool) -> None:
        if isinstance(task, Copy):
            self._copy(worker, task, again)
        elif isinstance(task, Hash):
            self._hash(worker, task)
        elif isinstance(task, Complete):
            self._mark_complete(worker, self._tables[task.table])
        elif isinstance(task, Finish):
            self._finish(worker, self._tables[task.table])
        else:
            self._build(worker, task, again)

    def _copy(self, worker: Worker, task: Copy, again: bool) -> None:
        state = self._tables[task.table]
        piece, chunk = self._chunks[task]
        with self._lock:
            if state.error is not None:
                raise MigrationError(state.error)
            state.started = state.started or time.monotonic()
        with self._row_memory.reserve(state.plan.row_bytes) as wide, state.work.meter.chunk() as on_bytes:
            replace, empties = self._mode is Mode.REPLACE_RANGES, self._is_emptied_by_its_chunk(state)
            counted = self._progress.counted(task, on_bytes)
            copied, placed = worker.copy(state.plan, piece, chunk, replace, empties, again, counted)
            worker.leave_source(bloated=wide)
        state.work.meter.committed(copied.rows, copied.bytes)
        with self._lock:
            state.moved[task], state.placed[task] = copied, placed
            state.rows[task.range_key] = state.rows.get(task.range_key, 0) + copied.rows
            state.bytes[task.range_key] = state.bytes.get(task.range_key, 0) + copied.bytes

    def _hash(self, worker: Worker, task: Hash) -> None:
        state, question = self._tables[task.table], self._context.question
        assert question is not None, "nothing is hashed without"
        started = time.monotonic()
        if task.side is Side.SOURCE:
            digest = worker.ask_source(state.plan, self._chunks[task.copy][1], question)
        else:
            # What is emptied by its chunk has no other rows; if it has, they are to be seen.
            whole = self._is_emptied_by_its_chunk(state)
            placed = None if whole else state.placed[task.copy]
            digest = worker.hash_target(state.plan, placed, state.moved[task.copy].rows, question)
        self._keep_digest(state, task, digest, time.monotonic() - started)
        self._demand_equal(worker, state, task)

    def _keep_digest(self, state: _TableState, task: Hash, digest: Digest | None, seconds: float = 0.0) -> None:
        """Keep a digest, None where it could not be made, and tell of those of the table when none is to come."""
        with self._lock:
            state.hashed[task] = digest
            state.hash_seconds += seconds
            last = len(state.hashed) == len(state.to_hash) and state.error is None
        if last:
            self._tell(self._rows_hashed(state))

    def _demand_equal(self, worker: Worker, state: _TableState, task: Hash) -> None:
        """Go on with a table only where the chunk is the same on both sides, or all are copied, so that a comparison
        can tell which rows differ.
        """
        with self._lock:
            source, target = (state.hashed.get(replace(task, side=side)) for side in Side)
            copied = len(state.moved) == state.plan.chunk_count
        question = self._context.question
        if source is None or target is None or source == target or copied:
            return
        differing = ""
        if isinstance(question, Hashing):
            ours = worker.ask_source(state.plan, self._chunks[task.copy][1], question.column_sums)
            *_, everywhere = conditions(state.placed[task.copy])
            theirs = worker.ask_target(state.plan, everywhere, question.column_sums)
            differing = ", ".join(name for name, total in ours.items() if theirs.get(name) != total)
        where = f" in {differing}" if differing else ""
        raise MigrationError(
            f"its rows in the range {task.range_key} (chunk {task.chunk}) differ between the two sides{where} after "
            "they were copied. The rest was not copied"
        )

    def _rows_hashed(self, state: _TableState) -> RowsHashed:
        by_side = {side: {t: d for t, d in state.hashed.items() if t.side is side} for side in Side}
        source = {(t.range_key, t.chunk): d for t, d in by_side[Side.SOURCE].items() if d is not None}
        found = list(by_side[Side.TARGET].values())
        target = None if not found or None in found else Digest.of(d for d in found if d is not None)
        written = None
        files = {placed.file for placed in state.placed.values()}
        if target is not None and state.counts is not None and len(files) == 1:
            written = Written(state.counts, files.pop(), sum(state.rows.values()))
        return RowsHashed(state.plan, source, target, written, state.hash_seconds)

    def _mark_complete(self, worker: Worker, state: _TableState) -> None:
        state.copied = time.monotonic()
        state.work.rows = sum(state.rows.values())
        # Many small tables are complete within a moment, and the answer is the same for all of them.
        self._context.lock.check_held(within=LOCK_ANSWER_SECONDS)
        if self._mode is Mode.RELOAD and self._context.unlogged_for_load(state.plan.table):
            worker.make_logged(state.plan.table)
        # What the ledger says of an only chunk was committed with it.
        state.complete = self._is_emptied_by_its_chunk(state) or is_complete(
            chunks.loaded_ranges(worker.target, self._context.target_name(state.plan.table)), state.plan.key
        )
        if not state.complete and self._mode is Mode.RELOAD:
            raise MigrationError(
                "the ledger in the target does not show all of its chunks, which this run had committed"
            )
        if not state.complete:
            state.work.ended = True
            self._tell(self._loaded(state, state.copied))
            raise _Incomplete

    def _build(self, worker: Worker, task: Build | Alter, again: bool) -> None:
        made = self._objects[task.address]
        builds = build_statements(made)
        notes = worker.make(made, builds if isinstance(task, Build) else made.statements[len(builds) :], again)
        for note in notes:
            self._tell(ObjectNoted(made, note))
        if isinstance(task, Alter):
            self._tell(ObjectMade(made))

    def _finish(self, worker: Worker, state: _TableState) -> None:
        try:
            self._collect_statistics(worker, state)
        except psycopg2.Error as error:
            if worker.lost_a_connection or collided(error):
                raise
            self._tell(NotAnalyzed(state.plan, server_message(error)))
        state.work.ended = True
        self._tell(self._loaded(state, time.monotonic()))

    def _collect_statistics(self, worker: Worker, state: _TableState) -> None:
        """Let the target's planner know what the source's does, or find it out where that can't be."""
        table = state.plan.table
        known = worker.known_statistics(table, self._statistics) if self._statistics is not None else None
        has_values = table.kind == "r" and bool(table.columns) and any(state.rows.values())
        if known is None or (has_values and not known.has_columns):
            worker.analyze(table)
            return
        reasons = list(known.lacking)
        if reasons:
            worker.analyze(table, alone=True)
        if (refusal := self._refusal(worker, state, known)) is not None:
            reasons.append(refusal)
            worker.analyze(table, alone=True)
        if reasons:
            self._tell(StatisticsCollected(state.plan, "; ".join(dict.fromkeys(reasons))))

    @staticmethod
    def _refusal(worker: Worker, state: _TableState, known: TableStatistics) -> str | None:
        """Why the target does not take what the source knows of a table; None where it has taken it."""
        try:
            taken = worker.restore_statistics(state.plan.table, known)
        except psycopg2.Error as error:
            if worker.lost_a_connection or collided(error):
                raise
            return server_message(error)
        return None if taken else NOT_ALL_TAKEN

    def _loaded(self, state: _TableState, now: float) -> TableLoaded:
        copied = state.copied or now
        started = state.started or copied
        ranges = tuple(
            RangeLoaded(r.range.key, state.rows[r.range.key], state.bytes[r.range.key]) for r in state.plan.ranges
        )
        return TableLoaded(state.plan, ranges, copied - started, now - copied, state.complete, state.continued)

    def _fail(self, task: Task, error: str) -> None:
        if isinstance(task, (Build, Alter)):
            self._tell(ObjectFailed(self._objects[task.address], error))
            return
        state = self._tables[task.table]
        if isinstance(task, Hash) and task not in state.hashed:
            self._keep_digest(state, task, None)  # the comparison tries again, and tells why it can't be done
            return
        with self._lock:
            first, state.error = state.error is None, state.error or error
            state.work.ended = True
        if first:
            self._tell(TableFailed(state.plan, error))

    def _skip(self, task: Task, cause: Task) -> None:
        """Tell of an object that was not built because another one failed; its table's own failure was told already."""
        if isinstance(task, Alter) and isinstance(cause, (Build, Alter)) and cause.address != task.address:
            other = self._objects[cause.address]
            made = self._objects[task.address]
            self._tell(ObjectFailed(made, f"skipped, because it needs {other.kind} {other.name}, which failed"))


def _begin(context: LoadContext, plan: TablePlan, continued: Continued | None) -> _TableState:
    """The state before the first copy: the meter counts what is still to come, the rows all that is there."""
    rest = 1 - min(1.0, continued.rows / plan.rows) if continued and plan.rows else 1.0
    title = ".".join(context.target_name(plan.table))
    meter = TableMeter(title, round(plan.rows * rest), round(plan.bytes * rest))
    state = _TableState(plan, TableWork(plan, title, meter, rest, continued), continued=continued)
    for (key, _), (rows, size) in continued.present.items() if continued else ():
        state.rows[key] = state.rows.get(key, 0) + rows
        state.bytes[key] = state.bytes.get(key, 0) + size
    return state


def _rank(plan: TablePlan, task: Hash) -> int:
    """When to hash a chunk: when nothing else can be done on its table. At once where its pages would be gone by then.

    The first one of each table is hashed at once too: what is always copied wrong shows there.
    """
    first = plan.ranges[0].range.key, plan.ranges[0].chunks[0].number
    return -1 if plan.bytes > MAX_BYTES_IN_MEMORY or (task.range_key, task.chunk) == first else 1


def _in_words(activity: str) -> str:
    """What a worker does, for people who see it at work."""
    return _WORDS.get(activity, f"building {activity}")


_WORDS = {
    "copy": "copying",
    "hash": "hashing",
    "analyze": "analyzing",
    "set logged": "setting logged",
    "statistics": "adding statistics",
    "unique": "building unique key",
}


def _has_no_place(error: Exception) -> bool:
    """Whether a server has no session for a worker, or none that could read what it has to."""
    return isinstance(error, SourceUnprotected) or (isinstance(error, ConnectionFailed) and error.full)
