"""Dagster's records on connections that stay open are the records that Dagster's own storage keeps."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEventType
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from pg_migration.orchestration.storage import event_log
from pg_migration.orchestration.storage.event_log import BATCH_SIZE_VARIABLE, KeptSqliteEventLog

DAGSTER_YAML = """
telemetry: {enabled: false}
storage:
  custom:
    module: pg_migration.orchestration.storage
    class: DeploymentStorage
    config: {}
"""


@dg.multi_asset(
    specs=[dg.AssetSpec("one"), dg.AssetSpec("two")],
    check_specs=[dg.AssetCheckSpec("good", asset="one"), dg.AssetCheckSpec("good", asset="two")],
)
def both() -> Iterator[dg.MaterializeResult[None] | dg.AssetMaterialization]:
    yield dg.AssetMaterialization("one", partition="..5", metadata={"rows": 5})
    for name in ("one", "two"):
        yield dg.MaterializeResult(name, check_results=[dg.AssetCheckResult(passed=True, asset_key=name)])


JOB = dg.Definitions(assets=[both]).resolve_implicit_global_asset_job_def()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("DAGSTER_POSTGRES_HOST", raising=False)
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "3")  # less than there is: a batch that is full, and one that ends
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, KeptSqliteEventLog)
        yield instance


def test_records_are_what_dagster_itself_reads(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = JOB.execute_in_process(instance=instance)
    plain = SqliteEventLogStorage(str(tmp_path / "storage" / "history" / "runs"))
    plain.register_instance(instance)
    ours, theirs = (log.get_logs_for_run(run.run_id) for log in (instance.event_log_storage, plain))
    assert list(ours) == list(theirs)
    planned = (DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
    assert [sum(e.dagster_event_type is kind for e in theirs) for kind in planned] == [2, 2]
    assert sum(e.dagster_event_type is DagsterEventType.ASSET_MATERIALIZATION for e in theirs) == 3
    key = dg.AssetKey("one")
    assert plain.get_materialized_partitions(key) == {"..5"}
    assert instance.get_latest_materialization_event(key) is not None
    (execution,) = plain.get_asset_check_execution_history(dg.AssetCheckKey(key, "good"), limit=5)
    assert execution.status.value == "SUCCEEDED"
    plain.dispose()


def test_records_that_are_deleted_meanwhile_begin_anew(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    JOB.execute_in_process(instance=instance)
    shutil.rmtree(tmp_path / "storage" / "history" / "runs")
    (tmp_path / "storage" / "history" / "runs").mkdir()
    run = JOB.execute_in_process(instance=instance)
    assert run.success
    assert len(instance.fetch_materializations(dg.AssetKey("two"), limit=5).records) == 1


def test_who_watches_a_run_is_told(instance: dg.DagsterInstance) -> None:
    first = JOB.execute_in_process(instance=instance)
    told = threading.Event()
    instance.watch_event_logs(first.run_id, None, lambda *_: told.set())
    instance.report_engine_event("something new", first.dagster_run)
    assert told.wait(timeout=120)


def test_runs_that_were_read_long_ago_are_closed(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "MAX_SHARDS", 2)
    log = instance.event_log_storage
    assert isinstance(log, KeptSqliteEventLog)
    for run in ("first", "second", "third", "first"):
        log.get_logs_for_run(run)
    assert list(log._shards) == ["third", "first"]
