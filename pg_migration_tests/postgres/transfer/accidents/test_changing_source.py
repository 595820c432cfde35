"""A source that others write to and change during the run: the copy is the snapshot, never a mix."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.migration.comparison.compare_tables import Comparison
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.snapshot import readers, snapshot
from pg_migration.postgres.snapshot.readers import Lockable, lockable_tables
from pg_migration.postgres.snapshot.snapshot import Protected, SharedSnapshot, Snapshot
from pg_migration.postgres.transfer.events import WorkerLeft
from pg_migration.postgres.transfer.load import Load
from pg_migration_tests.postgres.transfer.harness import Pair

BANK = """
CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE movement (id serial PRIMARY KEY, account int NOT NULL REFERENCES account, amount bigint NOT NULL);
INSERT INTO account SELECT i, 0 FROM generate_series(1, 2000) i;
INSERT INTO movement (account, amount) SELECT i % 2000 + 1, 0 FROM generate_series(1, 5000) i;
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
            while not done.wait(0.002):
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
        assert pair.migrate(chunk_size=500, partition_threshold=2500, max_partitions=3).succeeded
    assert pair.target.rows(BALANCED) == [(0,)]
    assert pair.target.rows("SELECT count(*) FROM movement") <= pair.source.rows("SELECT count(*) FROM movement")
    assert pair.target.rows("SELECT convalidated FROM pg_constraint WHERE contype = 'f'") == [(True,)]


def test_who_plans_sees_the_snapshot(pair: Pair) -> None:
    """In the run that takes it, and in one that borrows it."""
    pair.source.psql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)")
    end = pair.source.endpoint

    def listed(connection: Connection) -> Sequence[Lockable]:
        return lockable_tables(connection, ["public"], ())

    with Connections() as links:
        planner, borrower = links.open(end), links.open(end)
        taken = Protected.of(links, end, planner, listed, readers=1).take()
        pair.source.psql("INSERT INTO t SELECT generate_series(11, 20)")
        Snapshot.borrow(links, end, SharedSnapshot(taken.name, taken.taken_at), borrower, listed, readers=1)
        for connection in (planner, borrower, taken.holder):
            assert fetch(connection, "SELECT count(*), max(id) FROM public.t") == [(10, 10)]


class Change:
    """A command of somebody else on the source, which waits for a lock from some moment of a run on."""

    def __init__(self, pair: Pair, command: str, table: str | None = None) -> None:
        self._pair, self.table = pair, table
        self._thread = threading.Thread(target=lambda: pair.source.psql(command))

    def begin(self) -> None:
        """Start it, once, and return when it waits."""
        if self._thread.ident is None:
            self._thread.start()
            self.check_waiting()

    def check_waiting(self) -> None:
        of_it = "" if self.table is None else f" AND relation = '{self.table}'::regclass"
        wait_until(self._pair, f"SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted{of_it}")

    def end(self) -> None:
        """It went through."""
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()


def wait_until(pair: Pair, query: str) -> None:
    """Wait until a query of the source has rows."""
    deadline = time.monotonic() + 60
    with pair.source.connection() as connection:
        while not fetch(connection, query):
            assert time.monotonic() < deadline, query
            time.sleep(0.01)


def before(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, reaction: Callable[[], object]) -> None:
    """Do something each time before a method begins."""
    method = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        reaction()
        return method(*args, **options)

    monkeypatch.setattr(owner, name, wrapped)


TREE = """
CREATE TABLE tree (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF tree FOR VALUES FROM (0) TO (1000);
CREATE TABLE high PARTITION OF tree FOR VALUES FROM (1000) TO (MAXVALUE);
INSERT INTO tree SELECT i, 'x' FROM generate_series(1, 3000) i;
CREATE TABLE twig (id int PRIMARY KEY) ;
INSERT INTO twig SELECT generate_series(1, 10);
"""
# The same again, for who comes later.
LATER = re.sub(r"\b(tree|low|high|twig)\b", r"later_\1", TREE)
EMPTIED = {1: {"low", "high", "twig", "later_low", "later_high", "later_twig"}, 4: {"high", "later_high"}}


@pytest.mark.parametrize(
    ("workers", "command"), [pytest.param(1, "TRUNCATE tree, twig", marks=pytest.mark.longer), (4, "TRUNCATE high")]
)
def test_a_run_never_waits_for_who_waits_for_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, workers: int, command: str
) -> None:
    """A session that came to a table after the command would wait for it, and it waits for the run's end.

    Nobody waits for a run that leaves the table out.

    Who waits from the first moment on waits through all others; who comes at the last one finds all sessions at work.
    """
    pair.source.psql(TREE + LATER)
    was = pair.source.hashes()
    first = Change(pair, command, re.split("[ ,]+", command)[1])
    last = Change(pair, re.sub(r"\b(tree|high|twig)\b", r"later_\1", command), f"later_{first.table}")
    left_out = ["low", "twig"] if workers == 4 else []

    def begin() -> None:
        first.begin()
        for table in left_out[1:]:  # the others are locked with their parents
            pair.source.psql(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT")

    before(monkeypatch, MigrationRun, "plan", begin)
    before(monkeypatch, Comparison, "_digested", last.begin)
    config: dict[str, Any] = {"chunk_size": 500, "partition_threshold": 1000, "max_partitions": 3, "workers": workers}
    result = pair.migrate(exclude_tables=left_out, **config)
    assert result.succeeded, result.failures
    for change in (first, last):
        change.end()
    assert pair.target.hashes() == {name: hashed for name, hashed in was.items() if name not in left_out}
    now = pair.source.hashes()
    assert {name for name in was if now[name] != was[name]} == EMPTIED[workers]


# Each on a table of its own.
EMPTYING = (
    "ALTER TABLE {} ALTER v TYPE numeric",
    "VACUUM FULL {}",
    "DROP TABLE {}",
    "CLUSTER {0} USING {0}_pkey",
    "BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE; COMMIT",
)


def test_commands_that_would_empty_the_snapshot_wait(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [f"t{number}" for number in range(len(EMPTYING))]
    pair.source.psql(
        "".join(
            f"CREATE TABLE {table} (id int PRIMARY KEY, v int); INSERT INTO {table} SELECT i, i FROM "
            "generate_series(1, 1000) i;"
            for table in tables
        )
    )
    was = pair.source.hashes()
    changes = [Change(pair, ddl.format(table), table) for ddl, table in zip(EMPTYING, tables, strict=True)]
    before(monkeypatch, Load, "events", lambda: [change.begin() for change in changes])
    loaded = pair.load(LoadSettings(chunk_size=500, workers=2))
    assert not loaded.failed
    for change in changes:
        change.end()
    assert pair.target.hashes() == was


@pytest.mark.longer
def test_a_comparison_does_not_wait_either(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.source.psql(TREE)
    assert pair.migrate().succeeded
    change = Change(pair, "TRUNCATE tree, twig")
    before(monkeypatch, Comparison, "_sliced", change.begin)
    result = pair.validate()
    assert result.succeeded, result.failures
    change.end()


def test_commands_that_are_ahead_are_waited_for(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshot is taken after them: nothing of what they removed is in the copy, and nothing is half there."""
    pair.source.psql(BANK + "CREATE TABLE tick AS SELECT 1 AS n")
    slow, quick = "BEGIN; TRUNCATE movement; SELECT pg_sleep(1); COMMIT", "TRUNCATE tick"
    threads = [threading.Thread(target=pair.source.psql, args=(command,)) for command in (slow, quick)]
    begun = threading.Event()

    def begin() -> None:
        if not begun.is_set():
            begun.set()
            for thread in threads:
                thread.start()
            wait_until(pair, "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            wait_until(
                pair,
                "SELECT FROM pg_locks WHERE relation = 'tick'::regclass AND mode = 'AccessExclusiveLock' AND granted "
                "UNION ALL SELECT FROM (SELECT FROM tick LIMIT 1) AS t HAVING count(*) = 0",
            )

    before(monkeypatch, snapshot._Sessions, "lock", begin)
    result = pair.migrate()
    for thread in threads:
        thread.join()
    assert result.succeeded, result.failures
    counted = "SELECT (SELECT count(*) FROM movement), (SELECT count(*) FROM tick), (SELECT count(*) FROM account)"
    assert pair.target.rows(counted) == [(0, 0, 2000)]


def test_a_table_that_is_emptied_all_the_time(pair: Pair) -> None:
    """Several times a second, by two sessions, from before the run until after it."""
    pair.source.psql(BANK + "CREATE TABLE tick (n int);")
    done = threading.Event()

    def empty() -> None:
        with pair.source.connection() as connection:
            for n in range(10**6):
                execute(connection, f"BEGIN; TRUNCATE tick; INSERT INTO tick VALUES ({n}); COMMIT")
                if done.wait(0.1):
                    return

    threads = [threading.Thread(target=empty) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        result = pair.migrate(workers=4)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert result.succeeded, result.failures
    assert pair.target.rows("SELECT count(*) FROM tick") == [(1,)]


def test_a_table_that_is_never_free(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.source.psql("CREATE TABLE tick (n int); CREATE TABLE tock (n int);")
    monkeypatch.setattr(snapshot, "LONGEST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(snapshot, "_wait_for_the_next", lambda *_: "public.tick")
    with pair.source.connection() as other:
        execute(other, "BEGIN; LOCK TABLE tick IN ACCESS EXCLUSIVE MODE")
        result = pair.migrate()
    assert not result.succeeded
    told = "20 attempts to lock all of them at one moment failed, because of public.tick (20 times)"
    assert told in "".join(result.failures)
    assert pair.target.hashes() == {}


@pytest.mark.longer
@pytest.mark.parametrize("lost", [1, 2])
def test_a_reader_that_is_lost_behind_a_waiting_command(pair: Pair, monkeypatch: pytest.MonkeyPatch, lost: int) -> None:
    """A new one can't get past it. Another worker does its share; where there is none, it is told who waits."""
    pair.source.psql(BANK)
    change = Change(pair, "TRUNCATE account, movement /* by night */")
    monkeypatch.setattr(readers, "LOCK_AGAIN_SECONDS", 0.3)

    def lose() -> None:
        change.begin()
        idle = (
            "query LIKE '%SAVEPOINT reading' AND query NOT LIKE '%pg_stat_activity%' AND datname = current_database()"
        )
        ended = f"SELECT pg_terminate_backend(pid, 9999) FROM pg_stat_activity WHERE {idle} ORDER BY pid LIMIT {lost}"
        assert pair.source.psql(ended).split() == ["t"] * lost

    before(monkeypatch, Load, "events", lose)
    loaded = pair.load(LoadSettings(workers=2))
    told = [event.reason for event in loaded.events if isinstance(event, WorkerLeft)]
    assert len(told) == 1
    assert bool(loaded.failed) == (lost == 2)
    for problem in [*told, *loaded.failed.values()]:
        assert "somebody waits for the end of this run: session " in problem
        assert "TRUNCATE account, movement /* by night */" in problem
    change.end()


MANY = 10
LOCKED = f"""
SELECT coalesce(max(count), 0) FROM (
    SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE locktype = 'relation' AND application_name LIKE 'pg_migration%' AND mode = 'AccessShareLock'
    GROUP BY pid HAVING count(*) >= {MANY}
) AS x
"""


def test_few_locks(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not every reader can have all locks, what the others can't lock is read by one that has them.

    While rows are copied as well as while they are compared.
    """
    pair.source.psql(
        f"SELECT format('CREATE TABLE t%s AS SELECT i FROM generate_series(1, 10) i', n) "
        f"FROM generate_series(1, {MANY}) n \\gexec\n" + TREE
    )
    was = pair.source.hashes()
    monkeypatch.setattr(snapshot, "room_for_locks", lambda _: 3 * MANY)
    changes = [Change(pair, "TRUNCATE tree, twig, t7", "tree"), Change(pair, "TRUNCATE t8", "t8")]
    most = []

    def look(change: Change) -> None:
        change.begin()
        most.append(int(pair.source.psql(LOCKED)))

    for change, (owner, method) in zip(changes, [(Load, "events"), (Comparison, "verdicts")], strict=True):
        before(monkeypatch, owner, method, partial(look, change))
    result = pair.migrate(workers=4, chunk_size=500, partition_threshold=1000, max_partitions=3)
    assert result.succeeded, result.failures
    for change in changes:
        change.end()
    assert len(most) == 2
    assert min(most) >= MANY
    assert pair.target.hashes() == was
