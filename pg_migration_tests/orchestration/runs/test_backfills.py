"""What "Materialize all" starts, a backfill worked off in several runs: it copies everything or says why not."""

from collections.abc import Mapping

import dagster as dg
import pytest
from dagster._core.execution.backfill import PartitionBackfill

from pg_migration_tests.orchestration.harness import BOOKKEEPING, Platform

FIRST = ("source_schema", "target_ddl")
TABLES = ("public/customers", "public/orders")
LAST = ("public/foreign_keys", "post_data", "live", "validation", "summary")


def launch(platform: Platform, *assets: str) -> Mapping[str, str]:
    """Launch a backfill of all partitions as the UI does, which nobody works on but the test; its runs' tags."""
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id=f"backfill{len(platform.instance.get_backfills())}",
        asset_graph=platform.definitions.resolve_asset_graph(),
        partition_names=None,
        asset_selection=[dg.AssetKey.from_user_string(asset) for asset in assets],
        backfill_timestamp=1_700_000_000.0,
        tags={},
        dynamic_partitions_store=platform.instance,
        all_partitions=True,
        title=None,
        description=None,
        run_config=None,
    )
    platform.instance.add_backfill(backfill)
    return {"dagster/backfill": backfill.backfill_id}


def register_ranges(platform: Platform) -> None:
    """What the sensor `planned_ranges` does."""
    sensor = platform.definitions.resolve_sensor_def("planned_ranges")
    with dg.build_sensor_context(platform.instance, definitions=platform.definitions) as context:
        tick = sensor.evaluate_tick(context)
    for request in tick.dynamic_partitions_requests or ():
        platform.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))


def test_everything_from_an_empty_instance(shop: Platform) -> None:
    register_ranges(shop)
    made = shop.definitions.resolve_asset_graph().materializable_asset_keys
    assert {key.to_user_string() for key in made} == {*FIRST, *TABLES, *LAST}
    backfill = launch(shop, *FIRST, *TABLES, *LAST)
    first = shop.materialize(*FIRST, tags=backfill)
    assert first.success
    assert all(check.passed for check in first.every_check.values())
    # Waves without tables do not end green.
    early = shop.materialize(*LAST, tags=backfill)
    assert not early.success
    assert "public.orders is not fully loaded" in early.failures["foreign_keys"]
    summary = shop.materialize("summary", tags=backfill)
    assert not summary.success
    assert "public.orders is not complete in the target" in summary.failures["summary"]

    for table in TABLES:
        copied = shop.materialize(table, partitions=("all", "all"), tags=backfill)
        assert copied.success
        assert {name for (_, name), check in copied.every_check.items() if check.passed} == {"row_count", "content"}
    last = shop.materialize(*LAST, tags=backfill)
    assert last.success
    assert last.assets == set(LAST)  # Dagster calls a backfill failed that has left one out
    assert last.every_check["post_data", "structure"].passed
    assert last.metadata("summary")["rows"] == 4100
    assert "copied by run" in last.log[-1]
    rows = "SELECT * FROM orders ORDER BY id"
    assert shop.target.psql(rows) == shop.source.psql(rows)
    assert shop.target.psql("SELECT conname FROM pg_constraint WHERE contype = 'f'") == "orders_customer_fkey"


@pytest.mark.parametrize("selected", [FIRST, LAST], ids=["first", "last"])
def test_no_ranges_were_registered(idle_shop: Platform, selected: tuple[str, ...]) -> None:
    backfill = launch(idle_shop, *FIRST, *TABLES, *LAST)
    done = idle_shop.materialize(*selected, tags=backfill)
    assert not done.success
    assert done.assets == set()
    for message in done.failures.values():
        assert "would copy nothing of public/customers, public/orders" in message
    assert idle_shop.target.psql("SELECT count(*) FROM pg_class WHERE relname IN ('orders', 'run')") == "0"


def test_what_an_earlier_run_copied_is_no_success_of_a_backfill_without_ranges(shop: Platform) -> None:
    assert shop.migrate_directly().succeeded
    shop.source.psql("UPDATE orders SET placed = NULL")
    before = shop.target.dump("--exclude-schema", BOOKKEEPING)
    done = shop.materialize(*FIRST, *LAST, tags=launch(shop, *FIRST, *TABLES, *LAST))
    assert not done.success
    assert shop.target.dump("--exclude-schema", BOOKKEEPING) == before


def test_a_backfill_of_no_table_needs_no_ranges(shop: Platform) -> None:
    assert shop.materialize(*FIRST, tags=launch(shop, *FIRST)).success
