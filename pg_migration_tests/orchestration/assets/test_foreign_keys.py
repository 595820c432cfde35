"""Foreign keys are created only between tables that the ledger shows as loaded."""

from collections.abc import Callable

import pytest

from pg_migration_tests.orchestration.harness import BOOKKEEPING, Migrated, Platform

CYCLES = """
    CREATE TABLE chickens (id integer PRIMARY KEY, egg integer, mother integer REFERENCES chickens);
    CREATE TABLE eggs (id integer PRIMARY KEY, chicken integer REFERENCES chickens DEFERRABLE INITIALLY DEFERRED);
    ALTER TABLE chickens ADD CONSTRAINT hatched FOREIGN KEY (egg) REFERENCES eggs ON DELETE SET NULL NOT VALID;
    INSERT INTO chickens VALUES (1, NULL, NULL), (2, NULL, 1); INSERT INTO eggs VALUES (1, 2);
    UPDATE chickens SET egg = 1 WHERE id = 2
"""
FOREIGN_KEYS = "SELECT conname FROM pg_constraint WHERE contype = 'f' ORDER BY 1"


@pytest.fixture(scope="module")
def migration(migrate_once: Callable[..., Migrated]) -> Migrated:
    return migrate_once(CYCLES)


def test_they_wait_for_both_tables(shop: Platform) -> None:
    assert shop.materialize("source_schema", "target_ddl").success
    done = shop.materialize("public/foreign_keys")
    assert not done.success
    message = done.failures["foreign_keys"]
    assert "orders_customer_fkey" in message
    assert "public.orders is not fully loaded in the target; materialize it first" in message
    assert "public.customers is not fully loaded in the target" in message
    assert shop.target.psql(FOREIGN_KEYS) == ""

    done = shop.materialize("public/orders", "public/foreign_keys")
    assert not done.success
    assert "public.customers is not fully loaded" in done.failures["foreign_keys"]
    assert "public.orders is not" not in done.failures["foreign_keys"]
    assert shop.target.psql(FOREIGN_KEYS) == ""
    assert shop.materialize("public/customers", "public/foreign_keys").success
    assert shop.target.psql(FOREIGN_KEYS) == "orders_customer_fkey"


def test_a_table_made_anew_by_somebody_is_not_the_one_that_was_loaded(migrated: Platform) -> None:
    migrated.target.psql(
        "DROP TABLE orders; CREATE TABLE orders (id bigint PRIMARY KEY, customer integer, placed date)"
    )
    done = migrated.materialize("public/foreign_keys")
    assert not done.success
    assert "public.orders is not fully loaded" in done.failures["foreign_keys"]


def test_cycles_and_self_references_and_again_when_they_are_there(migrated: Platform) -> None:
    defined = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' ORDER BY 1"
    assert migrated.target.psql(defined) == migrated.source.psql(defined)
    before = migrated.target.dump("--exclude-schema", BOOKKEEPING)
    done = migrated.materialize("public/foreign_keys")
    assert done.success
    shown = done.metadata("public/foreign_keys")
    assert (shown["foreign_keys"], shown["not_valid"]) == (4, 1)
    assert migrated.target.dump("--exclude-schema", BOOKKEEPING) == before


def test_a_key_that_rows_violate_is_reported_and_the_others_are_made(shop: Platform) -> None:
    shop.source.psql(
        "CREATE TABLE notes (order_id bigint REFERENCES orders, customer integer REFERENCES customers);"
        "INSERT INTO notes VALUES (5, 7);"
        "SET session_replication_role = replica;"
        "DELETE FROM customers WHERE id = 7; DELETE FROM orders WHERE customer = 7"
    )
    done = shop.migrate()
    assert not done.success
    assert "notes_customer_fkey" in done.failures["foreign_keys"]
    assert "notes_customer_fkey" in done.told
    assert "public/foreign_keys" not in done.assets
    assert shop.target.psql("SELECT count(*) FROM notes") == "1"
    names = shop.target.psql(FOREIGN_KEYS + ", convalidated").split()
    assert {"orders_customer_fkey", "notes_order_id_fkey"} <= set(names)
