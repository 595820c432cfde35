"""What the UI shows of each stage after a run."""

import pytest

from pg_migration_tests.orchestration.harness import Platform


def test_source_schema_counts_kinds_and_lists_tables(shop: Platform) -> None:
    shop.source.psql("CREATE TYPE mood AS ENUM ('well', 'ill'); CREATE TABLE moods (at date, mood mood)")
    shown = shop.migrate().metadata("source_schema")
    counts = dict(_cells(line)[:2] for line in shown["objects"].splitlines()[2:])
    assert counts.items() >= {"table": "3", "foreign key": "1"}.items()
    assert "type" in counts
    header, _, *rows = shown["tables"].splitlines()
    assert _cells(header)[:4] == ["table", "columns", "estimated rows", "bytes"]
    listed = {_cells(row)[0]: _cells(row)[1:] for row in rows}
    assert set(listed) == {"public.customers", "public.orders", "public.moods"}
    columns, estimated, size, *_ = listed["public.orders"]
    assert (columns, estimated) == ("3", "4,000")
    assert int(size.replace(",", "")) == int(shop.source.psql("SELECT pg_table_size('orders')"))


def test_target_ddl_shows_what_it_ran(shop: Platform) -> None:
    first = shop.migrate().metadata("target_ddl")
    assert "CREATE TABLE" in first["ddl"]
    assert first["ddl"].startswith("```sql")
    assert "numeric(12,2)" in first["ddl"]
    again = shop.migrate().metadata("target_ddl")
    assert again["ddl"] == "nothing had to be run"
    assert (again["created"], again["dropped"]) == (0, 0)


def test_a_table_shows_its_figures_and_columns(shop: Platform) -> None:
    done = shop.migrate(partition_threshold=1000, max_partitions=4)
    shown = done.metadata("public/orders")
    assert shown["dagster/row_count"] == shown["rows"] == 4000
    assert shown["ranges"] == 4
    assert shown["bytes"] > 4000 * 10
    assert shown["seconds"] >= 0
    assert shown["rows_per_second"] > 0
    columns = {c.name: (c.type, c.constraints.nullable) for c in shown["dagster/column_schema"].columns}
    assert columns == {"id": ("bigint", False), "customer": ("integer", False), "placed": ("date", True)}
    keys = done.partitions("public/orders")
    ranges = [done.metadata("public/orders", key) for key in keys]
    assert sum(shown["dagster/partition_row_count"] for shown in ranges) == 4000
    assert sum(shown["range_bytes"] for shown in ranges) == shown["bytes"]
    assert not {"rows", "bytes"} & ranges[0].keys()  # the UI would plot them in the line of the whole table
    columns = {c.name: c.description for c in done.metadata("public/customers")["dagster/column_schema"].columns}
    assert "identity" in columns["id"]
    assert "generated" in columns["initial"]


def test_row_count_shows_both_sides(shop: Platform) -> None:
    found = shop.migrate().checks["public/orders"]
    assert found.description == "4,000 rows on both sides"
    assert found.metadata["rows_in_source"].value == found.metadata["rows_in_target"].value == 4000
    assert found.metadata["compared_with"].value == "the run's snapshot"
    assert found.blocking


def test_foreign_keys_and_post_data_show_what_they_ran(shop: Platform) -> None:
    shop.source.psql("CREATE VIEW late AS SELECT * FROM orders WHERE placed > date '2024-06-01'")
    done = shop.migrate()
    shown = done.metadata("public/foreign_keys")
    assert shown["foreign_keys"] == 1
    assert "FOREIGN KEY" in shown["ddl"]
    assert '"late"' in done.metadata("post_data")["ddl"]


def test_the_summary_tells_of_every_table(shop: Platform) -> None:
    shop.source.psql("CREATE TABLE debris (id integer)")
    done = shop.migrate(exclude_tables=["debris"])
    header, _, *rows = done.metadata("summary")["tables"].splitlines()
    listed = {_cells(row)[0]: dict(zip(_cells(header), _cells(row), strict=True)) for row in rows}
    assert set(listed) == {"public.customers", "public.debris", "public.orders"}
    orders = listed["public.orders"]
    assert orders["rows"] == "4,000"
    assert orders["checks"] == "2 passed"
    assert orders["state"] == "copied"
    assert {"bytes", "seconds", "rows/s", "ranges"} <= set(orders)
    assert listed["public.debris"]["state"] == "excluded"


def test_the_log_ends_with_the_summary(shop: Platform) -> None:
    last = shop.migrate().log[-1]
    assert "public.orders" in last
    assert "4,000" in last
    assert "copied" in last


def test_a_long_copy_tells_how_far_it_is(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pg_migration.postgres.transfer.load.PROGRESS_SECONDS", 0.05)
    shop.source.psql("INSERT INTO customers (name) SELECT repeat('x', 40) FROM generate_series(1, 400000); ANALYZE")
    done = shop.migrate(chunk_size=20_000, workers=1)
    told = [line for line in done.log if line.startswith("public.customers: ")]
    assert told
    assert any("%" in line and "rows/s" in line for line in told)
    assert len(told) < 0.5 * len(done.entries)


def _cells(row: str) -> list[str]:
    """The cells of one line of a markdown table."""
    return [cell.strip() for cell in row.strip("|").split("|")]
