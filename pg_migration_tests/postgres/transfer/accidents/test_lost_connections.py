"""Connections that servers end in the middle of a load: what is safe goes on, what is not stops; nothing is doubled."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection import retry
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import LockLost, SnapshotLost
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.transfer import worker
from pg_migration_tests.postgres.transfer.harness import Database, Pair

ROWS = 50_000
BIG = f"""
CREATE TABLE big (id int PRIMARY KEY, v text);
INSERT INTO big SELECT i, repeat('x', 800) FROM generate_series(1, {ROWS}) i;
"""
CHUNKED = LoadSettings(chunk_size=5_000, partition_threshold=1000, max_partitions=4)

COPIES = "state = 'active' AND query ~ '^COPY .*\"big\"' AND query_start < clock_timestamp() - interval '10 ms'"
READER = "query ~ '^COPY .*\"big\"'"  # copying, or between two chunks
# These two sessions do nothing but wait in their transaction, or outside of one.
SNAPSHOT_HOLDER = "state = 'idle in transaction' AND query ~ 'pg_export_snapshot|pg_relation_filenode'"
LOCK_HOLDER = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)"


@contextmanager
def terminating(
    database: Database, which: str, times: int, once_copying: bool = False, after: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Terminate backends while the block runs, but none before one of ``after`` was; the pids of those that were."""
    killed: list[int] = []
    done = threading.Event()
    doomed = f"datname = current_database() AND application_name LIKE 'pg_migration%' AND {which}"
    copying = f"SELECT 1 FROM pg_stat_activity WHERE {COPIES}" if once_copying else "SELECT 1"

    def work() -> None:
        with database.connection() as connection:
            while len(killed) < times and not done.is_set():
                if (after is None or after) and fetch(connection, copying):
                    found = fetch(connection, f"SELECT pid FROM pg_stat_activity WHERE {doomed} LIMIT 1")
                    killed.extend(
                        pid for (pid,) in found if fetch(connection, "SELECT pg_terminate_backend(%s)", (pid,))
                    )
                time.sleep(0.005)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "RETRY_SECONDS", (0.05,) * 6)


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("chunk_size", [5_000, 10**9], ids=["many chunks", "one chunk"])
def test_goes_on_from_the_last_committed_chunk(pair: Pair, side: str, chunk_size: int) -> None:
    pair.source.psql(BIG)
    for _ in range(20):  # on a busy machine a load may be over before anybody looks
        with terminating(getattr(pair, side), COPIES, times=3) as killed:
            loaded = pair.load(LoadSettings(chunk_size=chunk_size))
        if killed:
            break
    assert killed
    assert not loaded.failed
    assert not loaded.problems
    pair.check_equal()
    assert pair.target.rows("SELECT sum(row_count)::bigint FROM _pg_migration.chunk") == [(ROWS,)]


def test_a_commit_whose_answer_is_lost(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.source.psql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000); ANALYZE t")
    committing, lost = worker.transaction, []

    @contextmanager
    def losing(connection: Connection) -> Iterator[None]:
        with committing(connection):
            yield
        if not lost:
            lost.append(connection)
            connection.close()
            raise psycopg2.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(worker, "transaction", losing)
    loaded = pair.load(LoadSettings(chunk_size=300))
    assert lost
    assert not loaded.failed
    pair.check_equal()
    assert pair.target.rows("SELECT sum(row_count)::bigint FROM _pg_migration.chunk") == [(1000,)]


def test_gives_up_after_a_bounded_number(pair: Pair) -> None:
    pair.source.psql(BIG)
    with terminating(pair.source, COPIES, times=1000) as killed:
        loaded = pair.load(LoadSettings(chunk_size=10**9, workers=1))
    assert len(set(killed)) == 1 + len(retry.RETRY_SECONDS)
    assert loaded.failed["big"].startswith("on the source: ")
    assert pair.target.rows("SELECT count(*) FROM big") == [(0,)]


def test_range_that_is_replaced(pair: Pair) -> None:
    pair.source.psql(BIG)
    plan = pair.load_all(CHUNKED).plans["big"]
    pair.source.psql("UPDATE big SET v = repeat('y', 800)")
    with terminating(pair.target, COPIES, times=2) as killed:
        loaded = pair.load(CHUNKED, ranges={"big": [piece.range.key for piece in plan.ranges]})
    assert killed
    assert not loaded.failed
    pair.check_equal()


def test_without_the_snapshot_no_new_reader(pair: Pair) -> None:
    """Readers that have the snapshot may finish with it; one that would need another snapshot stops the load."""
    pair.source.psql(BIG)
    with (
        pytest.raises(SnapshotLost, match=r"can't be read any more .* Start the run again"),
        terminating(pair.source, SNAPSHOT_HOLDER, times=1, once_copying=True) as holder,
        terminating(pair.source, READER, times=2, after=holder),
    ):
        pair.load(LoadSettings(chunk_size=12_500, workers=1))
    pair.load_all(CHUNKED)


def test_without_the_lock_nothing_more(pair: Pair) -> None:
    """The session of the lock is the proof that the target did not restart in between."""
    pair.source.psql(BIG)
    with (
        pytest.raises(LockLost, match="the target ended the session that holds the run's lock"),
        terminating(pair.target, LOCK_HOLDER, times=1, once_copying=True),
    ):
        pair.load(CHUNKED)
    pair.load_all(CHUNKED)


def test_target_that_restarts(pair: Pair) -> None:
    """A crash may cost what was committed without waiting for the disk: the run fails, the next one is whole."""
    pair.source.psql(BIG)
    server = pair.target.server.server

    def crash() -> None:
        deadline = time.monotonic() + 120
        with pair.source.connection() as connection:
            while not fetch(connection, f"SELECT 1 FROM pg_stat_activity WHERE {COPIES}"):
                assert time.monotonic() < deadline
        server.stop("immediate")
        server.start()

    thread = threading.Thread(target=crash)
    thread.start()
    try:
        with pytest.raises(LockLost):
            pair.load(CHUNKED)
    finally:
        thread.join()
    pair.load_all(CHUNKED)
