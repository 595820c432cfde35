"""What people see of a run that goes on after one that failed."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg2
import pytest

from pg_migration.postgres.connection.statements import execute
from pg_migration_tests.orchestration.harness import Platform, Run

CUT = {"chunk_size": 500, "partition_threshold": 1000, "max_partitions": 2}


def states(done: Run) -> dict[str, str]:
    """The last column of the summary's table, by table."""
    (table,) = (line for line in done.log if "| table" in line)
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.startswith("| public.")]
    return {row[1]: row[3] for row in rows}


@contextmanager
def orphan(shop: Platform) -> Iterator[None]:
    """A session of a run that is dead, which works on a table as if nothing had happened."""
    run = str(uuid4())
    shop.target.psql(
        f"INSERT INTO _pg_migration.run (run_id, source, snapshot, snapshot_at) VALUES ('{run}', '', '', now())"
    )
    session = psycopg2.connect(shop.target.url, application_name=f"pg_migration run {run[:8]}")
    execute(session, "LOCK TABLE orders IN SHARE MODE")  # as CREATE INDEX does
    yield
    with pytest.raises(psycopg2.OperationalError, match="terminat"):
        execute(session, "SELECT 1")


def test_after_a_failure(shop: Platform) -> None:
    shop.source.psql("CREATE TABLE names (id integer PRIMARY KEY, name text)")
    shop.source.psql("INSERT INTO names SELECT id, name FROM customers")
    renamed = "ALTER TABLE orders RENAME CONSTRAINT orders_pkey TO other"
    shop.after("tables", lambda: shop.target.psql(f"{renamed}; UPDATE names SET name = 'other' WHERE id = 3"))
    first = shop.migrate(**CUT)
    assert not first.success
    assert states(first) == dict.fromkeys(("public.customers", "public.names", "public.orders"), "copied")
    shop.after("tables", lambda: None)
    shop.source.psql("UPDATE customers SET name = 'other' WHERE id = 3")
    with orphan(shop):
        second = shop.migrate(**CUT)
    assert second.success
    since = f"since run {first.result.run_id[:8]}"
    assert states(second) == {
        "public.customers": "loaded anew after a run that failed: its rows were changed in the source",
        "public.names": "copied",  # it was found to differ
        "public.orders": f"continued: 8 of 8 chunks were there {since}, unchanged",
    }
    assert second.metadata("summary")["rows"] == 4200
    assert second.metadata("public/orders")["dagster/row_count"] == 4000
    assert len(second.partitions("public/orders")) == 2
    assert second.metadata("summary")["snapshot"] == second.metadata("source_schema")["snapshot"]
    third = shop.migrate(**CUT)
    assert third.success
    assert set(states(third).values()) == {"copied"}
