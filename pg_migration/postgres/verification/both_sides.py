"""Ask both sides the same of every table, slice by slice, with a few connections each."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.catalog.values_path import application_path
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.retry import Retry
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import ConnectionFailed, MigrationError, server_message
from pg_migration.postgres.hashing.part import Answer, Part, Question, compared_relation
from pg_migration.postgres.snapshot.readers import Reader
from pg_migration.postgres.snapshot.snapshot import Snapshot
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.verification.comparison_progress import ComparisonProgress
from pg_migration.postgres.verification.slices import Slicing

Result = TypeVar("Result")


Known = Mapping[TableName, Mapping[Side, Sequence[Answer]]]
"""Answers that there are for all rows of tables, by their names in the source: one for each range, or one in all."""


@dataclass(frozen=True)
class Unanswered:
    """Why a side could not answer, for people."""

    reason: str


@dataclass(frozen=True)
class Answers(Generic[Answer]):
    """What the two sides said of one table: an answer for each of its slices, or why there is none.

    ``seconds`` is the wall time from the first slice's begin to the last one's end. ``taken_from`` are
    the tables that hold the same rows, where the table itself was not read: its partitions, say.
    """

    slicing: Slicing
    source: tuple[Answer, ...] | Unanswered
    target: tuple[Answer, ...] | Unanswered
    seconds: float
    taken_from: tuple[TableName, ...] = ()

    @property
    def table(self) -> Table:
        """The table."""
        return self.slicing.table

    @property
    def error(self) -> str | None:
        """Why there is nothing to compare."""
        reasons = [side.reason for side in (self.source, self.target) if isinstance(side, Unanswered)]
        return "; ".join(reasons) or None


@dataclass(frozen=True)
class BothSides:
    """The two ends of a comparison.

    Args:
        schemas: name in the target of each source schema.
        snapshots: of each side.
        settings: those of the source's database (`Catalog.settings`).
        same_encoding: whether both databases have the same one.
        progress: follows what is asked.
    """

    connections: Connections
    schemas: Mapping[str, str]
    snapshots: Mapping[Side, Snapshot]
    settings: Sequence[tuple[str, str]] = ()
    same_encoding: bool = False
    progress: ComparisonProgress = field(default_factory=ComparisonProgress)
    _leaves: dict[Side, Mapping[TableName, frozenset[TableName]]] = field(default_factory=dict, init=False, repr=False)

    def take(self, side: Side, table: Table | None = None, present: Reader | None = None) -> Reader:
        """A connection to one side, inside its snapshot; for one table, or for every one.

        Args:
            present: one that the caller has; it is given back where another one is needed.

        Raises:
            ConnectionFailed, SnapshotLost, SourceUnprotected: as they say.
        """
        alone = table is not None and not compared_relation(table)[1]
        return self.snapshots[side].readers.take(table.key if table is not None and alone else None, present)

    def give(self, side: Side, reader: Reader) -> None:
        """Give a connection back."""
        self.snapshots[side].readers.give(reader)

    def on(self, sides: Sequence[Side], work: Callable[[Sequence[Connection]], Result]) -> Result:
        """Do something that reads some sides, with a connection to each; all of it again when one is lost.

        Raises:
            ConnectionFailed, SnapshotLost, SourceUnprotected: as `take`.
            psycopg2.Error: as ``work``, and when connections were lost too often.
        """
        retry = Retry(self.connections.stopped())
        while True:
            taken: dict[Side, Reader] = {}
            try:
                for side in sides:
                    taken[side] = self.take(side)
                return work([taken[side].connection for side in sides])
            except (ConnectionFailed, psycopg2.Error) as error:
                if not is_lost(error, [reader.connection for reader in taken.values()]) or not retry.pause():
                    raise
            finally:
                for side, reader in taken.items():
                    self.give(side, reader)

    def name(self, side: Side, table: Table) -> TableName:
        """What to read for a table on one side (see `compared_relation`)."""
        schema, name = compared_relation(table)[0]
        return (schema, name) if side is Side.SOURCE else (self.schemas[schema], name)

    def leaves(self, side: Side, connection: Connection) -> Mapping[TableName, frozenset[TableName]]:
        """The tables that hold the rows of each partitioned one on a side, without foreign ones.

        Raises:
            psycopg2.Error: when the side can't be read.
        """
        if side not in self._leaves:
            schemas = self.schemas.keys() if side is Side.SOURCE else self.schemas.values()
            rows = fetch(connection, sql_file("verification/partition_leaves.sql"), {"schemas": list(schemas)})
            self._leaves[side] = {(schema, name): frozenset(map(tuple, found or ())) for schema, name, found in rows}
        return self._leaves[side]

    def part(self, side: Side, table: Table, predicate: sql.Composable, connection: Connection) -> Part:
        """Some rows of a table on one side.

        Args:
            connection: to that side.

        Raises:
            psycopg2.Error: when the side can't be read.
        """
        names = self.schemas if side is Side.TARGET else {}
        name, leaves = self.name(side, table), None
        if table.left_out:  # a query of the root would read these, too, and ask the servers of foreign ones
            left_out = {(names.get(schema, schema), left) for schema, left in table.left_out}
            leaves = tuple(sorted(self.leaves(side, connection).get(name, frozenset()) - left_out))
        application = application_path(self.settings, names)
        transform = table.transform if side is Side.SOURCE else None
        return Part(table, name, predicate, leaves, application, self.same_encoding, transform)

    def ask(
        self,
        question: Question[Answer],
        slicings: Sequence[Slicing],
        workers: int,
        known: Known[Answer] | None = None,
    ) -> Iterator[Answers[Answer]]:
        """Ask a question of every slice on both sides; a failure is one table's answer, not an exception.

        A slice whose connection was lost is asked again on a new one, a few times, as long as the snapshot lives. A
        side that can't be reached any more is waited for once, not for each slice.

        Args:
            question: is given a connection and some rows of a table.
            slicings: the tables, those that take longest first.
            workers: connections to each side.
            known: answers for all rows of tables: those sides are not asked.
        """
        tables = [_Asked.begin_with(slicing, (known or {}).get(slicing.table.key, {})) for slicing in slicings]
        for known_answers in [found for table in tables if (found := table.found()) is not None]:
            self.progress.finished(known_answers.slicing)
            yield known_answers
        tables = [table for table in tables if table.found() is None]
        work = {
            side: deque((a, n) for a in tables for n, answer in enumerate(a.answers[side]) if answer is None)
            for side in Side
        }
        left = len(tables)
        stopped = self.connections.stopped()
        crews = [_Crew(self, question, s, work[s], stopped, min(workers, len(work[s]))) for s in Side]
        works = [crew.work for crew in crews for _ in range(crew.size)]
        numbered = [partial(work, number) for number, work in enumerate(works, 1)]
        for answers in self.connections.pool("compare").events(numbered, stopped.set):
            self.progress.beat()
            if answers is not None:
                self.progress.finished(answers.slicing)
                left -= 1
                yield answers
                if not left:
                    stopped.set()  # who is waiting for a server need not any more


@dataclass
class _Asked(Generic[Answer]):
    """One table while its slices are being answered."""

    slicing: Slicing
    answers: dict[Side, list[Answer | Unanswered | None]]
    lock: threading.Lock = field(default_factory=threading.Lock)
    started: float | None = None

    @classmethod
    def begin_with(cls, slicing: Slicing, known: Mapping[Side, Sequence[Answer]]) -> "_Asked[Answer]":
        """The table before anything is asked."""
        if any(len(answers) != len(slicing.ranges) for answers in known.values()):  # not those of the same ranges
            slicing = replace(slicing, key=None, ranges=())
        none: list[Answer | Unanswered | None] = [None]
        return cls(slicing, {s: [*known[s]] if s in known else none * len(slicing.slices[s]) for s in Side})

    def begin(self) -> None:
        """The clock runs from the first slice."""
        with self.lock:
            self.started = self.started or time.monotonic()

    def refused(self, side: Side) -> Unanswered | None:
        """What one slice of a side ended with ends the whole side."""
        return next((a for a in self.answers[side] if isinstance(a, Unanswered)), None)

    def settle(self, side: Side, number: int, answer: Answer | Unanswered) -> Answers[Answer] | None:
        """Keep one answer; all of them, when it was the last."""
        with self.lock:
            self.answers[side][number] = answer
            return self.found()

    def found(self) -> Answers[Answer] | None:
        """All answers, when none is missing."""
        if any(a is None for answers in self.answers.values() for a in answers):
            return None
        seconds = time.monotonic() - self.started if self.started is not None else 0.0
        return Answers(self.slicing, self._of(Side.SOURCE), self._of(Side.TARGET), seconds)

    def _of(self, side: Side) -> tuple[Answer, ...] | Unanswered:
        refused = self.refused(side)
        if refused is not None:
            return refused
        return tuple(a for a in self.answers[side] if a is not None and not isinstance(a, Unanswered))


class _Crew(Generic[Answer]):
    """The workers of one side.

    Args:
        tasks: the slices; workers take from it what comes next, and put back what they could not ask.
        stopped: is set when no more answers are wanted.
    """

    def __init__(
        self,
        sides: BothSides,
        question: Question[Answer],
        side: Side,
        tasks: deque[tuple[_Asked[Answer], int]],
        stopped: threading.Event,
        size: int,
    ) -> None:
        self.size = size
        self._sides, self._question, self._side, self._tasks = sides, question, side, tasks
        self._stopped = stopped
        self._lock = threading.Lock()
        self._working = size
        self._refusal = f"the {side.value} was not read to the end: the comparison was stopped"

    def work(self, number: int, tell: Callable[[Answers[Answer]], None]) -> None:
        """Answer slices until none is left. A worker without a connection leaves its share to the others."""
        self._answer_all(number, tell)
        with self._lock:
            self._working -= 1
            last = self._working == 0
        while last and (task := self._next()) is not None:
            _settle(self._side, task, Unanswered(self._refusal), tell)

    def _answer_all(self, worker: int, tell: Callable[[Answers[Answer]], None]) -> None:
        reader: Reader | None = None
        # Renewed by every answer, so that a side which is gone for good costs them once.
        retry = Retry(self._stopped)
        try:
            while not self._stopped.is_set() and (task := self._next()) is not None:
                asked, number = task
                if (refused := asked.refused(self._side)) is not None:
                    _settle(self._side, task, refused, tell)
                    continue
                try:
                    present, reader = reader, None
                    reader = self._sides.take(self._side, asked.slicing.table, present)
                except (MigrationError, psycopg2.Error) as error:
                    self._refusal = str(error)
                    self._tasks.appendleft(task)
                    if not is_lost(error, ()) or not retry.pause():
                        return
                    continue
                with self._sides.progress.reading(worker, self._side, asked.slicing):
                    answer = self._answer(reader.connection, asked, number)
                if not reader.connection.closed:
                    retry.renew()
                elif retry.is_possible:
                    self._tasks.appendleft(task)
                    retry.pause()
                    continue
                if isinstance(answer, Unanswered) or self._sides.snapshots[self._side].readers.are_scarce:
                    self._sides.give(self._side, reader)
                    reader = None
                self._sides.progress.answered(asked.slicing)
                _settle(self._side, task, answer, tell)
        finally:
            if reader is not None:
                self._sides.give(self._side, reader)

    def _next(self) -> tuple[_Asked[Answer], int] | None:
        try:
            return self._tasks.popleft()
        except IndexError:
            return None

    def _answer(self, connection: Connection, asked: _Asked[Answer], number: int) -> Answer | Unanswered:
        asked.begin()
        slicing = asked.slicing
        name = self._sides.name(self._side, slicing.table)
        try:
            part = self._sides.part(self._side, slicing.table, slicing.slices[self._side][number], connection)
            return self._question(connection, part)
        except psycopg2.Error as error:
            reason = f"{'.'.join(name)} can't be read on the {self._side.value}: {server_message(error)}"
            if isinstance(error, psycopg2.errors.UndefinedFunction):
                reason += ". Functions are chosen by the source's types of columns: are they others here?"
            return Unanswered(reason)


def _settle(
    side: Side, task: tuple[_Asked[Answer], int], answer: Answer | Unanswered, tell: Callable[[Answers[Answer]], None]
) -> None:
    asked, number = task
    answers = asked.settle(side, number, answer)
    if answers is not None:
        tell(answers)


def is_lost(error: Exception, connections: Sequence[Connection]) -> bool:
    """Whether work failed because a connection was lost or could not be made, and may succeed on new ones."""
    return any(c.closed for c in connections) or (isinstance(error, ConnectionFailed) and error.transient)
