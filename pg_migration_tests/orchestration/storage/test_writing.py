"""What is written a moment's events at a time is what Dagster's own storages write one by one."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster_postgres import PostgresEventLogStorage

from pg_migration.orchestration.storage import event_log, reading
from pg_migration.orchestration.storage.event_log import KeptPostgresEventLog, KeptSqliteEventLog, LockingEventLog
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.statements import counting

RANGES = dg.DynamicPartitionsDefinition(name="ranges")


@dg.multi_asset(
    specs=[
        dg.AssetSpec("one", partitions_def=RANGES, skippable=True),
        dg.AssetSpec("two", skippable=True),
        dg.AssetSpec("three", skippable=True),
        dg.AssetSpec("four", skippable=True),
    ],
    check_specs=[dg.AssetCheckSpec("good", asset=name) for name in ("one", "two", "three")],
    can_subset=True,
)
def all_kinds(context: dg.AssetExecutionContext) -> Iterator[Any]:
    context.log.info("a line: 'quoted' \\ \u6ce8 %s")
    schema = dg.TableSchema(columns=[dg.TableColumn("id", "bigint")])
    for key in ("..5", "6.."):
        metadata = {"rows": 5, "ratio": 0.1, "dagster/column_schema": schema, "text": '"\\ \u6ce8'}
        yield dg.AssetMaterialization("one", partition=key, metadata=metadata, tags={"dagster/data_version": "v1"})
    yield dg.AssetObservation("three", metadata={"rows": 1})
    yield dg.AssetMaterialization("three", metadata={"rows": 2})
    yield dg.AssetObservation("three", metadata={"rows": 3})
    yield dg.AssetObservation("four", metadata={"rows": 4})
    yield dg.MaterializeResult("two", metadata={"rows": 6})
    yield dg.AssetCheckEvaluation(asset_key=dg.AssetKey("one"), check_name="unplanned", passed=True)
    yield dg.AssetCheckEvaluation(asset_key=dg.AssetKey("one"), check_name="good", passed=True, metadata={"rows": 5})
    yield dg.AssetCheckEvaluation(asset_key=dg.AssetKey("two"), check_name="good", passed=False)
    yield dg.AssetCheckResult(asset_key="three", check_name="good", passed=False)
    raise dg.Failure("as it should")


def _recorded() -> list[dg.EventLogEntry]:
    """The events of a run that ends badly, as Dagster made them."""
    job = dg.Definitions(assets=[all_kinds]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        run = job.execute_in_process(instance=instance, raise_on_error=False)
        (failed,) = run.get_step_failure_events()
        assert failed.step_failure_data.user_failure_data.description == "as it should"
        return list(instance.all_logs(run.run_id))


@pytest.fixture(scope="module")
def recorded() -> list[dg.EventLogEntry]:
    return _recorded()


def _contents(engine: sa.Engine) -> Mapping[str, list[tuple[object, ...]]]:
    """All rows of all tables, but for when they were made, and for numbers that mean nothing."""
    found: dict[str, list[tuple[object, ...]]] = {}
    with engine.connect() as connection:
        for table in SqlEventLogStorageMetadata.sorted_tables:
            unlike = {"create_timestamp", "migration_completed"} | ({"id"} if table.name != "event_logs" else set())
            columns = [column for column in table.columns if column.name not in unlike]
            rows = connection.execute(sa.select(*columns)).fetchall()
            found[table.name] = sorted((tuple(row) for row in rows), key=repr)
    engine.dispose()
    return found


@dataclass(frozen=True)
class Pair:
    """Dagster's own storage and ours, and what is in the databases of each."""

    theirs: Any
    ours: LockingEventLog
    contents: Callable[[Any, str], Any]


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    if request.param == "SQLite":

        def shards(log: Any, run_id: str) -> Any:
            return [_contents(sa.create_engine(log.conn_string_for_shard(name))) for name in (run_id, INDEX_SHARD_NAME)]

        ours = KeptSqliteEventLog(str(tmp_path / "ours"))
        yield Pair(SqliteEventLogStorage(str(tmp_path / "theirs")), ours, shards)
        ours.dispose()
        return
    server: PostgresServer = request.getfixturevalue("postgres16")
    urls = [server.create_database() for _ in range(2)]
    theirs, kept = (url.replace("postgresql:", "postgresql+psycopg2:") for url in urls)
    yield Pair(
        PostgresEventLogStorage(theirs),
        KeptPostgresEventLog(kept),
        lambda log, _: [_contents(sa.create_engine(log.postgres_url))],
    )
    for url in urls:
        server.drop_database(url)


def test_tables_hold_the_same(pair: Pair, recorded: list[dg.EventLogEntry]) -> None:
    run_id = recorded[0].run_id
    assert {entry.dagster_event_type for entry in recorded} >= {
        None,
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.ASSET_OBSERVATION,
        dg.DagsterEventType.RUN_FAILURE,
    }
    for entry in recorded:
        pair.theirs.store_event(entry)
        pair.ours.store_event(entry)
    assert pair.contents(pair.ours, run_id) == pair.contents(pair.theirs, run_id)


def test_a_batch_is_the_same_as_its_events(pair: Pair, recorded: list[dg.EventLogEntry]) -> None:
    planned = [entry for entry in recorded if str(entry.dagster_event_type).endswith("PLANNED")]
    assert len(planned) == 7
    for entry in planned:
        pair.theirs.store_event(entry)
    pair.ours.store_event_batch(planned)
    assert pair.contents(pair.ours, planned[0].run_id) == pair.contents(pair.theirs, planned[0].run_id)


def test_a_second_run_takes_the_place_of_the_first(pair: Pair, recorded: list[dg.EventLogEntry]) -> None:
    for entry in [*recorded, *_recorded()]:
        pair.theirs.store_event(entry)
        pair.ours.store_event(entry)
    assert pair.contents(pair.ours, recorded[0].run_id) == pair.contents(pair.theirs, recorded[0].run_id)


def test_who_reads_here_sees_what_is_gathered(
    pair: Pair, recorded: list[dg.EventLogEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "GATHER_SECONDS", 3600.0)
    run_id = recorded[0].run_id
    begun = next(n for n, e in enumerate(recorded) if e.dagster_event_type is dg.DagsterEventType.RUN_START) + 1
    for entry in recorded[: begun + 3]:
        pair.ours.store_event(entry)
    assert len(pair.contents(pair.ours, run_id)[0]["event_logs"]) == begun, "three are gathered"
    assert list(pair.ours.get_logs_for_run(run_id)) == recorded[: begun + 3]


def test_others_see_it_within_a_moment(pair: Pair, recorded: list[dg.EventLogEntry]) -> None:
    run_id = recorded[0].run_id
    for entry in recorded[:-1]:
        pair.ours.store_event(entry)
    latest = time.monotonic() + 60
    while time.monotonic() < latest:
        if len(pair.contents(pair.ours, run_id)[0]["event_logs"]) == len(recorded) - 1:
            return
        time.sleep(0.05)
    pytest.fail("what was gathered was not written")


def test_a_run_hears_of_what_could_not_be_written(
    pair: Pair, recorded: list[dg.EventLogEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = next(n for n, e in enumerate(recorded) if e.dagster_event_type is dg.DagsterEventType.RUN_START) + 1
    for entry in recorded[:begun]:
        pair.ours.store_event(entry)

    def full(_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(pair.ours, "write", full)
    pair.ours.store_event(recorded[begun])
    latest = time.monotonic() + 60
    while pair.ours._lost is None and time.monotonic() < latest:
        time.sleep(0.05)
    with pytest.raises(OSError, match="no space left"):
        pair.ours.store_event(recorded[begun + 1])


def test_a_moment_is_a_bounded_number_of_statements(pair: Pair, recorded: list[dg.EventLogEntry]) -> None:
    """However many events there are: a hundred tables cost no more statements than one."""
    run = str(uuid4())

    def materialized(number: int) -> dg.EventLogEntry:
        (found, *_) = (e for e in recorded if e.dagster_event_type is dg.DagsterEventType.ASSET_MATERIALIZATION)
        made = dg.AssetMaterialization(f"table{number}", metadata={"rows": 1})
        event = found.get_dagster_event()
        return found._replace(
            run_id=run,
            dagster_event=event._replace(
                event_specific_data=event.step_materialization_data._replace(materialization=made)
            ),
        )

    pair.ours.store_event_batch([materialized(0)])
    with counting() as counted:
        pair.ours.store_event_batch([materialized(number) for number in range(100)])
    assert 0 < len(counted) <= 6, counted


def test_what_steps_ask_of_each_table_is_what_dagsters_answers(
    pair: Pair, recorded: list[dg.EventLogEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [dg.AssetKey(name) for name in ("one", "two", "three", "four", "five")]
    materialized = dg.DagsterEventType.ASSET_MATERIALIZATION

    def answers(log: Any) -> list[Any]:
        return [
            log.get_asset_records(keys),
            log.get_asset_records(keys),
            [log.get_latest_tags_by_partition(key, materialized, ["dagster/data_version"], ["..5"]) for key in keys],
            [log.get_latest_tags_by_partition(key, materialized, ["dagster/data_version"]) for key in keys],
            [list(log.get_dynamic_partitions(name)) for name in ("ranges", "others", "none")],
        ]

    def same() -> bool:
        ours, theirs = answers(pair.ours), answers(pair.theirs)
        return [_undated(o) for o in ours[:2]] == [_undated(t) for t in theirs[:2]] and ours[2:] == theirs[2:]

    for entry in recorded[:-1]:
        pair.theirs.store_event(entry)
        pair.ours.store_event(entry)
    assert pair.ours.executes()
    for name, key in (("ranges", "..5"), ("ranges", "6.."), ("others", "all")):
        pair.theirs.add_dynamic_partitions(name, [key])
    pair.ours.add_partitions({"ranges": ["..5", "6.."]})
    pair.ours.add_dynamic_partitions("others", ["all"])
    assert same()
    for log in (pair.theirs, pair.ours):
        log.delete_dynamic_partition("ranges", "..5")
        log.wipe_asset(keys[0])
    assert same()
    # Another process writes into our database.
    monkeypatch.setattr(reading, "REMEMBERED_SECONDS", 0.0)
    other = type(pair.theirs)(getattr(pair.ours, "postgres_url", None) or pair.ours._base_dir)
    for log in (pair.theirs, other):
        log.add_dynamic_partitions("others", ["more"])
        for entry in recorded:
            if entry.dagster_event_type is materialized:
                log.store_event(entry._replace(timestamp=entry.timestamp + 3600))
    assert same()


def _undated(records: Any) -> list[Any]:
    """Of each asset what does not depend on when its row was made."""
    return sorted((r.asset_entry.asset_key, r.asset_entry.last_materialization_record) for r in records)
