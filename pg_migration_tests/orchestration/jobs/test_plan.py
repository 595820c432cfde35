"""The plan: the job that shows it and writes nothing, and the first asset of a run that follows it."""

from typing import Any

import pytest

from pg_migration.postgres.planning import forecast
from pg_migration_tests.orchestration.harness import Platform, Run

MORE = """
CREATE TABLE readings (id bigint PRIMARY KEY, value double precision);
INSERT INTO readings SELECT i, i FROM generate_series(1, 6000) i;
CREATE TABLE odd (id int PRIMARY KEY, place regclass);
ANALYZE;
"""
CUT: dict[str, Any] = {"partition_threshold": 1000, "max_partitions": 4, "chunk_size": 500, "workers": 2}


def plan(shop: Platform, **config: Any) -> Run:
    return shop.run(shop.definitions.resolve_job_def("plan"), config)


def rows_of(table: str) -> dict[str, dict[str, str]]:
    """A markdown table as rows by table name."""
    header, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row["table"]: row for row in (dict(zip(header, line, strict=True)) for line in lines)}


def test_the_plan_is_shown_and_nothing_is_written(shop: Platform) -> None:
    shop.source.psql(MORE)
    before = shop.target.dump()
    done = plan(shop, **CUT)
    assert done.success
    assert shop.target.dump() == before
    (shown,) = [line for line in done.log if "| public.readings" in line]
    assert "assumed: no earlier run has left a figure" in shown
    planned = rows_of("\n".join(line for line in shown.splitlines() if line.startswith("|") and ":--" not in line[:6]))
    assert [int(row["order"]) for row in planned.values()] == [1, 2, 3, 4]
    assert next(iter(planned)) == "public.readings"  # the largest first
    expected = {"rows": "6,000", "format": "binary", "cut by": "key id", "ranges": "4", "frozen": "no"}
    assert planned["public.readings"].items() >= expected.items()
    assert int(planned["public.readings"]["chunks"]) > 10
    assert planned["public.odd"]["format"] == "text"
    assert (planned["public.odd"]["chunks"], planned["public.odd"]["frozen"]) == ("1", "yes")


def test_a_run_shows_its_plan_and_follows_it(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.source.psql(MORE)
    shop.reload()
    done = shop.migrate(**CUT)
    assert done.success
    first = done.metadata("source_schema")
    assert "| public.readings" in first["plan"]
    chunks = shop.target.psql("SELECT count(*) FROM _pg_migration.chunk")
    assert first["planned_chunks"] == int(chunks)
    assert first["planned_workers"] == 2
    monkeypatch.setattr(forecast, "MIN_BYTES_MEASURED", 1)
    (shown,) = [line for line in plan(shop, **CUT).log if "| public.readings" in line]
    assert "for each worker (as in earlier runs)" in shown


def test_what_stops_a_migration_stops_the_plan(idle_shop: Platform) -> None:
    refused = plan(idle_shop, chunk_size=0)
    assert not refused.success
    assert "chunk_size is 0" in refused.failures["copy_plan"]
