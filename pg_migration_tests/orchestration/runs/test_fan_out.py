"""Runs that copy ranges for another one: they share its snapshot and its lock, and are nothing without it.

How one run launches others, through the queue, is in cli/test_dagster_dev.py.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from pg_migration.orchestration import environment
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import LockLost
from pg_migration.postgres.ledger.lock import BorrowedLock
from pg_migration.postgres.migration import Options
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.transfer.sharing import work_of
from pg_migration_tests.orchestration.harness import BOOKKEEPING, Platform, Run

CUT = {"partition_threshold": 1000, "max_partitions": 4}
OWNER = "0a0a0a0a-0000-4000-8000-000000000000"
COUNT = "SELECT count(*) FROM orders"


@pytest.fixture
def emptied(shop: Platform) -> Platform:
    """The shop after a whole run, and then as an owner leaves it to others: orders without rows and keys."""
    assert shop.migrate_directly(**CUT).succeeded
    keys = f"SELECT r ->> 0 FROM {BOOKKEEPING}.plan, json_array_elements(ranges) AS r WHERE table_name = 'orders'"
    shop.instance.add_dynamic_partitions("pk_ranges/public.orders", shop.target.psql(keys).split())
    shop.target.psql(
        f"TRUNCATE orders; ALTER TABLE orders DROP CONSTRAINT orders_pkey; DELETE FROM {BOOKKEEPING}.chunk "
        f"WHERE table_name = 'orders'; UPDATE {BOOKKEEPING}.plan SET run_id = '{OWNER}'"
    )
    return shop


def begin() -> MigrationRun:
    """A run that holds the snapshot and the lock."""
    options = Options()
    run = MigrationRun(OWNER, options, lambda: environment.pair().migration(options))
    run.begin(exclusive=True)
    return run


@pytest.fixture
def owned(emptied: Platform) -> Iterator[Platform]:
    """As `emptied`, with an owner at work."""
    owner = begin()
    yield emptied
    owner.close()


def borrow(platform: Platform, *keys: str) -> Run:
    first, *_, last = (keys[0], *keys)
    tags = {"pg_migration/snapshot_of": OWNER}
    return platform.materialize("public/orders", partitions=(first, last), tags=tags, **CUT)


def ranges(platform: Platform) -> list[str]:
    return list(platform.instance.get_dynamic_partitions("pk_ranges/public.orders"))


def test_shares_make_one_table_of_one_snapshot(owned: Platform, tmp_path: Path) -> None:
    owned.set(REPORTS=str(tmp_path / "reports"))
    first, *others = ranges(owned)
    owned.source.psql("UPDATE orders SET placed = '2000-01-01'")
    done = borrow(owned, first)
    assert "tables" in done.succeeded
    assert int(owned.target.psql(COUNT)) == int(first.strip("."))
    owned.source.psql("DELETE FROM orders WHERE id > 3000")
    second = borrow(owned, *others)
    assert second.success  # its row count is about the whole table
    assert owned.target.psql("SELECT count(*), min(placed) FROM orders") == "4000|2024-01-01"
    copied_by = f"SELECT DISTINCT run_id, copied_by FROM {BOOKKEEPING}.chunk WHERE table_name = 'orders'"
    assert set(owned.target.psql(copied_by).splitlines()) == {f"{OWNER}|{run.result.run_id}" for run in (done, second)}
    assert not (tmp_path / "reports").exists()  # the owner's tells
    assert owned.target.psql("SELECT count(*) FROM pg_constraint WHERE conname = 'orders_pkey'") == "0"
    assert borrow(owned, first).success
    assert owned.target.psql(COUNT) == "4000"  # what is there is not copied twice
    owned.instance.add_dynamic_partitions("pk_ranges/public.orders", ["..7"])
    unplanned = borrow(owned, "..7")
    assert f"run {OWNER} has planned no range ..7 of public.orders" in unplanned.failures["tables"]
    with Connections() as connections:
        BorrowedLock(connections, environment.pair().endpoint(Side.TARGET), OWNER, "borrower").check_held()
        of_another = BorrowedLock(connections, environment.pair().endpoint(Side.TARGET), "another", "borrower")
        with pytest.raises(LockLost, match="run another, whose snapshot and lock"):
            of_another.check_held()


def test_who_copied_what_when_is_read_from_the_ledger(shop: Platform) -> None:
    """What overlaps was done by different workers, each of one run."""
    begin().close()
    entry = "('public', 'orders', '{key}', 1, 1, 0, '{owner}', 's', 'true', 10, 20, '{begin}', '{end}', 1, '{run}')"
    times = [("a", "00:00", "00:10"), ("a", "00:05", "00:20"), ("a", "00:15", "00:15"), ("a", "00:20", "00:19")]
    times += [("b", "00:30", "00:40"), ("else", "00:30", "00:40")]
    rows = [
        entry.format(key=n, owner=OWNER, run=run, begin=f"2024-01-01 {begin}Z", end=f"2024-01-01 {end}Z")
        for n, (run, begin, end) in enumerate(times)
    ]
    shop.target.psql(f"INSERT INTO {BOOKKEEPING}.chunk VALUES {', '.join(rows)}")
    with closing(psycopg2.connect(shop.target.url)) as connection:
        work = work_of(connection, OWNER, ["a", "b"], workers=2)
    assert [(done.detail, done.worker, done.run) for done in work] == [
        *(("0", 3, "a"), ("1", 4, "a"), ("2", 3, "a"), ("3", 3, "a")),
        ("4", 5, "b"),
    ]
    assert all(done.seconds >= 0 for done in work)
    assert {(done.activity, done.table, done.rows, done.bytes) for done in work} == {
        ("copy", ("public", "orders"), 10, 20)
    }


def test_without_its_owner_a_share_is_not_copied(emptied: Platform) -> None:
    for end in (lambda run: run.close(), lambda run: run.connections.close()):
        end(begin())
        done = borrow(emptied, ranges(emptied)[0])
        assert OWNER in done.failures["tables"]
        assert "ended" in done.failures["tables"]
        assert emptied.target.psql(COUNT) == "0"


def test_a_run_without_a_queue_can_not_spread(idle_shop: Platform) -> None:
    done = idle_shop.migrate(spread_over=2)
    assert not done.success
    assert "'dagster job execute'" in done.failures["source_schema"]
    assert idle_shop.target.psql("SELECT count(*) FROM pg_namespace WHERE nspname = '_pg_migration'") == "0"
