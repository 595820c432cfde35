"""An instance that nobody has configured: the process of a run writes through our event log, and Dagster's reads it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster_postgres import PostgresEventLogStorage

from pg_migration.orchestration.storage.event_log import (
    BATCH_SIZE_VARIABLE,
    KeptPostgresEventLog,
    KeptSqliteEventLog,
)
from pg_migration.orchestration.storage.stock import store_batches_at_once, write_through_ours
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.statements import counting

POSTGRES = """
telemetry: {{enabled: false}}
storage:
  postgres: {{postgres_url: "{url}"}}
"""


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def instance(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "1000")
    for kind in (SqliteEventLogStorage, PostgresEventLogStorage):
        monkeypatch.setattr(kind, "store_event_batch", kind.store_event_batch)
    if request.param == "SQLite":
        with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
            yield instance
        return
    server: PostgresServer = request.getfixturevalue("postgres16")
    url = server.create_database()
    (tmp_path / "dagster.yaml").write_text(POSTGRES.format(url=url.replace("postgresql:", "postgresql+psycopg2:")))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance
    server.drop_database(url)


def job(number: int, found: list[Any]) -> dg.JobDefinition:
    """A run of so many tables, each with a check, in one step. Tells what stores the events while it runs."""
    names = [f"table{n}" for n in range(number)]

    @dg.resource
    def ours(context: dg.InitResourceContext) -> Iterator[None]:
        assert context.instance is not None
        assert context.run is not None
        write_through_ours(context.instance, context.run.run_id)
        found.append(context.instance.event_log_storage)
        yield

    @dg.multi_asset(
        specs=[dg.AssetSpec(name, skippable=True) for name in names],
        check_specs=[dg.AssetCheckSpec("good", asset=name) for name in names],
        required_resource_keys={"ours"},
        can_subset=True,
    )
    def tables() -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
        for name in names:
            yield dg.AssetMaterialization(name, metadata={"rows": 5})
            yield dg.AssetCheckEvaluation(asset_key=dg.AssetKey(name), check_name="good", passed=True)

    return dg.Definitions(assets=[tables], resources={"ours": ours}).resolve_implicit_global_asset_job_def()


def test_what_ours_writes_dagsters_reads(instance: dg.DagsterInstance) -> None:
    theirs, found = instance.event_log_storage, []
    store_batches_at_once()
    run = job(3, found).execute_in_process(instance=instance)
    assert run.success
    assert isinstance(found[0], KeptSqliteEventLog | KeptPostgresEventLog)
    logged = list(theirs.get_logs_for_run(run.run_id))
    assert list(instance.all_logs(run.run_id)) == logged
    assert logged[-1].dagster_event_type is dg.DagsterEventType.RUN_SUCCESS
    assert len(theirs.all_asset_keys()) == 3
    (execution,) = theirs.get_asset_check_execution_history(dg.AssetCheckKey(dg.AssetKey("table1"), "good"), limit=5)
    assert execution.status.value == "SUCCEEDED"
    assert found[0].run_locks.is_held(run.run_id) is False


def test_tables_cost_no_statements(instance: dg.DagsterInstance) -> None:
    """Neither what is planned of them, nor what becomes of them, as long as it is within a moment."""
    store_batches_at_once()
    job(2, []).execute_in_process(instance=instance)
    statements = {}
    for number in (2, 202):
        made = job(number, [])
        with counting() as counted:
            assert made.execute_in_process(instance=instance).success
        statements[number] = len(counted)
    per_table = (statements[202] - statements[2]) / 200
    assert per_table < 0.5, statements


def test_storages_that_others_have_derived_stay(tmp_path: Path) -> None:
    class Theirs(SqliteEventLogStorage):
        """Stores elsewhere, say."""

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance._event_storage = Theirs(str(tmp_path / "theirs"))
        instance._event_storage.register_instance(instance)
        write_through_ours(instance)
        assert type(instance.event_log_storage) is Theirs
