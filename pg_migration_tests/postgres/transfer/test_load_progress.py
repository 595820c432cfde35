"""How far a load is, as its workers begin and end what they do."""

import threading
from dataclasses import replace

import pytest
from psycopg2 import sql

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.planning.key_ranges import WHOLE_TABLE
from pg_migration.postgres.planning.plan import Chunk, RangePlan, TablePlan
from pg_migration.postgres.transfer import load_progress, progress
from pg_migration.postgres.transfer.load_progress import Doing, LoadProgress, TableWork
from pg_migration.postgres.transfer.progress import Progress, TableMeter, TableStatus, WorkerStatus
from pg_migration.postgres.transfer.resume import Continued
from pg_migration.postgres.transfer.tasks import Build, Copy, Task
from pg_migration.postgres.transfer.workload import Workload

MIB = 2**20
NAME = ("public", "flights")
INDEX = Build((1259, 7, 0))


class Clock:
    """A clock that stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Loading:
    """A load of one table of 1,000 rows and 100 MiB in four chunks, with an index."""

    def __init__(self, clock: Clock, continued: Continued | None = None) -> None:
        table = Table(
            *(1, *NAME, "r", "p", (), (), False, None, (), False, 1000, 12800, 100 * MIB, None, None, None),
        )
        chunks = tuple(Chunk(n, sql.SQL("true")) for n in range(1, 5))
        plan = TablePlan(table, 1000, 100 * MIB, 12800, True, None, None, (RangePlan(WHOLE_TABLE, chunks),))
        rest = 1 - continued.rows / 1000 if continued else 1.0
        meter = TableMeter("public.flights", round(1000 * rest), round(100 * MIB * rest))
        self.work = TableWork(plan, "public.flights", meter, rest, continued, frozenset({INDEX}))
        self.progress = LoadProgress({NAME: self.work}, Workload(2), 1.0)
        self._clock = clock

    def begin(self, worker: int, task: Task, process: int | None = None) -> None:
        copies = isinstance(task, Copy)
        activity, detail = ("copying", "all") if copies else ("building index", "flights_at")
        self.progress.begin(worker, Doing(task, NAME, activity, detail, self._clock.now, lambda: process))

    def copy(self, worker: int, number: int, seconds: float, done: float = 1.0) -> None:
        """A chunk of a quarter of the table; or part of one, which goes on."""
        task = Copy(NAME, "all", number)
        self.begin(worker, task)
        with self.work.meter.chunk() as on_bytes:
            self.progress.counted(task, on_bytes)(round(25 * MIB * done))
        self._clock.now += seconds
        if done == 1.0:
            self.work.meter.committed(250, 25 * MIB)
            self.progress.settle(worker, succeeded=True)

    def now(self) -> Progress:
        return self.progress.now()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (load_progress, progress):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_before_anything_was_copied(clock: Clock) -> None:
    told = Loading(clock).now()
    assert (told.phase, told.tables, told.workers) == ("copying", (), ())
    assert (told.total.share, told.total.seconds_left) == (0, None)
    assert str(told) == "0 of 1 tables, 0 %"


def test_what_each_worker_does(clock: Clock) -> None:
    loading = Loading(clock)
    loading.copy(1, 1, seconds=5)
    loading.copy(1, 2, seconds=2, done=0.5)
    loading.begin(2, INDEX)
    told = loading.now()
    assert told.workers == (
        WorkerStatus(1, "public.flights", "copying", "all", 2, share=0.375, bytes_per_second=6.25 * MIB),
        WorkerStatus(2, "public.flights", "building index", "flights_at", 0),
    )
    assert [status.rows for status in told.tables] == [375]
    assert (told.total.rows, told.total.expected_rows, told.total.bytes_per_second) == (375, 1000, 6.25 * MIB)


def test_the_time_left_counts_indexes_and_checks(clock: Clock) -> None:
    loading = Loading(clock)
    loading.copy(1, 1, seconds=20)
    loading.copy(2, 2, seconds=20)
    told = loading.now().total
    assert told.seconds_left is not None
    copy, index, check = 40, 0.4 * 80, 0.8 * 80
    assert told.seconds_left == pytest.approx(copy / 2 + index + check / 2)  # an index is one worker's
    assert told.share == pytest.approx(0.5 / 2.2)


def test_an_index_that_takes_longer_than_expected(clock: Clock) -> None:
    """The time left neither becomes less than nothing nor shrinks to it while the index is being built."""
    loading = Loading(clock)
    for number in range(1, 5):
        loading.copy(1, number, seconds=20)
    loading.work.rows = 1000
    loading.begin(1, INDEX)
    left = []
    for _ in range(10):
        clock.now += 20
        told = loading.now().total
        assert told.seconds_left is not None
        left.append(told.seconds_left)
    checks = 0.8 * 80 / 2
    assert all(seconds > checks for seconds in left)
    loading.progress.settle(1, succeeded=True)
    loading.work.ended = True
    told = loading.now().total
    assert (told.finished, told.seconds_left) == (1, pytest.approx(checks))


def test_how_far_an_index_is_where_the_server_tells(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    loading = Loading(clock)
    loading.begin(1, INDEX, process=4711)
    assert not loading.progress.wants_a_look
    clock.now += load_progress.LOOK_SECONDS + 0.1
    assert loading.progress.wants_a_look
    monkeypatch.setattr(load_progress, "build_shares", lambda _: {4711: 0.25})
    loading.progress.look(None)  # type: ignore[arg-type]
    assert not loading.progress.wants_a_look
    assert [worker.share for worker in loading.now().workers] == [0.25]
    clock.now += load_progress.LOOK_SECONDS + 0.1
    assert [worker.share for worker in loading.now().workers] == [0.5]


def test_a_table_that_is_continued(clock: Clock) -> None:
    """What is there is no work, but it is there."""
    there = Continued({("all", 1): (250, 25 * MIB)}, {"earlier": 1}, 4)
    loading = Loading(clock, there)
    loading.copy(1, 2, seconds=10)
    told = loading.now().total
    assert (told.rows, told.expected_rows) == (500, 1000)
    assert told.seconds_left == pytest.approx(20 / 2 + 0.4 * 40 + 0.8 * 40 / 2)


def test_what_is_not_known_to_have_an_end_has_no_share(clock: Clock) -> None:
    """Of some ranges of a table nobody knows how many rows they hold."""
    loading = Loading(clock)
    loading.work.meter.expected_rows = 0
    loading.copy(1, 1, seconds=3)
    loading.copy(1, 2, seconds=3, done=0.5)
    told = loading.now()
    assert [worker.share for worker in told.workers] == [None]
    assert [str(table) for table in told.tables] == ["public.flights: 250 rows, 42 rows/s, 37.5 MiB"]
    assert (told.total.rows, told.total.expected_rows) == (250, 250)


def test_workers_go_on_meanwhile(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is begun while progress is told is in the next one."""
    loading, planes = Loading(clock), ("public", "planes")
    loading.progress = LoadProgress({planes: Loading(clock).work, NAME: loading.work}, Workload(2), 1.0)
    loading.copy(1, 1, seconds=2, done=0.5)
    another = Doing(Copy(planes, "all", 1), planes, "copying", "all", clock.now)
    worker = threading.Thread(target=loading.progress.begin, args=(2, another))
    status = TableMeter.status

    def begins_another(meter: TableMeter) -> TableStatus:
        if not worker.ident:
            worker.start()
            worker.join(0.1)  # it may have to wait for its turn
        return status(meter)

    monkeypatch.setattr(TableMeter, "status", begins_another)
    assert [table.table for table in loading.now().tables] == ["public.flights"]
    worker.join()
    assert len(loading.now().tables) == 2


def test_a_table_that_failed_is_no_work_any_more(clock: Clock) -> None:
    loading = Loading(clock)
    loading.copy(1, 1, seconds=10)
    loading.work.ended = True
    told = loading.now()
    assert told.tables == ()
    assert told.total.finished == 1
    assert told.total.seconds_left == pytest.approx(0.8 * 10 / 2)


def test_what_takes_long_to_tell_is_told_less_often(clock: Clock) -> None:
    begun = clock.now
    assert progress.next_beat(begun, 1.0) == begun + 1.0
    clock.now += 0.5
    assert progress.next_beat(begun, 1.0) == clock.now + 0.5 * progress.WORTH


def test_a_worker_that_leaves(clock: Clock) -> None:
    loading = Loading(clock)
    loading.begin(1, INDEX)
    loading.progress.give_back(1)
    assert loading.now().workers == ()


def test_many_tables_of_no_size_are_work_too(clock: Clock) -> None:
    loading = Loading(clock)
    plan = replace(loading.work.plan, bytes=0, rows=0)
    assert TableWork(plan, "t", loading.work.meter, 1.0).weight > 0
