"""The job `repair`: what differs is reloaded, and nothing else."""

from collections.abc import Callable

import pytest

from pg_migration.postgres.migration import repair, validate
from pg_migration_tests.orchestration.harness import BOOKKEEPING, Migrated, Platform

CUT = {"partition_threshold": 1000, "max_partitions": 4, "chunk_size": 500}
ROWS = "SELECT * FROM orders ORDER BY id"


@pytest.fixture(scope="module")
def migration(migrate_once: Callable[..., Migrated]) -> Migrated:
    """Orders in four ranges, customers in one; and a table without a primary key."""
    notes = "CREATE TABLE notes (said text); INSERT INTO notes VALUES ('a'), ('a'), ('b'), (NULL)"
    return migrate_once(notes, **CUT)


def ranges(platform: Platform) -> list[str]:
    return list(platform.instance.get_dynamic_partitions("pk_ranges/public.orders"))


def test_just_the_ranges_that_differ(migrated: Platform) -> None:
    keys = ranges(migrated)
    second, fourth = (int(keys[n].split("..")[0]) for n in (1, 3))
    structure = migrated.target.dump("--schema-only", "--exclude-schema", BOOKKEEPING)
    kept = f"SELECT array_agg(xmin::text ORDER BY id) FROM orders WHERE id < {second} OR id >= {fourth}"
    before = migrated.target.psql(kept)
    third = int(keys[2].split("..")[0])
    migrated.target.psql(
        f"UPDATE orders SET placed = NULL WHERE id = {second}; DELETE FROM orders WHERE id = {third};"
        "DELETE FROM notes WHERE said = 'b'; INSERT INTO notes VALUES ('a')"
    )
    done = migrated.repair(**CUT)
    assert done.success, done.failures
    assert done.assets == {"public/orders", "public/notes", "validation"}
    assert "checks never made" in done.metadata("validation")["verdict"]  # no run of Dagster's has compared it
    assert sorted(done.partitions("public/orders")) == sorted(keys[1:3])
    assert done.partitions("public/notes") == ["all"]
    assert migrated.target.psql(kept) == before
    assert migrated.target.psql(ROWS) == migrated.source.psql(ROWS)
    assert migrated.target.dump("--schema-only", "--exclude-schema", BOOKKEEPING) == structure
    passed = {key: found.passed for key, found in done.every_check.items()}
    assert passed == {(f"public/{t}", c): True for t in ("orders", "notes") for c in ("row_count", "content")}
    assert validate(migrated.migration(**CUT)).succeeded
    # The ledger still shows each range once, and so a complete table.
    ledger = f"SELECT count(DISTINCT range_key), sum(row_count) FROM {BOOKKEEPING}.chunk WHERE table_name = 'orders'"
    assert migrated.target.psql(ledger) == "4|4000"
    again = repair(migrated.migration(**CUT))
    assert again.succeeded
    assert not again.outcomes.loaded


def test_foreign_keys_and_triggers_survive_and_a_killed_repair_is_made_up_for(migrated: Platform) -> None:
    migrated.target.psql(
        "CREATE TABLE log (what text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO log VALUES (TG_OP); RETURN NEW; END$$;"
        "CREATE TRIGGER changes AFTER INSERT OR DELETE ON customers FOR EACH ROW EXECUTE FUNCTION note();"
        "ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey; DELETE FROM customers WHERE id > 50; TRUNCATE log;"
        # As a run leaves it that was killed before it could bring the foreign key back.
        f"INSERT INTO {BOOKKEEPING}.suspended VALUES ('public', 'orders', 'foreign key', 'orders_customer_fkey', "
        "'ALTER TABLE public.orders ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer) "
        "REFERENCES public.customers(id)', 'public', 'customers')"
    )
    done = migrated.repair("customers", **CUT)
    assert done.success, done.failures
    assert done.assets == {"public/customers", "validation"}
    assert migrated.target.psql("SELECT count(*) FROM customers") == "100"
    assert migrated.target.psql("SELECT count(*) FROM log") == "0"
    assert migrated.target.psql("SELECT tgenabled FROM pg_trigger WHERE tgname = 'changes'") == "O"
    assert migrated.target.psql("SELECT convalidated FROM pg_constraint WHERE contype = 'f'") == "t"
    assert migrated.target.psql(f"SELECT count(*) FROM {BOOKKEEPING}.suspended") == "0"


def test_what_can_not_be_repaired_fails(migrated: Platform) -> None:
    migrated.target.psql("DROP TABLE notes; UPDATE orders SET placed = NULL WHERE id = 7")
    done = migrated.repair(**CUT)
    assert not done.success
    assert (
        'public.notes can\'t be read on the target: relation "public.notes" does not exist'
        in done.failures["repair_tables"]
    )
    assert migrated.target.psql(ROWS) == migrated.source.psql(ROWS)
    unknown = migrated.repair("ordres", **CUT)
    assert not unknown.success
    assert "no table matches the pattern 'ordres'" in unknown.failures["repair_tables"]
