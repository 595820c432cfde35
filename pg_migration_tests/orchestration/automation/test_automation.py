"""What runs by itself, and what it does for a run of the whole graph that Dagster cuts into several."""

from typing import Any

import dagster as dg
import pytest

from pg_migration_tests.orchestration.harness import Platform

DOWN = "postgresql://ann:sesame@127.0.0.1:1/shop"


def sensor(definitions: dg.Definitions) -> dg.SensorDefinition:
    return definitions.get_repository_def().get_sensor_def("planned_ranges")


def look(platform: Platform) -> dg.SensorResult | dg.SkipReason:
    """One tick of the sensor; what it asks to register is registered, as the daemon does."""
    with dg.build_sensor_context(instance=platform.instance) as context:
        found: Any = sensor(platform.definitions)(context)
    if isinstance(found, dg.SensorResult):
        for request in found.dynamic_partitions_requests or ():
            assert isinstance(request, dg.AddDynamicPartitionsRequest)
            platform.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return found


def test_the_sensor_registers_ranges_once(idle_shop: Platform) -> None:
    look(idle_shop)
    assert list(idle_shop.instance.get_dynamic_partitions("pk_ranges/public.orders")) == ["all"]
    assert list(idle_shop.instance.get_dynamic_partitions("pk_ranges/public.customers")) == ["all"]
    assert isinstance(look(idle_shop), dg.SkipReason)


def test_the_sensor_asks_for_no_keys_where_rows_are_chosen_or_masked(idle_shop: Platform) -> None:
    """They would be of rows that the target does not get."""
    idle_shop.monkeypatch.setenv("PG_MIGRATION_TRANSFORM", "/nowhere")
    assert idle_shop.definitions
    idle_shop.monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", DOWN)
    assert isinstance(look(idle_shop), dg.SensorResult)
    assert list(idle_shop.instance.get_dynamic_partitions("pk_ranges/public.orders")) == ["all"]


def test_the_sensor_leaves_ranges_of_a_run_alone(shop: Platform) -> None:
    assert shop.migrate(partition_threshold=1000, max_partitions=3).success
    assert isinstance(look(shop), dg.SkipReason)
    assert len(shop.instance.get_dynamic_partitions("pk_ranges/public.orders")) == 3


def test_the_sensor_says_that_the_source_is_down(idle_shop: Platform) -> None:
    definitions = idle_shop.definitions
    idle_shop.monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", DOWN)
    with dg.build_sensor_context(instance=idle_shop.instance) as context:
        skipped: Any = sensor(definitions)(context)
    assert isinstance(skipped, dg.SkipReason)
    assert "can't connect to the source" in (skipped.skip_message or "")
    assert "sesame" not in (skipped.skip_message or "")


@pytest.mark.parametrize(("name", "job"), [("nightly_migrate", "migrate"), ("hourly_validate", "validate")])
def test_schedules_are_off_and_start_whole_jobs(idle_shop: Platform, name: str, job: str) -> None:
    repository = idle_shop.definitions.get_repository_def()
    schedule = repository.get_schedule_def(name)
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.job_name == job
    with dg.build_schedule_context(instance=idle_shop.instance, repository_def=repository) as context:
        (request,) = schedule.evaluate_tick(context).run_requests or ()
    assert request.partition_key is None
