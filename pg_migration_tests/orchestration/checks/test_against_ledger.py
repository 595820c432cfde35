"""The job `validate` proves the target when nobody can ask the source any more."""

from pathlib import Path

import pytest

from pg_migration_tests.orchestration.harness import Platform

GONE = "postgresql://nobody@127.0.0.1:1/gone"


@pytest.mark.parametrize(
    "where", [pytest.param("where it was migrated", marks=pytest.mark.longer), "on another machine"]
)
def test_the_target_is_compared_with_the_ledger(shop: Platform, tmp_path: Path, where: str) -> None:
    assert shop.migrate_directly().succeeded
    if where == "on another machine":
        shop.monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "another"))
    else:
        shop.reload()
    shop.set(SOURCE_URL=GONE)
    proved = shop.validate(against="ledger")
    assert proved.success, proved.failures
    content = proved.every_check["public/orders", "content"]
    assert content.passed
    assert content.metadata["compared_with"].value == "the ledger in the target"
    assert content.metadata["hash_in_source"].value == content.metadata["hash_in_target"].value
    assert set(proved.every_check) == {
        *(("public/" + table, check) for table in ("orders", "customers") for check in ("row_count", "content")),
        ("source_schema", "known_tables"),
    }
    shop.target.psql("DELETE FROM orders WHERE id = 7")
    spoilt = shop.validate(against="ledger")
    assert not spoilt.success
    assert (
        spoilt.every_check["public/orders", "row_count"].description == "4,000 rows were copied, the target has 3,999"
    )
    assert spoilt.every_check["public/customers", "content"].passed


def test_a_table_without_an_asset_is_told(shop: Platform) -> None:
    """One that was copied, where the code location was loaded before that."""
    shop.reload()
    definitions = shop.definitions
    shop.source.psql("CREATE TABLE later (id int)")
    assert shop.migrate_directly().succeeded
    shop.set(SOURCE_URL=GONE)
    shop._definitions = definitions
    found = shop.validate(against="ledger")
    assert not found.success
    known = found.every_check["source_schema", "known_tables"]
    assert (
        known.description
        == "no asset stands for public.later: reload the code location (in the UI: Deployment, Reload)"
    )


def test_a_run_that_copies_is_proved_by_its_source_whatever_is_configured(shop: Platform) -> None:
    """All jobs take the configuration of one resource."""
    done = shop.migrate(against="ledger")
    assert done.success, done.failures
    for check in ("structure", "sequences", "constraints", "no_leftovers"):
        assert done.every_check["post_data", check].passed
    content = done.every_check["public/orders", "content"]
    assert content.metadata["compared_with"].value == "the run's snapshot"
    for figure in ("rows_per_second", "bytes_per_second"):  # of the hashes that were made while rows were copied
        assert isinstance(content.metadata[figure].value, int)
