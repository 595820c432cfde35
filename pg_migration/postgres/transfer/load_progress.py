"""What a load does at a moment, and how much of it is left."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import SchemaObject, TableName
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.transfer.progress import Progress, TableMeter, TableStatus, Total, WorkerStatus
from pg_migration.postgres.transfer.resume import Continued
from pg_migration.postgres.transfer.tasks import Alter, Build, Copy, Hash, Task, build_statements
from pg_migration.postgres.transfer.workload import LEAST_BYTES, OVERDUE_SHARE, Amount, Work, Workload

# Nobody but the server knows how far the build of an index is. It is asked once in a while, and for long builds only.
LOOK_SECONDS = 3.0


@dataclass
class Doing:
    """What one worker does: ``table`` is the source's name; ``process`` tells which one serves it in the target."""

    task: Task
    table: TableName
    activity: str
    detail: str
    since: float
    process: Callable[[], int | None] = lambda: None
    bytes: int = 0


@dataclass
class TableWork:
    """The work on one table: ``rest`` is the share of its rows that this load copies, ``builds`` what to build then,
    ``hashed`` how many digests of chunks there are, of both sides together.

    ``rows`` are those of the table, from when all are there. Unless ``ended``, it is copied, built on or to come.
    """

    plan: TablePlan
    title: str
    meter: TableMeter
    rest: float
    continued: Continued | None = None
    builds: frozenset[Task] = frozenset()
    built: set[Task] = field(default_factory=set)
    hashed: int = 0
    begun: bool = False
    rows: int | None = None
    ended: bool = False

    @property
    def is_copied_now(self) -> bool:
        """Whether some of its rows are there or on their way, and not all."""
        return self.begun and self.rows is None and not self.ended

    @property
    def weight(self) -> float:
        """What each piece of work on it counts."""
        return float(max(self.plan.bytes, LEAST_BYTES))


def is_long(made: SchemaObject, task: Build | Alter) -> bool:
    """Whether a task builds an index, which is what takes time on a table that has its rows."""
    if build_statements(made):
        return isinstance(task, Build)
    return isinstance(task, Alter) and made.kind != "statistics"


class LoadProgress:
    """Follows the workers of a load; every method may be called from any thread.

    Args:
        workload: that of the run, to which this load adds its own.
        compared: as `LoadContext`.
    """

    def __init__(self, tables: Mapping[TableName, TableWork], workload: Workload, compared: float) -> None:
        self._tables = tables
        self._workload = workload
        self._compared = compared
        workload.amounts[Work.COMPARE] += Amount(compared * sum(table.weight for table in tables.values()))
        self._before = dict(workload.amounts)
        self._doing: dict[int, Doing] = {}
        self._spent = dict.fromkeys(Work, 0.0)
        self._shares: Mapping[int, float] = {}
        self._looked_at = 0.0
        self._lock = threading.Lock()

    def begin(self, worker: int, doing: Doing) -> None:
        """A worker begins something."""
        with self._lock:
            self._doing[worker] = doing
            if isinstance(doing.task, Copy):
                self._tables[doing.table].begun = True

    def settle(self, worker: int, succeeded: bool) -> None:
        """It has ended."""
        with self._lock:
            doing = self._doing.pop(worker)
            took = time.monotonic() - doing.since
            if isinstance(doing.task, Copy):
                self._spent[Work.COPY] += took
            elif isinstance(doing.task, Hash):
                self._tables[doing.table].hashed += 1
                self._spent[Work.COMPARE] += took
            elif doing.task in self._tables[doing.table].builds:
                self._tables[doing.table].built.add(doing.task)
                if succeeded:
                    self._spent[Work.BUILD] += took

    def give_back(self, worker: int) -> None:
        """It has not: the worker leaves it to others."""
        with self._lock:
            del self._doing[worker]

    def counted(self, task: Copy, on_bytes: Callable[[int], None]) -> Callable[[int], None]:
        """The same, which counts the bytes also for the worker that does the task."""
        with self._lock:
            doing = next(doing for doing in self._doing.values() if doing.task == task)

        def count(size: int) -> None:
            doing.bytes += size
            on_bytes(size)

        return count

    @property
    def wants_a_look(self) -> bool:
        """Whether an index is being built for so long that the server should be asked how far it is."""
        now = time.monotonic()
        with self._lock:
            long = any(
                isinstance(d.task, (Build, Alter)) and now - d.since > LOOK_SECONDS for d in self._doing.values()
            )
        return long and now - self._looked_at > LOOK_SECONDS

    def look(self, target: Connection) -> None:
        """Ask the server of the target; what it does not tell stays unknown."""
        moment = time.monotonic()
        with suppress(psycopg2.Error):
            self._shares = build_shares(target)
        self._looked_at = moment

    def now(self) -> Progress:
        """How far the load is."""
        with self._lock:
            return self._now()

    def _now(self) -> Progress:
        moment, doing, spent = time.monotonic(), self._doing, self._spent
        status = {name: table.meter.status() for name, table in self._tables.items() if table.is_copied_now}
        left = {name: self._copy_left(table, status.get(name)) for name, table in self._tables.items()}
        load = self._workload
        copying = sum(moment - d.since for d in doing.values() if isinstance(d.task, Copy))
        every = sum(table.weight * table.rest for table in self._tables.values())
        copy = Amount(every, every - sum(left.values()), spent[Work.COPY] + copying)
        load.amounts[Work.COPY] = self._before[Work.COPY] + copy
        under_way = self._builds_under_way(doing, moment)
        building = sum(moment - d.since for d in doing.values() if d.task in under_way)
        build = self._builds(under_way, spent[Work.BUILD] + building)
        load.amounts[Work.BUILD] = self._before[Work.BUILD] + build
        hashed = sum(
            table.weight * table.hashed / max(1, 2 * table.plan.chunk_count) for table in self._tables.values()
        )
        compare = Amount(0.0, self._compared * hashed, spent[Work.COMPARE])
        load.amounts[Work.COMPARE] = self._before[Work.COMPARE] + compare
        workers = tuple(
            self._worker(number, d, status, under_way, moment) for number, d in sorted(doing.items()) if d.activity
        )
        speeds = [w.bytes_per_second for w in workers if w.bytes_per_second is not None]
        ended = [table for table in self._tables.values() if table.ended]
        rows, expected = self._rows(status)
        total = Total(
            tables=len(self._tables),
            finished=len(ended),
            rows=rows,
            expected_rows=expected,
            share=load.share,
            seconds_left=load.seconds_left(self._longest(left, under_way)),
            bytes_per_second=sum(speeds) if speeds else None,
        )
        return Progress("copying", tuple(status.values()), workers, total)

    @staticmethod
    def _copy_left(table: TableWork, status: TableStatus | None) -> float:
        if table.rows is not None or table.ended:
            return 0.0
        return table.weight * table.rest * (1 - (status.share if status is not None else 0.0))

    def _rows(self, status: Mapping[TableName, TableStatus]) -> tuple[int, int]:
        """Rows that are there, and that will be."""
        rows = expected = 0
        for name, table in self._tables.items():
            if table.rows is not None:
                rows, expected = rows + table.rows, expected + table.rows
                continue
            here = (table.continued.rows if table.continued else 0) + (status[name].rows if name in status else 0)
            there = here if table.meter.expected_rows == 0 else max(here, table.plan.rows)
            rows, expected = rows + here, expected + there
        return rows, expected

    def _builds_under_way(self, doing: Mapping[int, Doing], moment: float) -> Mapping[Task, tuple[float, bool]]:
        """How far each build is, and whether the server says so; else by the time that it should take."""
        found: dict[Task, tuple[float, bool]] = {}
        for one in doing.values():
            table = self._tables[one.table]
            if one.task not in table.builds:
                continue
            process = one.process() if one.since < self._looked_at else None  # later it is of what was built before
            if process is not None and process in self._shares:
                # It goes on since then, as fast as before.
                grown = self._shares[process] * (moment - one.since) / (self._looked_at - one.since)
                found[one.task] = min(grown, max(OVERDUE_SHARE, self._shares[process])), True
                continue
            expected = self._workload.seconds_of(Work.BUILD, table.weight)
            guessed = min(OVERDUE_SHARE, (moment - one.since) / expected) if expected else 0.0
            found[one.task] = guessed, False
        return found

    def _builds(self, under_way: Mapping[Task, tuple[float, bool]], seconds: float) -> Amount:
        every = done = 0.0
        for table in self._tables.values():
            every += table.weight * len(table.builds)
            if table.ended:
                done += table.weight * len(table.builds)
                continue
            done += table.weight * len(table.built)
            done += table.weight * sum(under_way[task][0] for task in table.builds & under_way.keys() - table.built)
        return Amount(every, done, seconds)

    def _longest(self, left: Mapping[TableName, float], under_way: Mapping[Task, tuple[float, bool]]) -> float:
        """What the table needs that needs most, since one chunk or index is one worker's."""
        longest = 0.0
        for name, table in self._tables.items():
            if table.ended or not (left[name] or table.builds):
                continue
            hands = max(1, min(self._workload.workers, table.plan.chunk_count))
            rest = [1 - under_way[task][0] if task in under_way else 1.0 for task in table.builds - table.built]
            copy = self._workload.seconds_of(Work.COPY, left[name]) or 0.0
            build = self._workload.seconds_of(Work.BUILD, table.weight * max(rest, default=0.0)) or 0.0
            longest = max(longest, copy / hands + build)
        return longest

    def _worker(
        self,
        number: int,
        doing: Doing,
        status: Mapping[TableName, TableStatus],
        under_way: Mapping[Task, tuple[float, bool]],
        moment: float,
    ) -> WorkerStatus:
        seconds = moment - doing.since
        share, speed = None, None
        if isinstance(doing.task, Copy):
            known = doing.table in status and status[doing.table].expected_rows
            share = status[doing.table].share if known else None
            speed = doing.bytes / seconds if seconds > 0 else None
        elif doing.task in under_way:
            far, told = under_way[doing.task]
            share = far if told else None
        title = self._tables[doing.table].title
        return WorkerStatus(number, title, doing.activity, doing.detail, seconds, share, speed)


def build_shares(connection: Connection) -> Mapping[int, float]:
    """How far the builds of indexes in a database are, between 0 and 1, by the processes that do them.

    PostgreSQL docs: "CREATE INDEX Progress Reporting". The view is there since version 12.
    """
    found = fetch(connection, sql_file("transfer/build_shares.sql"))
    return {pid: min(1.0, max(0.0, share)) for pid, share in found}
