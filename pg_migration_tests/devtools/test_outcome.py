"""The closing table of the demo, from a real event log."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest

from pg_migration.devtools.demo import outcome
from pg_migration_tests.conftest import PostgresServer

ORDERS, EMPTY, KEYS = (dg.AssetKey(["public", *path]) for path in (["orders"], ["empty"], ["foreign_keys"]))
BEFORE = datetime.now(timezone.utc) - timedelta(seconds=1)


@dg.multi_asset(
    name="tables",
    specs=[dg.AssetSpec(ORDERS), dg.AssetSpec(EMPTY), dg.AssetSpec(KEYS)],
    check_specs=[dg.AssetCheckSpec(name, asset=ORDERS) for name in ("row_count", "content")],
)
def tables() -> Iterator[dg.AssetMaterialization | dg.MaterializeResult | dg.AssetCheckResult]:
    yield dg.AssetMaterialization(ORDERS, partition="..10", metadata={"rows": 10})
    yield dg.MaterializeResult(ORDERS, metadata={"dagster/row_count": 20, "seconds": 0.5, "ranges": 2})
    yield dg.MaterializeResult(EMPTY, metadata={"seconds": 0.0, "ranges": 1})
    yield dg.MaterializeResult(KEYS)
    yield dg.AssetCheckResult(asset_key=ORDERS, check_name="row_count", passed=True)
    yield dg.AssetCheckResult(asset_key=ORDERS, check_name="content", passed=False)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def migrate(instance: dg.DagsterInstance) -> None:
    job = dg.define_asset_job(outcome.JOB)
    definitions = dg.Definitions(assets=[tables], jobs=[job])
    definitions.resolve_job_def(outcome.JOB).execute_in_process(instance=instance)


def test_no_run(instance: dg.DagsterInstance) -> None:
    assert outcome.last_run(instance, BEFORE) is None
    migrate(instance)
    assert outcome.last_run(instance, datetime.now(timezone.utc) + timedelta(hours=1)) is None


def test_outcomes(instance: dg.DagsterInstance) -> None:
    migrate(instance)
    run = outcome.last_run(instance, BEFORE)
    assert run is not None
    assert outcome.outcomes(instance.all_logs(run.run_id), "public") == {
        "orders": outcome.TableOutcome(partitions=2, seconds=0.5, passed=1, failed=["content"]),
        "empty": outcome.TableOutcome(partitions=1, seconds=0.0),
    }
    assert outcome.outcomes(instance.all_logs(run.run_id), "other") == {}


def test_rows_are_counted_in_each_table_by_itself(postgres16: PostgresServer, source_db: str) -> None:
    postgres16.psql(
        source_db,
        """
        CREATE TABLE "Order Details" AS SELECT generate_series(1, 3);
        CREATE TABLE parent (i int);
        CREATE TABLE child () INHERITS (parent);
        INSERT INTO child VALUES (1);
        CREATE VIEW no_table AS SELECT 1;
        """,
    )
    assert outcome.count_rows(source_db, "public") == {"Order Details": 3, "child": 1, "parent": 0}


def test_table() -> None:
    run = {
        "orders": outcome.TableOutcome(partitions=2, seconds=0.5, passed=1, failed=["content"]),
        "empty": outcome.TableOutcome(partitions=1, seconds=0.0, passed=2),
    }
    shown = outcome.table({"empty": 0, "orders": 2000, "lost": 7}, {"empty": 0, "orders": 1999}, run)
    assert [line.split() for line in shown.to_string().splitlines()] == [
        ["relation", "rows", "in", "source", "rows", "in", "target", "partitions", "copy", "rows/s", "checks"],
        ["orders", "2,000", "1,999", "2", "0.50", "s", "3,998", "1", "passed;", "FAILED:", "content"],
        ["lost", "7", "missing", "0", "none", "ran"],
        ["empty", "0", "0", "1", "0.00", "s", "2", "passed"],
    ]
