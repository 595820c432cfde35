"""Servers that are down when the code location loads, or go away during a run."""

from collections.abc import Callable, Mapping
from functools import partial

import dagster as dg
import pytest

from pg_migration_tests.orchestration.harness import BOOKKEEPING, Platform, Run

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


@pytest.mark.longer
def test_the_last_known_tables_stand_in_until_there_is_another_one(
    shop: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    known = shop.definitions.resolve_asset_graph().materializable_asset_keys
    name = shop.source.url.rpartition("/")[2]
    shop.source.server.psql(shop.source.server.url(), f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    try:
        graph = shop.reload().resolve_asset_graph()
        assert graph.materializable_asset_keys == known
        assert "could not ask the source for its tables: " in caplog.text
        assert "is not currently accepting connections" in (graph.get(dg.AssetKey("source_schema")).description or "")
        done = shop.migrate()
        assert "is not currently accepting connections" in done.failures["source_schema"]
        assert shop.validate().passed == {"public/customers": False, "public/orders": False}
    finally:
        shop.source.server.psql(shop.source.server.url(), f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert shop.migrate().success

    shop.source.psql("CREATE TABLE newcomers (id integer)")
    before = shop.target.dump("--exclude-schema", BOOKKEEPING)
    done = shop.migrate()
    assert not done.success
    assert "public.newcomers" in done.failures["source_schema"]
    assert "Reload the code location" in done.failures["source_schema"]
    assert shop.target.dump("--exclude-schema", BOOKKEEPING) == before
    assert not shop.validate().success
    shop.reload()
    assert shop.materialize("source_schema", "target_ddl", "public/newcomers").success
    assert shop.target.psql("SELECT count(*) FROM newcomers") == "0"


def test_a_table_that_went_since_the_location_loaded(shop: Platform) -> None:
    assert shop.definitions
    shop.source.psql("DROP TABLE orders")
    done = shop.migrate()
    assert not done.success
    assert "public.orders" in str(done.failures)


CUTS = [(side, step) for step in ("source_schema", "target_ddl", "tables") for side in ("source", "target")]


@pytest.fixture(scope="module")
def cut(shop_once: Callable[..., Platform]) -> tuple[Platform, Mapping[tuple[str, str], Run]]:
    """One run after another into one target; each loses its connections to a side after a step, later ones later."""
    shop = shop_once()
    runs = {}
    for side, step in CUTS:
        end = shop.source if side == "source" else shop.target
        shop.after(step, partial(end.psql, TERMINATE))
        runs[side, step] = shop.migrate()
        shop.after(step, lambda: None)
    return shop, runs


@pytest.mark.parametrize(("side", "step"), CUTS)
def test_connections_cut_between_steps_fail_the_run_and_its_summary(
    cut: tuple[Platform, Mapping[tuple[str, str], Run]], side: str, step: str
) -> None:
    done = cut[1][side, step]
    if done.success:  # what is left to do may need no connection that is gone
        assert done.passed == {"public/customers": True, "public/orders": True}
    else:
        assert "summary" not in done.assets
        assert f"the connection to the {side} database" in done.told


def test_the_next_run_is_whole(cut: tuple[Platform, Mapping[tuple[str, str], Run]]) -> None:
    shop, _ = cut
    assert shop.migrate_directly().failures == ()
    rows = "SELECT * FROM orders ORDER BY id"
    assert shop.target.psql(rows) == shop.source.psql(rows)
    assert shop.target.psql("SELECT conname FROM pg_constraint WHERE contype = 'f'") == "orders_customer_fkey"
