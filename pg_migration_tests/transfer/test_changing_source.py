"""A source that others write to and change during the run: the copy is the snapshot, never a mix."""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg2
import pytest

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.endpoint import Endpoint
from pg_migration.postgres.errors import SourceChanged
from pg_migration.postgres.plan import LoadSettings
from pg_migration.postgres.session import Connections, execute
from pg_migration.postgres.snapshot import Snapshot
from pg_migration_tests.transfer.harness import Pair

BANK = """
CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE movement (id serial PRIMARY KEY, account int NOT NULL REFERENCES account, amount bigint NOT NULL);
INSERT INTO account SELECT i, 0 FROM generate_series(1, 2000) i;
INSERT INTO movement (account, amount) SELECT i % 2000 + 1, 0 FROM generate_series(1, 100000) i;
"""
# Every transaction keeps this true, so it holds in every snapshot, and in no mix of two.
BALANCED = """
SELECT count(*) FROM account a JOIN (SELECT account, sum(amount) FROM movement GROUP BY 1) AS m ON m.account = a.id
WHERE m.sum <> a.balance
"""
WRITE = """
WITH chosen AS (SELECT (random() * 1999)::int + 1 AS id, (random() * 100)::int AS amount),
    written AS (INSERT INTO movement (account, amount) SELECT id, amount FROM chosen RETURNING account, amount)
UPDATE account SET balance = balance + amount FROM written WHERE id = account;
"""


@contextmanager
def writing(pair: Pair) -> Iterator[list[int]]:
    """Others write while the block runs; how many transactions."""
    done, written = threading.Event(), [0]

    def work() -> None:
        with pair.source.connection() as connection:
            while not done.is_set():
                execute(connection, WRITE)
                written[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield written
    finally:
        done.set()
        thread.join()


def test_concurrent_writer(pair: Pair) -> None:
    pair.source.psql(BANK)
    with writing(pair) as written:
        while not written[0]:
            time.sleep(0.01)
        assert pair.migrate(chunk_size=2000, partition_threshold=10_000, max_partitions=3).success
    assert pair.target.rows(BALANCED) == [(0,)]
    assert pair.target.rows("SELECT count(*) FROM movement") <= pair.source.rows("SELECT count(*) FROM movement")
    assert pair.target.rows("SELECT convalidated FROM pg_constraint WHERE contype = 'f'") == [(True,)]


@pytest.mark.parametrize(
    "command", ["TRUNCATE account, movement", "ALTER TABLE account ALTER balance TYPE numeric", "DROP TABLE movement"]
)
def test_commands_that_would_empty_the_snapshot_wait(pair: Pair, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    pair.source.psql(BANK)
    before = pair.source.hashes()
    waited: list[str] = []
    protected = threading.Event()
    protect = Snapshot.protect

    def protect_and_tell(snapshot: Snapshot, tables: Sequence[Table]) -> None:
        protect(snapshot, tables)
        protected.set()

    monkeypatch.setattr(Snapshot, "protect", protect_and_tell)

    def change() -> None:
        with pair.source.connection() as connection:
            assert protected.wait(timeout=60)
            execute(connection, "SET lock_timeout = 100")
            try:
                execute(connection, command)
            except psycopg2.errors.LockNotAvailable as error:
                waited.append(str(error))

    thread = threading.Thread(target=change)
    thread.start()
    loaded = pair.load(LoadSettings(chunk_size=500, workers=1))
    thread.join()
    assert waited
    assert not loaded.failed
    assert pair.target.hashes() == before


@pytest.mark.parametrize("command", ["TRUNCATE movement", "ALTER TABLE movement ALTER amount TYPE numeric"])
def test_change_between_snapshot_and_lock(pair: Pair, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    pair.source.psql(BANK)
    take = Snapshot.take

    def take_and_change(connections: Connections, source: object) -> Snapshot:
        snapshot = take(connections, source)  # type: ignore[arg-type]
        pair.source.psql(command)
        return snapshot

    monkeypatch.setattr(Snapshot, "take", take_and_change)
    with pytest.raises(SourceChanged, match=r"truncated or rewritten while the run began: public.movement"):
        pair.load()
    assert pair.target.hashes() == {}


@pytest.mark.parametrize(("times", "succeeds"), [(2, True), (100, False)])
def test_the_job_takes_another_snapshot(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, times: int, succeeds: bool
) -> None:
    pair.source.psql("CREATE TABLE tick (n int); INSERT INTO tick VALUES (0);")
    take, taken = Snapshot.take, itertools.count(1)

    def take_and_change(connections: Connections, source: Endpoint) -> Snapshot:
        snapshot = take(connections, source)
        if (n := next(taken)) <= times:
            pair.source.psql(f"BEGIN; TRUNCATE tick; INSERT INTO tick VALUES ({n}); COMMIT;")
        return snapshot

    monkeypatch.setattr(Snapshot, "take", take_and_change)
    result = pair.migrate()
    assert result.success == succeeds
    if succeeds:
        assert pair.target.rows("SELECT n FROM tick") == [(times,)]
    else:
        assert "truncated or rewritten while the run began: public.tick" in pair.messages(result)
        assert pair.target.hashes() == {}
