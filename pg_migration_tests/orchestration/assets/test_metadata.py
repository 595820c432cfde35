"""What the UI shows of each stage after a run."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pg_migration.orchestration import load_events
from pg_migration.postgres import figures
from pg_migration.postgres.transfer.events import Event
from pg_migration.postgres.transfer.progress import Progress
from pg_migration.reporting.model import Report
from pg_migration_tests.orchestration.harness import Database, Platform, Run

MORE = """
CREATE TYPE mood AS ENUM ('well', 'ill'); CREATE TABLE moods (at date, mood mood); CREATE TABLE debris (id integer);
CREATE VIEW late AS SELECT * FROM orders WHERE placed > date '2024-06-01'
"""


@dataclass(frozen=True)
class Shown:
    """A run, the step that makes the tables once more, and the source that both read."""

    source: Database
    first: Run
    again: Run


@dataclass
class Watched:
    """Whoever watches a run."""

    events: list[Event] = field(default_factory=list)

    def load(self, event: Event) -> None:
        self.events.append(event)

    def filed(self, _: Report) -> None:
        return


@pytest.fixture(scope="module")
def shown(shop_once: Callable[..., Platform]) -> Shown:
    """What all tests here look at: orders in four ranges, one table left out."""
    platform = shop_once(MORE)
    config = {"partition_threshold": 1000, "max_partitions": 4, "exclude_tables": ["debris"]}
    return Shown(platform.source, platform.migrate(**config), platform.materialize("target_ddl", **config))


def test_source_schema_counts_kinds_and_lists_tables(shown: Shown) -> None:
    told = shown.first.metadata("source_schema")
    counts = dict(_cells(line)[:2] for line in told["objects"].splitlines()[2:])
    assert counts.items() >= {"table": "3", "foreign key": "1"}.items()
    assert "type" in counts
    header, _, *rows = told["tables"].splitlines()
    assert _cells(header)[:4] == ["table", "columns", "estimated rows", "bytes"]
    listed = {_cells(row)[0]: _cells(row)[1:] for row in rows}
    assert set(listed) == {"public.customers", "public.orders", "public.moods"}
    columns, estimated, size, *_ = listed["public.orders"]
    assert (columns, estimated) == ("3", "4,000")
    assert size == figures.size(int(shown.source.psql("SELECT pg_table_size('orders')")))


def test_target_ddl_shows_what_it_ran(shown: Shown) -> None:
    first = shown.first.metadata("target_ddl")
    assert "CREATE TABLE" in first["ddl"]
    assert first["ddl"].startswith("```sql")
    assert "numeric(12,2)" in first["ddl"]
    again = shown.again.metadata("target_ddl")
    assert again["ddl"] == "nothing had to be run"
    assert (again["created"], again["dropped"]) == (0, 0)


def test_a_table_shows_its_figures_and_columns(shown: Shown) -> None:
    done = shown.first
    whole = done.metadata("public/orders")
    assert whole["dagster/row_count"] == 4000
    assert whole["ranges"] == 4
    assert whole["bytes"] > 4000 * 10
    assert whole["seconds"] >= 0
    assert whole["rows_per_second"] > 0
    columns = {c.name: (c.type, c.constraints.nullable) for c in whole["dagster/column_schema"].columns}
    assert columns == {"id": ("bigint", False), "customer": ("integer", False), "placed": ("date", True)}
    keys = done.partitions("public/orders")
    ranges = [done.metadata("public/orders", key) for key in keys]
    assert sum(of["dagster/partition_row_count"] for of in ranges) == 4000
    assert sum(of["range_bytes"] for of in ranges) == whole["bytes"]
    assert not {"rows", "bytes"} & ranges[0].keys()  # the UI would plot them in the line of the whole table
    columns = {c.name: c.description for c in done.metadata("public/customers")["dagster/column_schema"].columns}
    assert "identity" in columns["id"]
    assert "generated" in columns["initial"]


def test_row_count_shows_both_sides(shown: Shown) -> None:
    found = shown.first.checks["public/orders"]
    assert found.description == "4,000 rows on both sides"
    assert found.metadata["rows_in_source"].value == found.metadata["rows_in_target"].value == 4000
    assert found.metadata["compared_with"].value == "the run's snapshot"
    assert found.blocking


def test_foreign_keys_and_post_data_show_what_they_ran(shown: Shown) -> None:
    told = shown.first.metadata("public/foreign_keys")
    assert told["foreign_keys"] == 1
    assert "FOREIGN KEY" in told["ddl"]
    assert '"late"' in shown.first.metadata("post_data")["ddl"]


def test_the_summary_tells_of_every_table(shown: Shown) -> None:
    header, _, *rows = shown.first.metadata("summary")["tables"].splitlines()
    listed = {_cells(row)[0]: dict(zip(_cells(header), _cells(row), strict=True)) for row in rows}
    assert set(listed) == {"public.customers", "public.debris", "public.moods", "public.orders"}
    orders = listed["public.orders"]
    assert orders["rows"] == "4,000"
    assert orders["checks"] == "2 passed"
    assert orders["state"] == "copied"
    assert {"bytes", "seconds"} <= set(orders)
    assert listed["public.debris"]["state"] == "excluded"


def test_the_log_ends_with_the_summary(shown: Shown) -> None:
    last = shown.first.log[-1]
    assert "public.orders" in last
    assert "4,000" in last
    assert "copied" in last


@pytest.mark.longer
def test_a_long_copy_tells_how_far_it_is(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pg_migration.postgres.transfer.load.PROGRESS_SECONDS", 0.001)
    monkeypatch.setattr("pg_migration.postgres.transfer.progress.LEAST_SECONDS", 0)
    shop.source.psql("INSERT INTO customers (name) SELECT repeat('x', 40) FROM generate_series(1, 20000); ANALYZE")
    monkeypatch.setattr("pg_migration.postgres.verification.comparison_progress.PROGRESS_SECONDS", 0)
    watched = Watched()
    with load_events.watched_by(watched):
        done = shop.migrate(chunk_size=1_000, workers=1)
        compared = shop.validate(workers=1, chunk_size=1_000)  # so many slices that some are told of
    for run, phase in ((done, "copying"), (compared, "comparing")):
        assert any(re.match(rf"{phase}: [012] of 2 tables, \d+ %", line) for line in run.log)
        assert any(line.startswith(phase) and " tables, " in line for line in run.observed("progress"))
    header, _, *_ = done.observed("workers")[0].splitlines()
    assert _cells(header) == ["table", "does", "done", "rows", "MiB/s", "for"]
    assert any("public.customers | copying" in " ".join(table.split()) for table in done.observed("workers"))
    copying = [event for event in watched.events if isinstance(event, Progress) and event.phase == "copying"]
    comparing = [event for event in watched.events if isinstance(event, Progress) and event.phase == "comparing"]
    last = copying[-1].total
    assert (last.finished, last.tables, last.rows, last.expected_rows) == (2, 2, 24100, 24100)
    assert {"copying", "hashing"} <= {worker.activity for event in copying for worker in event.workers}
    assert {event.total.tables for event in comparing} == {2}
    for events in (copying, comparing):  # where the machine is busy, the first look may be the last one
        shares = [event.total.share or 0 for event in events]
        assert 0 <= shares[0] <= shares[-1] <= 1


def _cells(row: str) -> list[str]:
    """The cells of one line of a markdown table."""
    return [cell.strip() for cell in row.strip("|").split("|")]
