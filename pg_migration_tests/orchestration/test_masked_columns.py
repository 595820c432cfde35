"""What the UI shows of a table with masks."""

from pg_migration.orchestration.metadata import column_schema, forecast_rows
from pg_migration.postgres.catalog import Column
from pg_migration.postgres.planning.forecast import Forecast, TableForecast
from pg_migration_tests.orchestration.harness import Platform


def test_masked_columns_have_a_tag_in_the_column_schema() -> None:
    columns = [Column(name, 1, "text", "text", 25, "text", None, False, None, "", "") for name in ("id", "email")]
    found = {column.name: column.tags for column in column_schema(columns, {"email": "hash"}).columns}
    assert found == {"id": {}, "email": {"masked": "hash"}}


def test_a_run_takes_a_transform_from_its_configuration(shop: Platform) -> None:
    shop.monkeypatch.setenv("MASK_KEY", "a key of thirty-two bytes or more")
    transform = {
        "key": "env:MASK_KEY",
        "tables": {"public.orders": {"where": "id <= 100"}, "public.customers": {"mask": {"id": "permute"}}},
    }
    run = shop.migrate(transform=transform)
    assert run.success, run.failures
    found = run.metadata("public/orders")
    assert found["chosen_and_masked"] == "id <= 100; customer masked by permute"
    assert {c.name: c.tags for c in found["dagster/column_schema"].columns if c.tags} == {
        "customer": {"masked": "permute"}
    }
    joined = "SELECT count(*), count(DISTINCT customer) FROM orders JOIN customers c ON c.id = customer"
    assert shop.target.psql(joined) == shop.source.psql(joined + " WHERE orders.id <= 100") == "100|100"
    alone = shop.materialize("public/orders")
    assert not alone.success
    assert "were copied with a transform, and this run has none" in alone.failures["tables"]


def test_the_plan_tells_what_is_chosen_and_masked() -> None:
    table = TableForecast("public.users", 5, 100, "binary", "not cut", ("all",), 1, True, 0.1, "email masked by hash")
    plain = TableForecast("public.city", 5, 100, "binary", "not cut", ("all",), 1, True, 0.1)
    rows = forecast_rows(Forecast((table, plain), 1, 10, 200, 2, 0.1, 1.0, False))
    assert [row["chosen and masked"] for row in rows] == ["email masked by hash", ""]
    assert "chosen and masked" not in forecast_rows(Forecast((plain,), 1, 5, 100, 1, 0.1, 1.0, False))[0]
