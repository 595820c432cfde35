"""Workers that wait for a real server, and how they are stopped."""

import threading
import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration_tests.conftest import PostgresServer

LONG = "SELECT pg_catalog.pg_sleep(600)"


class Interrupt(BaseException):
    """As a signal raises it in the thread that waits."""


class Workers:
    """A pool over one database."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self._server, self._url = server, url
        self.connections = Connections("pg_migration test of workers")
        self.end = Endpoint.parse(Side.SOURCE, url, "URL")

    def sleep(self, _: object = None) -> None:
        """Wait in a statement that only a cancel ends."""
        execute(self.connections.open(self.end), LONG)

    def wait_for_sleeping(self, number: int) -> None:
        while len(self.sleeping()) < number:
            time.sleep(0.02)

    def sleeping(self) -> list[str]:
        asked = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'"
        return self._server.psql(self._url, f"{asked} AND datname = current_database()").split()


@pytest.fixture
def workers(postgres16: PostgresServer, source_db: str) -> Iterator[Workers]:
    made = Workers(postgres16, source_db)
    with made.connections:
        yield made
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("pg_migration test")]


def test_results_are_in_the_order_of_what_was_asked(workers: Workers) -> None:
    opened = [workers.connections.open(workers.end) for _ in range(3)]

    def ask(number: int) -> int:
        connection = opened[number % 3]
        execute(connection, "SELECT pg_catalog.pg_sleep(%s)", (0.2 if number == 0 else 0,))
        return int(fetch(connection, "SELECT %s * 10", (number,))[0][0])

    assert workers.connections.pool("test").map(ask, range(3)) == [0, 10, 20]
    assert workers.connections.pool("test").map(ask, range(9), size=1) == [n * 10 for n in range(9)]
    assert workers.connections.pool("test").map(ask, []) == []


def test_the_first_error_stops_the_others(workers: Workers) -> None:
    def work(number: int) -> None:
        if number < 3:
            workers.sleep()
        workers.wait_for_sleeping(3)
        execute(workers.connections.open(workers.end), "SELECT 1 / 0")

    with pytest.raises(psycopg2.errors.DivisionByZero):
        workers.connections.pool("test").map(work, range(4))
    assert not workers.sleeping()


def test_nothing_more_is_begun_after_an_error(workers: Workers) -> None:
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        execute(workers.connections.open(workers.end), "SELECT 1 / (%s - 2)", (number,))

    with pytest.raises(psycopg2.errors.DivisionByZero):
        workers.connections.pool("test").map(work, range(100), size=1)
    assert begun[:3] == [0, 1, 2]
    assert len(begun) < 100


def _interrupted(workers: Workers, number: int) -> Callable[[], None]:
    def meanwhile() -> None:
        if len(workers.sleeping()) >= number:
            raise Interrupt

    return meanwhile


@pytest.mark.parametrize("number", [1, 3])
def test_an_interrupt_cancels_what_runs(workers: Workers, number: int) -> None:
    workers.connections.meanwhile = _interrupted(workers, number)
    with pytest.raises(Interrupt):
        workers.connections.pool("test").map(workers.sleep, range(number))
    assert not workers.sleeping()


@pytest.mark.longer
def test_what_begins_another_statement_is_cancelled_again(workers: Workers) -> None:
    canceled = []

    def work() -> None:
        connection = workers.connections.open(workers.end)
        while len(canceled) < 3:
            with pytest.raises(psycopg2.errors.QueryCanceled):
                execute(connection, LONG)
            canceled.append(connection)

    workers.connections.meanwhile = _interrupted(workers, 1)
    with pytest.raises(Interrupt):
        workers.connections.run(work)
    assert len(canceled) == 3


def test_who_leaves_early_stops_the_workers(workers: Workers) -> None:
    stopped = threading.Event()

    def work(tell: Callable[[str], None]) -> None:
        tell("begun")
        workers.sleep()

    happened = workers.connections.pool("test").events([work, work], stopped.set)
    assert next(happened) == "begun"
    workers.wait_for_sleeping(2)
    happened.close()  # type: ignore[attr-defined]
    assert stopped.is_set()
    assert not workers.sleeping()


def test_whoever_waits_is_woken_now_and_then(workers: Workers) -> None:
    """To tell of progress, and to log what was put aside for it."""
    called = []
    workers.connections.meanwhile = lambda: called.append(threading.current_thread())

    def work(tell: Callable[[int], None]) -> None:
        execute(workers.connections.open(workers.end), "SELECT pg_catalog.pg_sleep(1)")
        tell(7)

    events = list(workers.connections.pool("test").events([work]))
    assert None in events
    assert [event for event in events if event is not None] == [7]
    assert set(called) == {threading.current_thread()}
