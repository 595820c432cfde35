"""Connections that servers end in the middle of a load: what is safe goes on, what is not stops; nothing is doubled."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import MagicMock

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection import retry
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import LockLost, SnapshotLost
from pg_migration.postgres.ledger import chunks
from pg_migration.postgres.ledger.chunks import Placed
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.transfer import worker
from pg_migration_tests.conftest import PostgresServer, fresh_database
from pg_migration_tests.postgres.transfer.harness import Database, Pair

ROWS = 20_000
BIG = f"""
CREATE TABLE big (id int PRIMARY KEY, v text);
INSERT INTO big SELECT i, repeat('x', 800) FROM generate_series(1, {ROWS}) i;
"""
CHUNKED = LoadSettings(chunk_size=5_000, partition_threshold=1000, max_partitions=4)

READER = "query ~ '(^|\\n)COPY .*\"big\"'"  # copying, or between two chunks
COPIES = f"state = 'active' AND {READER}"
# These two sessions do nothing but wait in their transaction, or outside of one.
SNAPSHOT_HOLDER = "state = 'idle in transaction' AND query ~ 'pg_export_snapshot|pg_relation_filenode'"
LOCK_HOLDER = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)"


@contextmanager
def while_copying(act: Callable[[], object]) -> Iterator[None]:
    """Do something whenever bytes of a COPY have arrived: more are on their way, and the two servers wait."""
    streaming, busy = worker.stream, threading.Lock()

    def watched(*given: Any, **named: Any) -> object:
        *others, on_bytes, wide = given

        def arrived(number: int) -> None:
            with busy:
                act()
            on_bytes(number)

        return streaming(*others, arrived, wide, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "stream", watched)
        yield


@contextmanager
def terminating(database: Database, which: str, times: int, after: Sequence[int] | None = None) -> Iterator[list[int]]:
    """Terminate backends during copies, but none before one of ``after`` was; the pids of those that were."""
    killed: list[int] = []
    doomed = f"datname = current_database() AND application_name LIKE 'pg_migration%' AND {which}"

    def terminate() -> None:
        if len(killed) < times and (after is None or after):
            with database.connection() as connection:
                found = fetch(connection, f"SELECT pid FROM pg_stat_activity WHERE {doomed} LIMIT 1")
                ended = "SELECT pg_terminate_backend(%s, 60000)"
                killed.extend(pid for (pid,) in found if fetch(connection, ended, (pid,)) == [(True,)])

    with while_copying(terminate):
        yield killed


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "RETRY_SECONDS", (0.05,) * 6)


@pytest.fixture(scope="module")
def filled(postgres16: PostgresServer) -> str:
    """The name of a database with many rows, to make copies of."""
    url = postgres16.create_database()
    postgres16.psql(url, BIG)
    return url.rpartition("/")[2]


@pytest.fixture
def source_db(postgres16: PostgresServer, filled: str) -> Iterator[str]:
    yield from fresh_database(postgres16, filled)


def check_all_copied(pair: Pair) -> None:
    pair.check_equal()
    assert pair.target.rows("SELECT sum(row_count)::bigint FROM _pg_migration.chunk") == [(ROWS,)]


@pytest.mark.parametrize(
    "chunk_size", [5_000, pytest.param(10**9, marks=pytest.mark.longer)], ids=["many chunks", "one chunk"]
)
def test_goes_on_from_the_last_committed_chunk(pair: Pair, chunk_size: int) -> None:
    """Whichever side ends sessions; here both do."""
    for _ in range(20):  # the source may have sent all of a chunk before any of it arrived
        with (
            terminating(pair.source, COPIES, times=2) as on_source,
            terminating(pair.target, COPIES, times=2) as on_target,
        ):
            loaded = pair.load(LoadSettings(chunk_size=chunk_size))
        if on_source and on_target:
            break
    assert on_source
    assert on_target
    assert not loaded.failed
    assert not loaded.problems
    check_all_copied(pair)


def test_a_commit_whose_answer_is_lost(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    committing, lost = chunks.record, []

    def losing(connection: Connection, *given: Any) -> Placed:
        placed = committing(connection, *given)
        if not lost:
            lost.append(connection)
            connection.close()
            raise psycopg2.OperationalError("server closed the connection unexpectedly")
        return placed

    monkeypatch.setattr(chunks, "record", losing)
    loaded = pair.load(CHUNKED)
    assert lost
    assert not loaded.failed
    check_all_copied(pair)


@pytest.mark.longer
def test_gives_up_after_a_bounded_number(pair: Pair) -> None:
    with terminating(pair.source, COPIES, times=1000) as killed:
        loaded = pair.load(LoadSettings(chunk_size=10**9, workers=1))
    assert len(set(killed)) == 1 + len(retry.RETRY_SECONDS)
    assert loaded.failed["big"].startswith("on the source: ")
    assert pair.target.rows("SELECT count(*) FROM big") == [(0,)]


@pytest.mark.longer
def test_range_that_is_replaced(pair: Pair) -> None:
    plan = pair.load_all(CHUNKED).plans["big"]
    pair.source.psql("UPDATE big SET v = repeat('y', 800) WHERE id % 10 = 0")
    with terminating(pair.target, COPIES, times=2) as killed:
        loaded = pair.load(CHUNKED, ranges={"big": [piece.range.key for piece in plan.ranges]})
    assert killed
    assert not loaded.failed
    pair.check_equal()


@pytest.mark.longer
def test_without_the_snapshot_no_new_reader(pair: Pair) -> None:
    """Readers that have the snapshot may finish with it; one that would need another snapshot stops the load."""
    with (
        pytest.raises(SnapshotLost, match=r"can't be read any more .* Start the run again"),
        terminating(pair.source, SNAPSHOT_HOLDER, times=1) as holder,
        terminating(pair.source, READER, times=2, after=holder),
    ):
        pair.load(LoadSettings(chunk_size=5_000, workers=1))
    pair.load_all(CHUNKED)


@pytest.mark.longer
def test_without_the_lock_nothing_more(pair: Pair) -> None:
    """The session of the lock is the proof that the target did not restart in between.

    A crash may cost what was committed without waiting for the disk: the run fails, at once, though the server may come
    back; the next one is whole.
    """
    server, crashes = pair.target.server.server, []

    def crash() -> None:
        if not crashes:
            crashes.append(server.pid)
            server.stop("immediate")

    try:
        with pytest.raises(LockLost), while_copying(crash):
            pair.load(CHUNKED)
    finally:
        if crashes:
            server.start()
    assert crashes
    with (
        pytest.raises(LockLost, match="the target ended the session that holds the run's lock"),
        terminating(pair.target, LOCK_HOLDER, times=1),
    ):
        pair.load(CHUNKED)
    pair.load_all(CHUNKED)


def test_a_new_writer_writes_nothing_before_a_look_at_the_lock() -> None:
    """Its session began after whoever has the lock now has ended all that he found."""
    context = MagicMock(settings=())
    context.lock.check_held.side_effect = LockLost("another run has it")
    with pytest.raises(LockLost):
        worker.Worker(context).target  # noqa: B018
