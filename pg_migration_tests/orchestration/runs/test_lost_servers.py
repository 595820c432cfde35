"""Servers that are down when the code location loads, or go away during a run."""

import dagster as dg
import pytest

from pg_migration_tests.orchestration.harness import Database, Platform

DOWN = "postgresql://ann:sesame@127.0.0.1:1/shop"
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name LIKE 'pg_migration%'"
)


def test_the_location_loads_without_its_source_and_says_so(platform: Platform) -> None:
    platform.set(SOURCE_URL=DOWN)
    graph = platform.definitions.resolve_asset_graph()
    description = graph.get(dg.AssetKey("source_schema")).description or ""
    assert "could not be read when this code location was loaded" in description
    assert "can't connect to the source database postgresql://ann@127.0.0.1:1/shop" in description
    assert "sesame" not in description
    done = platform.migrate()
    assert not done.success
    assert "can't connect to the source database" in done.failures["source_schema"]
    assert not platform.validate().success


def test_the_last_known_tables_stand_in(shop: Platform) -> None:
    known = shop.definitions.resolve_asset_graph().materializable_asset_keys
    name = shop.source.url.rpartition("/")[2]
    shop.source.server.psql(shop.source.server.url(), f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    try:
        graph = shop.reload().resolve_asset_graph()
        assert graph.materializable_asset_keys == known
        assert "is not currently accepting connections" in (graph.get(dg.AssetKey("source_schema")).description or "")
        done = shop.migrate()
        assert "is not currently accepting connections" in done.failures["source_schema"]
        assert shop.validate().passed == {"public/customers": False, "public/orders": False}
    finally:
        shop.source.server.psql(shop.source.server.url(), f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert shop.migrate().success


def test_a_table_that_came_since_the_location_loaded(shop: Platform) -> None:
    assert shop.definitions
    shop.source.psql("CREATE TABLE newcomers (id integer)")
    done = shop.migrate()
    assert not done.success
    assert "public.newcomers" in done.failures["source_schema"]
    assert "Reload the code location" in done.failures["source_schema"]
    assert shop.target.psql("SELECT to_regclass('public.orders') IS NULL") == "t"
    assert not shop.validate().success
    shop.reload()
    assert shop.migrate().success
    assert shop.target.psql("SELECT count(*) FROM newcomers") == "0"


def test_a_table_that_went_since_the_location_loaded(shop: Platform) -> None:
    assert shop.definitions
    shop.source.psql("DROP TABLE orders")
    done = shop.migrate()
    assert not done.success
    assert "public.orders" in str(done.failures)


@pytest.fixture(params=["source", "target"])
def end(request: pytest.FixtureRequest, shop: Platform) -> Database:
    return {"source": shop.source, "target": shop.target}[request.param]


@pytest.mark.parametrize("step", ["source_schema", "target_ddl", "tables"])
def test_connections_cut_between_steps_fail_the_run_and_its_summary(shop: Platform, end: Database, step: str) -> None:
    shop.after(step, lambda: end.psql(TERMINATE))
    done = shop.migrate()
    if done.success:  # what is left to do may need no connection that is gone
        assert done.passed == {"public/customers": True, "public/orders": True}
    else:
        assert "summary" in done.failures
        side = "source" if end is shop.source else "target"
        assert f"the connection to the {side} database" in done.failures["summary"]
        assert shop.migrate_directly().succeeded
    rows = "SELECT * FROM orders ORDER BY id"
    assert shop.target.psql(rows) == shop.source.psql(rows)
    assert shop.target.psql("SELECT conname FROM pg_constraint WHERE contype = 'f'") == "orders_customer_fkey"
