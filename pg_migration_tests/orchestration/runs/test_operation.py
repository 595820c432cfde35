"""Retries, the queue, old runs, owners and freshness: what keeps the platform running by itself."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from pg_migration.orchestration.jobs import prune
from pg_migration.orchestration.jobs.prune import old_runs
from pg_migration.postgres.errors import ConfigurationError
from pg_migration_tests.orchestration.harness import Platform, Run

ROOT = Path(__file__).parents[3]


@pytest.fixture
def retrying(shop: Platform) -> Iterator[Platform]:
    """The platform `shop` on an instance that starts runs again, as dagster.yaml has it."""
    settings = {"run_retries": {"enabled": True, "max_retries": 0, "retry_on_asset_or_op_failure": False}}
    with dg.DagsterInstance.ephemeral(settings=settings) as instance:
        shop.instance = instance
        yield shop


def lose_the_snapshot(platform: Platform) -> None:
    platform.source.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE 'pg_migration%'"
    )


def change_the_target(platform: Platform) -> None:
    platform.target.psql("DELETE FROM orders WHERE id = 7")


def launched(platform: Platform) -> Run:
    """A migration with the label of one that the UI has launched: those of a command line are not started again."""
    job = platform.definitions.resolve_job_def("migrate")
    return platform.run(job, {}, tags={".dagster/repository": "__repository__@here"})


@pytest.mark.parametrize(
    ("step", "accident", "again"),
    [
        ("source_schema", lose_the_snapshot, True),
        ("tables", change_the_target, False),
    ],
)
def test_lost_connections_are_tried_again_and_wrong_rows_are_not(
    retrying: Platform, step: str, accident: Callable[[Platform], None], again: bool
) -> None:
    retrying.after(step, lambda: accident(retrying))
    done = launched(retrying)
    assert not done.success
    tags = retrying.instance.get_run_by_id(done.result.run_id).tags  # type: ignore[union-attr]
    assert tags["dagster/will_retry"] == str(again).lower()
    assert tags["dagster/retry_strategy"] == "ALL_STEPS"


@pytest.mark.parametrize(("port", "password", "again"), [("1", None, True), (None, "wrong", False)])
def test_a_server_that_is_down_and_a_wrong_password(
    retrying: Platform, port: str | None, password: str | None, again: bool
) -> None:
    address = retrying.source.url.rpartition("@")[2]
    user = retrying.source.url if password is None else f"postgresql://postgres:{password}@{address}"
    url = user if port is None else f"postgresql://postgres:x@127.0.0.1:{port}/shop"
    retrying.definitions  # noqa: B018  (loaded while the source was there)
    retrying.monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", url)
    done = launched(retrying)
    assert not done.success
    tags = retrying.instance.get_run_by_id(done.result.run_id).tags  # type: ignore[union-attr]
    assert tags["dagster/will_retry"] == str(again).lower()


def test_a_run_whose_process_died_is_started_again(retrying: Platform) -> None:
    job = retrying.definitions.resolve_job_def("migrate")
    run = retrying.instance.create_run_for_job(job, tags=job.run_tags)
    retrying.instance.report_run_failed(run, "killed")
    assert retrying.instance.get_run_by_id(run.run_id).tags["dagster/will_retry"] == "true"  # type: ignore[union-attr]


def test_runs_on_one_target_have_one_tag(idle_shop: Platform) -> None:
    tags = [idle_shop.definitions.resolve_job_def(job).run_tags for job in ("migrate", "validate")]
    (place,) = {tag["pg_migration/target"] for tag in tags}
    assert place in idle_shop.target.url
    assert "@" not in place
    assert "pg_migration/target" not in idle_shop.definitions.resolve_job_def("preflight").run_tags


def test_dagster_takes_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("DAGSTER_POSTGRES_HOST", raising=False)
    with dg.DagsterInstance.get() as instance:
        limits = instance.get_concurrency_config()
        assert limits.run_queue_config is not None
        assert limits.run_queue_config.tag_concurrency_limits == [
            {"key": "pg_migration/target", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
        ]
        assert limits.pool_config.default_pool_limit == 2
        assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (True, 0)


def test_steps_that_read_the_source_are_in_its_pool(idle_shop: Platform) -> None:
    pools = {
        node.name: node.pool for node in idle_shop.definitions.resolve_job_def("migrate").graph.node_defs if node.pool
    }
    assert set(pools) == {"tables", "table_checks"}
    assert len(set(pools.values())) == 1


def filed(place: Path, *files: str, days: int = 0) -> Path:
    """A folder with some files that were written so many days ago."""
    place.mkdir(parents=True)
    written = time.time() - days * 86400
    for name in files:
        (place / name).write_text("x")
        os.utime(place / name, (written, written))
    return place


def test_old_runs_go_and_what_people_look_at_stays(
    shop: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second, table = shop.migrate(), shop.migrate(), shop.materialize("public/orders")
    reports = tmp_path / "reports"
    shop.set(REPORTS=str(reports))
    for run in (first, second):
        filed(reports / run.result.run_id, "report.html", "report.json", "tables.csv", "checks.csv", "timeline.csv")
    change_the_target(shop)
    failed = shop.validate()
    assert [run.success for run in (first, second, table, failed)] == [True, True, True, False]
    now = datetime.now(timezone.utc)
    assert old_runs(shop.instance, now - timedelta(days=1), None) == []
    assert old_runs(shop.instance, now, None) == [first.result.run_id]  # the failed one is the last that validated
    monkeypatch.setattr(prune, "timedelta", lambda days: timedelta(days=-days))  # as if it were next month
    pruned = shop.definitions.resolve_job_def("prune_old_runs").execute_in_process(instance=shop.instance)
    assert pruned.success
    left = {run.run_id for run in shop.instance.get_runs()}
    assert left == {second.result.run_id, table.result.run_id, failed.result.run_id, pruned.run_id}
    assert {path.name for path in reports.iterdir()} == {second.result.run_id, failed.result.run_id}
    assert not list(shop.instance.all_logs(first.result.run_id))
    assert shop.instance.get_latest_materialization_event(dg.AssetKey(["public", "customers"])) is not None


def test_reports_of_forgotten_runs_go_when_they_are_old(idle_shop: Platform, tmp_path: Path) -> None:
    """And nothing else goes: no link is followed, and what is not wholly a report stays."""
    reports, elsewhere = tmp_path / "reports", tmp_path / "elsewhere"
    idle_shop.set(REPORTS=str(reports))
    known = idle_shop.instance.create_run_for_job(idle_shop.definitions.resolve_job_def("migrate")).run_id
    old, half, young, annotated, empty, linking, link = (str(uuid4()) for _ in range(7))
    filed(reports / old, "report.html", "report.json", "tables.csv", days=31)
    filed(reports / half, "report.json", "report.html.draft", days=31)
    filed(reports / young, "report.html", "report.json", days=29)
    filed(reports / known, "report.html", "report.json", days=31)
    filed(reports / "by-hand", "report.html", "report.json", days=31)
    filed(reports / annotated, "report.html", "report.json", "signed.pdf", days=31)
    filed(reports / empty)
    filed(elsewhere / link, "report.html", "report.json", days=31)
    (reports / link).symlink_to(elsewhere / link)
    filed(reports / linking, "report.html", days=31)
    (reports / linking / "report.json").symlink_to(elsewhere / link / "report.json")
    os.utime(reports / linking / "report.json", (0, 0), follow_symlinks=False)
    pruned = idle_shop.definitions.resolve_job_def("prune_old_runs").execute_in_process(instance=idle_shop.instance)
    assert pruned.success
    assert {path.name for path in reports.iterdir()} == {young, known, "by-hand", annotated, empty, link, linking}
    assert len(list(elsewhere.rglob("report.*"))) == 2
    assert len(list((reports / annotated).iterdir())) == 3
    warnings = [e.user_message for e in idle_shop.instance.all_logs(pruned.run_id) if e.level == logging.WARNING]
    assert sorted(warning.partition(" stays: ")[0] for warning in warnings) == sorted(
        f"the report of run {name}" for name in (annotated, empty, linking)
    )
    assert "holds more than a report: signed.pdf" in "".join(warnings)


def test_runs_of_other_code_locations_stay(idle_shop: Platform) -> None:
    label = {".dagster/repository": "__repository__@elsewhere"}
    job = idle_shop.definitions.resolve_job_def("migrate")
    ours, theirs = idle_shop.instance.create_run_for_job(job), idle_shop.instance.create_run_for_job(job, tags=label)
    for run in (ours, theirs):
        idle_shop.instance.report_run_failed(run)
    later = datetime.now(timezone.utc) + timedelta(days=1)
    assert old_runs(idle_shop.instance, later, "__repository__@here") == [ours.run_id]


def test_owners_and_freshness(shop: Platform) -> None:
    shop.set(OWNERS="ann@example.org, team:data", FRESH_WITHIN_HOURS="26")
    graph = shop.definitions.resolve_asset_graph()
    orders = graph.get(dg.AssetKey(["public", "orders"]))
    assert orders.owners == ["ann@example.org", "team:data"]
    assert isinstance(orders.freshness_policy, dg.FreshnessPolicy)
    assert shop.migrate().success
    shop.set(OWNERS=None, FRESH_WITHIN_HOURS=None)
    orders = shop.definitions.resolve_asset_graph().get(dg.AssetKey(["public", "orders"]))
    assert (orders.owners, orders.freshness_policy) == ([], None)


@pytest.mark.parametrize("hours", ["soon", "0", "-3", "inf"])
def test_a_freshness_that_is_none(idle_shop: Platform, hours: str) -> None:
    idle_shop.set(FRESH_WITHIN_HOURS=hours)
    with pytest.raises(ConfigurationError, match="PG_MIGRATION_FRESH_WITHIN_HOURS is"):
        idle_shop.reload()


@pytest.mark.parametrize("text", [None, "[1", "- a list"])
def test_a_run_configuration_that_can_not_be_used(idle_shop: Platform, tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "run.yaml"
    if text is not None:
        path.write_text(text)
    idle_shop.set(RUN_CONFIG=str(path))
    schedule = idle_shop.definitions.get_repository_def().get_schedule_def("nightly_migrate")
    told = re.escape(f"PG_MIGRATION_RUN_CONFIG names {path}")
    with (
        dg.build_schedule_context(instance=idle_shop.instance) as context,
        pytest.raises(ConfigurationError, match=told),
    ):
        schedule.evaluate_tick(context)


def test_schedules_use_the_zone_and_the_configuration(idle_shop: Platform, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    config: dict[str, Any] = {"resources": {"migration": {"config": {"chunk_size": 5}}}}
    path.write_text(str(config))
    idle_shop.set(RUN_CONFIG=str(path), TIMEZONE="Europe/Vienna")
    repository = idle_shop.definitions.get_repository_def()
    schedules = {s.name: s for s in repository.schedule_defs}
    assert set(schedules) == {"nightly_migrate", "hourly_validate", "weekly_prune"}
    assert {s.execution_timezone for s in schedules.values()} == {"Europe/Vienna"}
    assert {s.default_status for s in schedules.values()} == {dg.DefaultScheduleStatus.STOPPED}
    with dg.build_schedule_context(instance=idle_shop.instance, repository_def=repository) as context:
        (request,) = schedules["nightly_migrate"].evaluate_tick(context).run_requests or ()
    assert request.run_config == config
