"""Ranges of a table's key as partitions: registered, planned anew, loaded one by one."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from pg_migration_tests.orchestration.harness import BOOKKEEPING, Migrated, Platform

CUT = {"partition_threshold": 1000, "max_partitions": 3}
VISITS = """
CREATE TABLE visits (id integer PRIMARY KEY);
INSERT INTO visits SELECT generate_series(1, 1500);
ANALYZE visits;
"""
SPOIL = "UPDATE orders SET placed = NULL"
SPOILED = "SELECT count(*) FROM orders WHERE placed IS NULL"
ROWS = "SELECT * FROM orders ORDER BY id"


@pytest.fixture(scope="module")
def migration(migrate_once: Callable[..., Migrated]) -> Migrated:
    """The shop's tables and another, the large ones in three ranges, after a whole run."""
    return migrate_once(VISITS, **CUT)


def registered(platform: Platform, table: str) -> list[str]:
    return list(platform.instance.get_dynamic_partitions(f"pk_ranges/public.{table}"))


def test_a_run_registers_readable_open_ended_ranges(migration: Migrated) -> None:
    assert migration.run is not None
    ranges = {asset: sorted(migration.run.partitions(f"public/{asset}")) for asset in ("customers", "orders", "visits")}
    assert {f"pk_ranges/public.{asset}": keys for asset, keys in ranges.items()} == {
        name: sorted(keys) for name, keys in migration.ranges.items()
    }
    assert ranges["customers"] == ["all"]
    for asset in ("orders", "visits"):
        keys = migration.ranges[f"pk_ranges/public.{asset}"]
        assert len(keys) == 3
        assert keys[0].startswith("..")
        assert keys[-1].endswith("..")
        for before, key in pairwise(keys):
            assert int(key.split("..")[0]) == int(before.split("..")[1]) + 1


def test_a_new_plan_replaces_the_ranges_of_the_old_one(migrated: Platform) -> None:
    before = registered(migrated, "orders")
    assert migrated.migrate(partition_threshold=2000, max_partitions=2).success
    after = registered(migrated, "orders")
    assert len(after) == 2
    assert not set(before) & set(after)
    assert registered(migrated, "visits") == ["all"]


def test_one_partition_replaces_exactly_its_rows(migrated: Platform) -> None:
    """And leaves keys and foreign keys in place."""
    keys = registered(migrated, "orders")
    lower, upper = map(int, keys[1].split(".."))
    migrated.target.psql(SPOIL)
    structure = migrated.target.dump("--schema-only", "--exclude-schema", BOOKKEEPING)
    done = migrated.materialize("public/orders", partition=keys[1], **CUT)
    assert done.success
    assert done.metadata("public/orders", keys[1])["dagster/partition_row_count"] == upper - lower + 1
    inside = f"SELECT * FROM orders WHERE id BETWEEN {lower} AND {upper} ORDER BY id"
    assert migrated.target.psql(inside) == migrated.source.psql(inside)
    assert int(migrated.target.psql(SPOILED)) == 4000 - (upper - lower + 1)
    assert migrated.target.dump("--schema-only", "--exclude-schema", BOOKKEEPING) == structure
    assert registered(migrated, "orders") == keys


def test_one_partition_does_not_hide_that_others_lack_rows(migrated: Platform) -> None:
    keys = registered(migrated, "orders")
    migrated.target.psql("DELETE FROM orders WHERE id = 1")
    done = migrated.materialize("public/orders", partition=keys[-1], **CUT)
    assert not done.success
    assert done.checks["public/orders"].description == "4,000 rows in the source, 3,999 in the target"


def test_a_span_of_partitions_is_one_run(migrated: Platform) -> None:
    keys = registered(migrated, "orders")
    migrated.target.psql(SPOIL)
    done = migrated.materialize("public/orders", partitions=(keys[1], keys[2]), **CUT)
    assert done.success
    assert sorted(set(done.partitions("public/orders"))) == sorted(keys[1:])
    first = int(keys[1].split("..")[0])
    assert int(migrated.target.psql(SPOILED)) == first - 1
    everything_else = f"SELECT * FROM orders WHERE id >= {first} ORDER BY id"
    assert migrated.target.psql(everything_else) == migrated.source.psql(everything_else)
    assert ("public/orders", "content") not in done.every_check  # the other rows are of an earlier snapshot
    whole = migrated.materialize("public/orders", partitions=(keys[0], keys[2]), **CUT)
    assert whole.every_check["public/orders", "content"].passed


def test_the_partition_all_replaces_the_table(migrated: Platform) -> None:
    migrated.target.psql("DELETE FROM orders WHERE customer = 3; UPDATE customers SET name = 'nobody'")
    done = migrated.materialize("public/customers", partition="all", **CUT)
    assert done.success
    rows = "SELECT id, name, balance, initial FROM customers ORDER BY id"
    assert migrated.target.psql(rows) == migrated.source.psql(rows)
    assert migrated.target.psql("SELECT count(*) FROM orders WHERE customer = 3") == "0"


def test_a_key_that_is_no_range_of_the_table(migrated: Platform) -> None:
    migrated.instance.add_dynamic_partitions("pk_ranges/public.orders", ["yesterday"])
    before = migrated.target.dump("--exclude-schema", BOOKKEEPING)
    done = migrated.materialize("public/orders", partition="yesterday", **CUT)
    assert not done.success
    assert "'yesterday' is not a key range of table public.orders" in done.failures["tables"]
    assert migrated.target.dump("--exclude-schema", BOOKKEEPING) == before


def test_a_run_of_one_table_reloads_that_table(migrated: Platform) -> None:
    migrated.target.psql(SPOIL + "; UPDATE customers SET name = 'nobody'")
    structure = migrated.target.dump("--schema-only", "--exclude-schema", BOOKKEEPING)
    done = migrated.materialize("public/orders", **CUT)
    assert done.success
    assert done.assets == {"public/orders"}
    assert migrated.target.psql(ROWS) == migrated.source.psql(ROWS)
    assert migrated.target.psql("SELECT DISTINCT name FROM customers") == "nobody"
    assert migrated.target.dump("--schema-only", "--exclude-schema", BOOKKEEPING) == structure


def test_all_ranges_one_by_one_make_a_complete_table(migrated: Platform) -> None:
    keys = registered(migrated, "orders")
    migrated.target.psql("TRUNCATE orders; ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey")
    migrated.target.psql(f"DELETE FROM {BOOKKEEPING}.chunk WHERE table_name = 'orders'")
    for key in keys[:-1]:
        done = migrated.materialize("public/orders", partition=key, **CUT)
        assert "tables" in done.succeeded
        assert done.passed == {"public/orders": False}  # it speaks of the whole table
    early = migrated.materialize("public/foreign_keys", **CUT)
    assert not early.success
    assert "public.orders is not fully loaded in the target" in early.failures["foreign_keys"]
    assert migrated.materialize("public/orders", partition=keys[-1], **CUT).success
    assert migrated.materialize("public/foreign_keys", **CUT).success
    assert migrated.target.psql(ROWS) == migrated.source.psql(ROWS)
    assert migrated.target.psql("SELECT conname FROM pg_constraint WHERE contype = 'f'") == "orders_customer_fkey"
