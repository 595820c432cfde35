"""Rows of the target that nobody has loaded from this source are there after every run, unless somebody says so."""

from collections.abc import Callable
from typing import Any

import pytest

from pg_migration.postgres.migration import Result, preflight, repair
from pg_migration.postgres.preflight import Severity
from pg_migration_tests.conftest import SHOP, PostgresServer
from pg_migration_tests.orchestration.harness import Database, Migrated, Platform, Run
from pg_migration_tests.postgres.ledger.old_ledgers import WITHOUT_VERSIONS

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


def errors(platform: Platform, **options: Any) -> list[str]:
    """What a migration would be refused for."""
    return [str(found) for found in preflight(platform.migration(**options)) if found.severity is Severity.ERROR]


@pytest.fixture(scope="module")
def others(shop_once: Callable[..., Platform]) -> Platform:
    """Somebody else's rows are in the target, in a table that inherits, too; what is refused leaves all of it."""
    platform = shop_once()
    platform.target.psql(f"""
        {ALIEN}; {ROWS}; CREATE TABLE customers AS SELECT 1 AS id WHERE false;
        CREATE SCHEMA apart; CREATE TABLE apart.more () INHERITS (orders); INSERT INTO apart.more VALUES (1, 1, NULL);
        ANALYZE orders
    """)
    return platform


@pytest.mark.parametrize(
    "options", [{}, {"drop_existing_tables": True}, {"use_unlogged_tables": True}], ids=["keep", "drop", "unlogged"]
)
def test_unknown_rows_stay(others: Platform, options: dict[str, bool]) -> None:
    options = {"exclude_tables": ["customers"], **options}
    said = refusal(others, lambda: others.migrate_directly(**options))
    assert "public.orders (2 rows): the bookkeeping does not know them" in said
    assert ("apart.more (1 row)" in said) == ("drop_existing_tables" in options), "dropping takes what inherits"
    assert "overwrite_existing_rows: true (pg_migration run --overwrite)" in said
    assert "public.customers" not in said
    (error,) = errors(others, **options)
    assert "public.orders (2 rows)" in error


def test_a_run_of_dagsters_stops_before_it_touches_unknown_rows(others: Platform) -> None:
    assert "public.orders (2 rows)" in refusal(others, lambda: others.migrate(exclude_tables=["customers"]))


def test_ranges_and_repair_do_not_replace_unknown_rows(others: Platform) -> None:
    others.instance.add_dynamic_partitions("pk_ranges/public.orders", ["..2000", "2001.."])
    for run in (
        lambda: others.materialize("public/orders", partition="2001.."),
        lambda: others.materialize("public/orders", partitions=("..2000", "2001..")),
        lambda: repair(others.migration(), ["orders"]),
    ):
        assert "public.orders (2 rows)" in refusal(others, run)


def test_an_estimate_is_called_one(others: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pg_migration.postgres.ledger.own_rows.MAX_BYTES_COUNTED", 0)
    said = refusal(others, lambda: others.migrate_directly(exclude_tables=["customers"]))
    assert "public.orders (about 2 rows)" in said


def test_what_does_not_empty_a_table_is_not_refused(shop: Platform) -> None:
    """Nor is a run that leaves the table out; what it has loaded makes that table none of ours."""
    shop.target.psql(f"{ALIEN}; {ROWS}")
    done = shop.validate()
    assert "would be deleted" not in str(done.failures)
    assert "would be deleted" not in str(shop.materialize("public/customers").failures)
    assert rows(shop.target) == 2
    assert shop.migrate_directly(exclude_tables=["orders"]).succeeded
    assert "public.orders (2 rows)" in refusal(shop, shop.migrate_directly)


@pytest.mark.parametrize(
    "options", [{}, {"drop_existing_tables": True, "use_unlogged_tables": True}], ids=["keep", "drop and unlogged"]
)
def test_unknown_rows_go_when_somebody_says_so(shop: Platform, options: dict[str, bool]) -> None:
    shop.target.psql(f"{ALIEN}; {ROWS}")
    done = shop.migrate_directly(overwrite_existing_rows=True, exclude_tables=["customers"], **options)
    assert done.failures == ()
    assert rows(shop.target) == 4000
    assert any(
        "rows of the target that would be deleted" in note and "public.orders (2 rows)" in note for note in done.notes
    )


def test_our_own_rows_may_go_and_who_wrote_is_told(shop: Platform) -> None:
    def told() -> str:
        done = shop.migrate_directly()
        assert done.failures == ()
        return "\n".join(done.notes)

    shop.target.psql(f"{ALIEN}; {ROWS}; DELETE FROM orders")
    assert "written to" not in told(), "empty tables are nobody's"
    shop.target.psql("UPDATE orders SET placed = NULL WHERE id <= 3; DELETE FROM orders WHERE id = 9")
    said = told()
    assert "public.orders (3 updated, 1 deleted)" in said
    assert "public.customers (" not in said
    shop.target.psql("SELECT pg_stat_reset_single_table_counters('customers'::regclass)")
    assert "written to" not in told(), (
        "our own rows are no others', what was told is not told again, statistics that were reset accuse nobody"
    )
    shop.target.psql("TRUNCATE orders; INSERT INTO orders VALUES (1, 1, NULL)")
    assert "public.orders (1 inserted)" in told()


def test_what_we_loaded_may_be_repaired(migrated: Platform) -> None:
    migrated.target.psql("UPDATE orders SET placed = NULL WHERE id = 7")
    assert repair(migrated.migration(), ["orders"]).succeeded


def test_a_table_made_anew_by_others_is_not_ours(migrated: Platform) -> None:
    migrated.target.psql(f"DROP TABLE orders; {ALIEN}; {ROWS}")
    assert "public.orders (2 rows): the table was made anew since it was loaded" in refusal(
        migrated, migrated.migrate_directly
    )


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
        assert not errors(migrated), "now it is this source's"
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
        "ALTER TABLE _pg_migration.run DROP COLUMN identities; DROP TABLE _pg_migration.target_state;"
        + WITHOUT_VERSIONS
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
    assert not errors(migrated)


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
