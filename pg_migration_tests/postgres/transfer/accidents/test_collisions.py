"""Other sessions in the way: deadlocks, catalogs that somebody else changes, clients that are just leaving."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pg_migration.postgres.catalog import discover
from pg_migration.postgres.connection import retry
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.ddl import apply
from pg_migration.postgres.errors import AnotherRunActive
from pg_migration.postgres.ledger import lock as lock_
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.transfer.events import NotAnalyzed
from pg_migration_tests.postgres.transfer.harness import Database, Pair

PATIENCE_SECONDS = 600
OURS_WAITS = "application_name LIKE 'pg_migration%' AND datname = current_database() AND wait_event_type = 'Lock'"


def wait_for(connection: Any, which: str) -> None:
    """Wait until a session is as it is said."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not fetch(connection, f"SELECT FROM pg_stat_activity WHERE {which}"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def somebody(database: Database, first: str, then: Callable[[Any], object]) -> Iterator[None]:
    """Another session, which begins a transaction, waits until it is in our way, does something and rolls back."""
    begun, problems = threading.Event(), []

    def work() -> None:
        try:
            with database.connection() as connection, database.connection() as watcher:
                execute(connection, "SET lock_timeout = '60 s'; SET deadlock_timeout = '1 h'")
                execute(connection, f"BEGIN; {first}")
                begun.set()
                wait_for(watcher, OURS_WAITS)
                then(connection)
        except BaseException as error:
            problems.append(error)
        finally:
            begun.set()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        thread.join()
        assert not problems


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "RETRY_SECONDS", (0.05,) * 6)


@pytest.mark.longer
def test_a_chunk_that_is_the_victim_of_a_deadlock(pair: Pair) -> None:
    """It has emptied the table and waits for its row of the ledger; the other has that and waits for the table."""
    pair.source.psql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)")
    pair.load_all(LoadSettings())
    before = pair.target.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    name = pair.target.rows("SELECT current_database()")[0][0]
    # Whoever has waited this long looks for a deadlock, once, and gives up if there is one: the other never looks.
    pair.target.psql(f"ALTER DATABASE {name} SET deadlock_timeout = '4 s'")
    with somebody(
        pair.target,
        "DELETE FROM _pg_migration.chunk",
        lambda session: execute(session, "LOCK TABLE t; ROLLBACK"),
    ):
        loaded = pair.load(LoadSettings())
    assert not loaded.failed
    pair.check_equal()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while pair.target.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == before:
        assert time.monotonic() < deadline, "there was no deadlock"
        time.sleep(0.1)


def test_a_catalog_that_somebody_else_changes(pair: Pair) -> None:
    pair.source.psql("CREATE TABLE t (id int); GRANT SELECT ON t TO PUBLIC")
    pair.target.psql("CREATE TABLE t (id int)")
    with Connections() as connections, pair.source.connection() as source:
        target = connections.open(pair.target.endpoint)
        objects = [item for item in discover(source, pair.schemas).objects if item.kind == "privileges"]
        mine = [item for item in objects if item.table == (pair.source.schema, "t")]
        assert len(mine) == 1
        with somebody(pair.target, "GRANT UPDATE ON t TO PUBLIC", lambda session: execute(session, "COMMIT")):
            (outcome,) = apply(target, mine)
    assert outcome.error is None
    assert pair.target.rows("SELECT has_table_privilege('public', 't', 'SELECT')") == [(True,)]


def test_statistics_that_fail_are_told_of_and_no_more(pair: Pair) -> None:
    pair.source.psql(
        "CREATE TABLE t (n int); INSERT INTO t VALUES (1); CREATE STATISTICS s ON (1 / n), (2 / n) FROM t;"
        "INSERT INTO t VALUES (0)"
    )
    loaded = pair.load(LoadSettings())
    assert not loaded.failed
    (told,) = (event for event in loaded.events if isinstance(event, NotAnalyzed))
    assert told.error.startswith("division by zero")
    pair.check_equal()
    assert pair.migrate().succeeded


def test_a_run_whose_client_is_just_leaving(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy server frees the lock of a run that has ended some time after the client has gone."""
    with Connections() as connections, pair.target.connection() as leaving:
        lock = lock_.TargetLock(connections, pair.target.endpoint, "next")
        assert fetch(leaving, "SELECT pg_advisory_lock(%s) IS NULL", (lock_.LOCK_KEY,))
        monkeypatch.setattr(lock_, "LEAVING_SECONDS", 0.2)
        with pytest.raises(AnotherRunActive, match="is being written by judge"):
            lock.acquire()
        monkeypatch.setattr(lock_, "LEAVING_SECONDS", PATIENCE_SECONDS)
        timer = threading.Timer(0.2, lambda: execute(leaving, "SELECT pg_advisory_unlock_all()"))
        timer.start()
        lock.acquire()
        timer.join()
