"""Rows of the target that nobody has loaded from this source are there after every run, unless somebody says so."""

from collections.abc import Callable

import pytest

from pg_migration.postgres.migration import Result, preflight, repair
from pg_migration.postgres.preflight import Severity
from pg_migration_tests.conftest import SHOP, PostgresServer
from pg_migration_tests.orchestration.harness import Database, Migrated, Platform, Run

ALIEN = "CREATE TABLE orders (id bigint PRIMARY KEY, customer integer NOT NULL, placed date)"
ROWS = "INSERT INTO orders VALUES (1, 1, NULL), (2, 1, NULL)"


@pytest.fixture(scope="module")
def migration(migrate_once: Callable[..., Migrated]) -> Migrated:
    return migrate_once()


def rows(database: Database, table: str = "orders") -> int:
    return int(database.psql(f'SELECT count(*) FROM "{table}"'))


def refusal(platform: Platform, run: Callable[[], Run | Result]) -> str:
    """What a run says that must not go ahead; the target is as it was, the bookkeeping included."""
    before = platform.target.dump()
    done = run()
    assert platform.target.dump() == before
    if isinstance(done, Result):
        (said,) = done.failures
        return said
    assert not done.success
    (said, *others) = dict.fromkeys(done.failures[step] for step in sorted(done.failures) if step != "summary")
    assert not others
    return said


@pytest.mark.parametrize(
    "options", [{}, {"drop_existing_tables": True}, {"use_unlogged_tables": True}], ids=["keep", "drop", "unlogged"]
)
def test_unknown_rows_stay(shop: Platform, options: dict[str, bool]) -> None:
    shop.target.psql(f"{ALIEN}; {ROWS}; CREATE TABLE customers AS SELECT 1 AS id WHERE false")
    options = {"exclude_tables": ["customers"], **options}
    said = refusal(shop, lambda: shop.migrate_directly(**options))
    assert "public.orders (2 rows): the bookkeeping does not know them" in said
    assert "overwrite_existing_rows: true (pg_migration run --overwrite)" in said
    assert "public.customers" not in said
    (error,) = (found for found in preflight(shop.migration(**options)) if found.severity is Severity.ERROR)
    assert "public.orders (2 rows)" in str(error)
    done = shop.migrate_directly(overwrite_existing_rows=True, **options)
    assert done.failures == ()
    assert rows(shop.target) == 4000
    assert any("rows that would be deleted" in note and "public.orders (2 rows)" in note for note in done.notes)


def test_a_run_of_dagsters_stops_before_it_touches_unknown_rows(shop: Platform) -> None:
    shop.target.psql(f"{ALIEN}; {ROWS}")
    assert "public.orders (2 rows)" in refusal(shop, shop.migrate)


def test_empty_tables_are_nobodys(shop: Platform) -> None:
    shop.target.psql(f"{ALIEN}; {ROWS}; DELETE FROM orders")
    assert shop.migrate_directly().succeeded


def test_ranges_and_repair_do_not_replace_unknown_rows(shop: Platform) -> None:
    shop.target.psql(f"{ALIEN}; {ROWS}")
    shop.instance.add_dynamic_partitions("pk_ranges/public.orders", ["..2000", "2001.."])
    for run in (
        lambda: shop.materialize("public/orders", partition="2001.."),
        lambda: shop.materialize("public/orders", partitions=("..2000", "2001..")),
        lambda: repair(shop.migration(), ["orders"]),
    ):
        assert "public.orders (2 rows)" in refusal(shop, run)
    shop.target.psql("DROP TABLE orders")
    assert shop.migrate_directly(exclude_tables=["customers"]).succeeded
    shop.target.psql("UPDATE orders SET placed = NULL WHERE id = 7")
    assert repair(shop.migration(), ["orders"]).succeeded, "what we loaded may be repaired"


def test_what_does_not_empty_a_table_is_not_refused(shop: Platform) -> None:
    shop.target.psql(f"{ALIEN}; {ROWS}")
    done = shop.validate()
    assert "would be deleted" not in str(done.failures)
    assert "would be deleted" not in str(shop.materialize("public/customers").failures)
    assert rows(shop.target) == 2


def test_our_own_rows_may_go_and_who_wrote_is_told(shop: Platform) -> None:
    def told() -> str:
        done = shop.migrate_directly()
        assert done.failures == ()
        return "\n".join(done.notes)

    assert "written to" not in told()
    shop.target.psql("UPDATE orders SET placed = NULL WHERE id <= 3; DELETE FROM orders WHERE id = 9")
    said = told()
    assert "public.orders (3 updated, 1 deleted)" in said
    assert "public.customers (" not in said
    assert "written to" not in told(), "our own rows are no others', and what was told is not told again"
    shop.target.psql("TRUNCATE orders; INSERT INTO orders VALUES (1, 1, NULL)")
    assert "public.orders (1 inserted)" in told()


def test_statistics_that_were_reset_accuse_nobody(shop: Platform) -> None:
    assert shop.migrate_directly().succeeded
    shop.target.psql("SELECT pg_stat_reset()")
    assert "written to" not in "\n".join(shop.migrate_directly().notes)


def test_a_table_made_anew_by_others_is_not_ours(migrated: Platform) -> None:
    migrated.target.psql(f"DROP TABLE orders; {ALIEN}; {ROWS}")
    assert "public.orders (2 rows): the table was made anew since it was loaded" in refusal(
        migrated, migrated.migrate_directly
    )


def test_a_table_that_was_never_loaded_is_not_ours(shop: Platform) -> None:
    assert shop.migrate_directly(exclude_tables=["orders"]).succeeded
    shop.target.psql(f"{ALIEN}; {ROWS}")
    assert "public.orders" in refusal(shop, shop.migrate_directly)


def test_another_source_is_named(migrated: Platform, postgres16: PostgresServer) -> None:
    other = postgres16.create_database()
    name = other.rpartition("/")[2]
    try:
        postgres16.psql(other, SHOP)
        first, migrated.source = migrated.source, Database(postgres16, other)
        migrated.set(SOURCE_URL=other)
        said = refusal(migrated, migrated.migrate_directly)
        assert f"loaded from another source, another database of this server, {first.url.rpartition('/')[2]}" in said
        assert name not in said
        assert migrated.migrate_directly(overwrite_existing_rows=True).succeeded
        assert migrated.migrate_directly().succeeded, "now it is this source's"
    finally:
        migrated.set(SOURCE_URL=None)
        postgres16.drop_database(other)


def test_a_ledger_that_was_copied_with_its_database(migrated: Platform) -> None:
    server, name = migrated.target.server, migrated.target.url.rpartition("/")[2]
    clone = server.url(f"{name}_clone")
    server.psql(server.url(), f'CREATE DATABASE "{name}_clone" TEMPLATE "{name}"')
    try:
        migrated.target = Database(server, clone)
        migrated.set(TARGET_URL=clone)
        assert (
            "the bookkeeping was copied here with the database; it is that of a target another database of this "
            in (said := refusal(migrated, migrated.migrate_directly))
        )
        assert name in said
    finally:
        server.drop_database(clone)


def test_a_ledger_of_an_earlier_version(migrated: Platform) -> None:
    migrated.target.psql(
        "ALTER TABLE _pg_migration.run DROP COLUMN identities;"
        "DROP TABLE _pg_migration.target_state, _pg_migration.version"
    )
    migrated.target.psql("UPDATE _pg_migration.run SET source_server = 'before a restart'")
    assert migrated.migrate_directly().succeeded
    migrated.target.psql("UPDATE _pg_migration.run SET identities = NULL, source = 'postgresql://u@elsewhere:5432/db'")
    migrated.target.psql("UPDATE _pg_migration.run SET source_server = 'before a restart'")
    assert "loaded from another source, at postgresql://u@elsewhere:5432/db" in refusal(
        migrated, migrated.migrate_directly
    )


def test_what_a_killed_run_left_is_ours(migrated: Platform) -> None:
    migrated.target.psql("""
        DELETE FROM _pg_migration.chunk WHERE table_name = 'orders' AND chunk > 1;
        UPDATE _pg_migration.run SET finished_at = NULL, succeeded = NULL
    """)
    assert migrated.migrate_directly().succeeded


def test_dropping_takes_nothing_that_inherits(shop: Platform) -> None:
    shop.target.psql(f"{ALIEN}; CREATE SCHEMA apart; CREATE TABLE apart.more () INHERITS (orders)")
    shop.target.psql("INSERT INTO apart.more VALUES (1, 1, NULL)")
    said = refusal(shop, lambda: shop.migrate_directly(exclude_tables=["customers"], drop_existing_tables=True))
    assert "apart.more (1 row)" in said


def test_rules_of_the_target_reach_no_other_table(shop: Platform) -> None:
    ranges = {"partition_threshold": 1000, "max_partitions": 2}
    assert shop.migrate_directly(**ranges).succeeded
    shop.target.psql("""
        CREATE SCHEMA apart; CREATE TABLE apart.kept AS SELECT generate_series(1, 4000) AS id;
        CREATE RULE along AS ON DELETE TO orders DO ALSO DELETE FROM apart.kept WHERE id = OLD.id;
        UPDATE orders SET placed = NULL
    """)
    shop.instance.add_dynamic_partitions("pk_ranges/public.orders", ["..2000"])
    assert shop.materialize("public/orders", partition="..2000", **ranges).success
    assert shop.target.psql("SELECT count(*) FROM apart.kept") == "4000"
    assert shop.target.psql("SELECT ev_enabled FROM pg_rewrite WHERE rulename = 'along'") == "O"


def test_an_estimate_is_called_one(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pg_migration.postgres.ledger.own_rows.MAX_BYTES_COUNTED", 0)
    shop.target.psql(f"{ALIEN}; {ROWS}; ANALYZE orders")
    assert "public.orders (about 2 rows)" in refusal(shop, lambda: shop.migrate_directly(exclude_tables=["customers"]))
