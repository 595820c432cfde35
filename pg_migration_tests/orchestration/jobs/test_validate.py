"""The job `validate`: the checks alone, against what is in the two databases now."""

from collections.abc import Callable

import pytest

from pg_migration_tests.orchestration.harness import Migrated, Platform, Role


@pytest.fixture(scope="module")
def migration(migrate_once: Callable[..., Migrated]) -> Migrated:
    return migrate_once()


def test_says_what_it_compared(migrated: Platform) -> None:
    done = migrated.validate()
    assert done.success
    assert done.passed == {"public/customers": True, "public/orders": True}
    assert done.checks["public/orders"].metadata["compared_with"].value == "the source as it is now"
    assert done.metadata("validation")["verdict"] == "nothing differs: 9 checks passed"


def test_rows_deleted_in_the_target_and_a_table_that_it_lacks(migrated: Platform) -> None:
    migrated.target.psql("DELETE FROM orders WHERE id <= 3; DROP TABLE customers CASCADE")
    done = migrated.validate()
    assert not done.success
    assert done.passed == {"public/customers": False, "public/orders": False}
    told = done.checks["public/orders"].description or ""
    assert told.startswith("4,000 rows in the source, 3,997 in the target; ")
    assert "the source did not change since the copy of 20" in told
    description = done.checks["public/customers"].description or ""
    assert "public.customers can't be read on the target" in description
    assert "does not exist" in description
    content = done.every_check["public/customers", "content"]
    assert (content.passed, content.description) == (False, description)
    listed = done.metadata("validation")["what_differs"].splitlines()[2:]
    differing = {tuple(cell.strip() for cell in line.strip("|").split("|"))[:2] for line in listed}
    assert {("public.orders", "row_count"), ("public.customers", "content"), ("post_data", "structure")} <= differing


def test_rows_added_to_the_source_since_and_a_table_that_it_lost(shop: Platform) -> None:
    assert shop.definitions
    assert shop.migrate_directly().succeeded
    shop.source.psql("INSERT INTO customers (name) VALUES ('late'); DROP TABLE orders")
    done = shop.validate()
    assert not done.success
    assert done.passed == {"public/customers": False, "public/orders": False}
    told = done.checks["public/customers"].description or ""
    assert told.startswith("101 rows in the source, 100 in the target; the source changed since the copy of 20")
    known = done.checks["public/customers"].metadata["how_it_is_known"].value
    assert known.startswith("1 row of the source newer than that snapshot (by xmin)")
    assert "the source has no table for public.orders any more" in (done.checks["public/orders"].description or "")


@pytest.mark.parametrize("side", ["SOURCE", "TARGET"])
def test_a_server_that_can_not_be_reached(migrated: Platform, side: str) -> None:
    definitions = migrated.definitions
    migrated.monkeypatch.setenv(f"PG_MIGRATION_{side}_URL", "postgresql://ann:sesame@127.0.0.1:1/shop")
    done = migrated.run(definitions.resolve_job_def("validate"), {})
    assert not done.success
    assert done.passed == {"public/customers": False, "public/orders": False}
    assert len(done.every_check) == 9
    assert not any(found.passed for found in done.every_check.values())
    for found in done.checks.values():
        assert f"can't connect to the {side.lower()} database postgresql://ann@127.0.0.1:1/shop" in (
            found.description or ""
        )
    assert "sesame" not in done.stored


def test_a_table_that_the_role_may_not_read_in_the_target(migrated: Platform, clerk: Role) -> None:
    migrated.target.psql(f"GRANT USAGE ON SCHEMA public TO {clerk.name}; GRANT SELECT ON customers TO {clerk.name}")
    definitions = migrated.definitions
    migrated.monkeypatch.setenv("PG_MIGRATION_TARGET_URL", clerk.url(migrated.target))
    done = migrated.run(definitions.resolve_job_def("validate"), {})
    assert not done.success
    assert done.passed == {"public/customers": True, "public/orders": False}
    assert "permission denied" in (done.checks["public/orders"].description or "")


def test_excluded_tables_are_not_compared(migrated: Platform) -> None:
    migrated.target.psql("DELETE FROM orders")
    done = migrated.validate(exclude_tables=["orders"])
    assert done.success
    assert done.passed == {"public/customers": True}


def test_a_configuration_that_counts_nothing_is_refused(migrated: Platform) -> None:
    migrated.target.psql("DELETE FROM orders")
    done = migrated.validate(workers=0)
    assert not done.success
    assert any("workers is 0" in message for message in [*done.log, *done.failures.values(), done.stored])


def test_nothing_to_compare_is_no_pass(idle_shop: Platform) -> None:
    idle_shop.set(SOURCE_URL="postgresql://ann:sesame@127.0.0.1:1/shop")
    done = idle_shop.validate()
    assert not done.success
