"""Writers are kept waiting behind locks, and none of them is harmed by that."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pytest

from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.replication import fence as fence_module
from pg_migration.postgres.replication.fence import Fence
from pg_migration.postgres.replication.structure import tables_of
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.harness import Two, two

# Where nobody knows better, the table that is written to last is locked first.
TABLES = """
    CREATE TABLE a (n integer);
    CREATE TABLE b (n integer);
"""
WRITE = "INSERT INTO b VALUES (1); SELECT pg_sleep(0.05); INSERT INTO a VALUES (1)"


@pytest.fixture
def pair(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Two]:
    with two(postgres16, postgres18, TABLES) as made:
        yield made


@contextmanager
def applications(pair: Two, number: int = 4) -> Iterator[list[str]]:
    """Sessions that write to one table, then to the other, all the time until that fails; what they are told then."""
    stopping, errors = threading.Event(), list[str]()

    def write() -> None:
        with pair.session(autocommit=False) as session, session.cursor() as cursor:
            try:
                while not stopping.is_set():
                    cursor.execute(WRITE)
                    session.commit()
            except psycopg2.Error as error:
                errors.append(str(error))

    threads = [threading.Thread(target=write) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield errors
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def test_locks_are_taken_in_the_order_in_which_applications_write(pair: Two) -> None:
    attempts = []
    with pair.sessions() as (source, _, connections), applications(pair) as errors:
        fence = Fence(connections, pair.end(Side.SOURCE), tables_of(source, ["public"]), 60)
        fence.lock(threading.Event(), lambda: None, lambda: attempts.append(1), lambda: None)
        rows = pair.in_source("SELECT count(*) FROM a")
        assert pair.in_source("SELECT pg_sleep(0.2); SELECT count(*) FROM a").split()[-1] == rows
        fence.check()
        fence.release()
    assert errors == []
    assert len(attempts) <= 3
    assert int(pair.in_source("SELECT count(*) FROM a")) > int(rows)


def test_a_wait_for_locks_can_be_stopped(pair: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AT_ONCE": 1, "SHORT": 0, "LONG": 1, "LONG_SECONDS": 60.0}.items():
        monkeypatch.setattr(fence_module, name, value)
    stopped = threading.Event()
    with pair.sessions() as (source, _, connections), pair.session(autocommit=False) as session:
        session.cursor().execute("INSERT INTO a VALUES (1)")
        fence = Fence(connections, pair.end(Side.SOURCE), tables_of(source, ["public"]), 60)
        threading.Timer(0.5, stopped.set).start()
        late = threading.Timer(20, session.close)  # then the locks are to be had
        late.start()
        with pytest.raises(MigrationError, match="was stopped"):
            fence.lock(stopped, lambda: None, lambda: None, lambda: None)
        late.cancel()
        assert pair.in_source("INSERT INTO b VALUES (1); SELECT 'it is free'") == "it is free"
        fence.release()
