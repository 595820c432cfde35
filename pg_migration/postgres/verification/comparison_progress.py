"""How far a comparison of tables is."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.transfer.progress import Progress, TableStatus, Total, WorkerStatus, next_beat
from pg_migration.postgres.transfer.workload import LEAST_BYTES, OVERDUE_SHARE, Amount, Work, Workload
from pg_migration.postgres.verification.slices import Slicing

PROGRESS_SECONDS = 1.0


@dataclass
class _Table:
    """One that is compared. ``slices`` are those of both sides; ``cost`` is what a byte takes, in parts of hashing."""

    title: str
    rows: int
    bytes: int
    cost: float
    slices: int
    answered: int = 0
    since: float | None = None

    @property
    def weight(self) -> float:
        return self.cost * max(self.bytes, LEAST_BYTES)

    @property
    def share(self) -> float:
        return min(1.0, self.answered / self.slices)


@dataclass(frozen=True)
class _Reading:
    """What one worker reads."""

    table: TableName
    side: Side
    since: float


class ComparisonProgress:
    """Follows the workers of a comparison; every method may be called from any thread.

    Args:
        workload: that of the run, in which this is `Work.COMPARE`.
        tell: is told once in a while, by whoever calls `beat`.
    """

    def __init__(self, workload: Workload | None = None, tell: Callable[[Progress], None] | None = None) -> None:
        self._workload = workload or Workload()
        self._before = self._workload.amounts[Work.COMPARE]  # what was compared while rows were copied
        self._tell = tell
        self._tables: dict[TableName, _Table] = {}
        self._taken_over = 0
        self._reading: dict[int, _Reading] = {}
        self._spent = 0.0
        self._due = time.monotonic() + PROGRESS_SECONDS
        self._lock = threading.Lock()

    def expect(self, slicings: Mapping[str, Slicing], cost: float = 1.0, taken_over: int = 0) -> None:
        """Some tables are going to be compared.

        Args:
            slicings: by what messages name each table.
            cost: what that takes, in parts of the time of hashing as many bytes.
            taken_over: how many more are, whose answers are those of others.
        """
        self._taken_over += taken_over
        for title, slicing in slicings.items():
            slices = sum(map(len, slicing.slices.values()))
            table = _Table(title, slicing.rows, slicing.table.bytes, cost, max(1, slices))
            self._tables[slicing.table.key] = table

    @contextmanager
    def reading(self, worker: int, side: Side, slicing: Slicing) -> Iterator[None]:
        """A worker reads a slice of a table."""
        moment, name = time.monotonic(), slicing.table.key
        with self._lock:
            self._reading[worker] = _Reading(name, side, moment)
            if (table := self._tables.get(name)) is not None and table.since is None:
                table.since = moment
        try:
            yield
        finally:
            with self._lock:
                del self._reading[worker]
                self._spent += time.monotonic() - moment

    def answered(self, slicing: Slicing) -> None:
        """A slice of a table has its answer."""
        with self._lock:
            if (table := self._tables.get(slicing.table.key)) is not None:
                table.answered += 1

    def finished(self, slicing: Slicing) -> None:
        """A table has all answers that it gets."""
        with self._lock:
            if (table := self._tables.get(slicing.table.key)) is not None:
                table.answered = table.slices

    def beat(self) -> None:
        """Tell how far the comparison is, if it is time to."""
        if self._tell is not None and self._tables and (begun := time.monotonic()) >= self._due:
            progress = self.now()
            self._due = next_beat(begun, PROGRESS_SECONDS)
            self._tell(progress)

    def now(self) -> Progress:
        """How far it is."""
        moment = time.monotonic()
        with self._lock:
            reading, tables, spent = dict(self._reading), list(self._tables.values()), self._spent
        every, done = sum(t.weight for t in tables), sum(t.weight * t.share for t in tables)
        under_way = sum(self._under_way(one, moment) for one in reading.values())
        # There are as many workers for each side as copy and build.
        spent = (spent + sum(moment - one.since for one in reading.values())) / 2
        before = self._before
        self._workload.amounts[Work.COMPARE] = Amount(
            before.done + every, before.done + done + under_way, before.seconds + spent
        )
        finished = sum(t.share == 1.0 for t in tables)
        if finished == len(tables):  # then those come whose answers are in these
            finished += self._taken_over
        read = {one.table for one in reading.values()}
        shown = tuple(_status(t, moment) for n, t in self._tables.items() if n in read)
        workers = tuple(self._worker(number, one, moment) for number, one in sorted(reading.items()))
        total = Total(
            tables=len(tables) + self._taken_over,
            finished=finished,
            rows=round(sum(t.rows * t.share for t in tables)),
            expected_rows=sum(t.rows for t in tables),
            share=self._workload.share,
            seconds_left=self._workload.seconds_left(),
        )
        return Progress("comparing", shown, workers, total)

    def _under_way(self, reading: _Reading, moment: float) -> float:
        """What is done of the slice that a worker reads, by the time that it should take."""
        if (table := self._tables.get(reading.table)) is None:
            return 0.0
        weight = table.weight / table.slices
        expected = self._workload.seconds_of(Work.COMPARE, 2 * weight)
        return weight * min(OVERDUE_SHARE, (moment - reading.since) / expected) if expected else 0.0

    def _worker(self, number: int, reading: _Reading, moment: float) -> WorkerStatus:
        table = self._tables.get(reading.table)
        title, share = (table.title, table.share) if table is not None else (".".join(reading.table), None)
        return WorkerStatus(number, title, "comparing", reading.side.value, moment - reading.since, share)


def _status(table: _Table, moment: float) -> TableStatus:
    rows, size = round(table.rows * table.share), round(table.bytes * table.share)
    return TableStatus(table.title, rows, table.rows, size, moment - (table.since or moment))
