"""How far a comparison is, as its workers read both sides."""

import itertools

import pytest
from psycopg2 import sql

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.transfer import progress
from pg_migration.postgres.transfer.progress import Progress, WorkerStatus
from pg_migration.postgres.transfer.workload import Workload
from pg_migration.postgres.verification import comparison_progress
from pg_migration.postgres.verification.comparison_progress import ComparisonProgress
from pg_migration.postgres.verification.slices import Slicing
from pg_migration_tests.postgres.transfer.test_load_progress import MIB, Clock


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (comparison_progress, progress):
        monkeypatch.setattr(module, "time", clock)
    return clock


def slicing(name: str, rows: int, slices: int) -> Slicing:
    """A table of 100 MiB in so many slices on each side."""
    table = Table(1, "public", name, "r", "p", (), (), False, None, (), False, rows, 1, 100 * MIB, None, None, None)
    return Slicing(table, rows, dict.fromkeys(Side, (sql.SQL("true"),) * slices))


FLIGHTS, PLANES = slicing("flights", 1000, 4), slicing("planes", 10, 1)


@pytest.fixture
def comparison() -> ComparisonProgress:
    made = ComparisonProgress(Workload(1))
    made.expect({"public.flights": FLIGHTS, "public.planes": PLANES}, taken_over=1)
    return made


def read(comparison: ComparisonProgress, clock: Clock, of: Slicing, side: Side, seconds: float) -> None:
    with comparison.reading(1, side, of):
        clock.now += seconds
    comparison.answered(of)


def test_what_is_read_now(comparison: ComparisonProgress, clock: Clock) -> None:
    read(comparison, clock, FLIGHTS, Side.SOURCE, 5)
    with comparison.reading(3, Side.TARGET, FLIGHTS):
        clock.now += 2
        told = comparison.now()
    assert (told.phase, told.total.tables, told.total.finished) == ("comparing", 3, 0)
    assert told.workers == (WorkerStatus(3, "public.flights", "comparing", "target", 2, share=0.125),)
    assert [(status.table, status.rows) for status in told.tables] == [("public.flights", 125)]


def test_the_time_left(comparison: ComparisonProgress, clock: Clock) -> None:
    assert comparison.now().total.seconds_left is None
    for side in Side:
        for _ in range(4):
            read(comparison, clock, FLIGHTS, side, 5)
    comparison.finished(FLIGHTS)
    told = comparison.now().total
    assert told.share == 0.5
    assert told.seconds_left == pytest.approx(20)  # one worker for each side


def test_a_slice_that_takes_long_is_not_a_jump(comparison: ComparisonProgress, clock: Clock) -> None:
    for side in Side:
        for _ in range(4):
            read(comparison, clock, FLIGHTS, side, 5)
    left = []
    with comparison.reading(1, Side.SOURCE, PLANES):
        for _ in range(20):
            clock.now += 4
            told = comparison.now().total.seconds_left
            assert told is not None
            left.append(told)
    assert all(0 < seconds <= 50 for seconds in left)
    assert max(abs(b - a) for a, b in itertools.pairwise(left)) < 6


def test_tables_whose_answers_are_those_of_others_come_last(comparison: ComparisonProgress) -> None:
    comparison.finished(FLIGHTS)
    assert comparison.now().total.finished == 1
    comparison.finished(PLANES)
    assert comparison.now().total.finished == 3


def test_it_is_told_once_in_a_while(clock: Clock) -> None:
    told: list[Progress] = []
    comparison = ComparisonProgress(Workload(1), told.append)
    clock.now += 100
    comparison.beat()  # nothing is compared yet
    comparison.expect({"public.flights": FLIGHTS})
    for _ in range(3):
        comparison.beat()
    assert len(told) == 1
