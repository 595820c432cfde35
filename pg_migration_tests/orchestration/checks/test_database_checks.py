"""The checks of the whole database, in `migrate` and in `validate`."""

from collections.abc import Callable

import dagster as dg
import pytest

from pg_migration_tests.orchestration.harness import Migrated, Platform

STATES = ("sequences", "constraints", "no_leftovers")


@pytest.fixture(scope="module")
def migration(migrate_once: Callable[..., Migrated]) -> Migrated:
    return migrate_once(
        "ALTER TABLE orders ADD CONSTRAINT small CHECK (id < 3000) NOT VALID; CREATE INDEX of_whom ON orders (customer)"
    )


def test_a_right_copy_passes(migrated: Platform) -> None:
    """An object that is otherwise is worth a warning."""
    migrated.target.psql("DROP INDEX orders_placed; CREATE INDEX orders_placed ON orders (placed DESC)")
    done = migrated.validate()
    assert done.success
    structure = done.every_check["post_data", "structure"]
    assert (structure.passed, structure.severity) == (False, dg.AssetCheckSeverity.WARN)
    found = {name: done.every_check["post_data", name] for name in STATES}
    assert all(evaluation.passed and evaluation.blocking for evaluation in found.values())
    assert found["sequences"].description == "1 sequence, nothing wrong"
    assert "small on public.orders" in str(found["constraints"].metadata["findings"].value)
    assert "NOT VALID on both sides" in str(found["constraints"].metadata["findings"].value)
    shown = done.every_check["public/orders", "content"].metadata
    assert shown["hash_in_source"].value == shown["hash_in_target"].value
    assert len(str(shown["hash_in_source"].value)) == 32
    assert shown["rows_hashed"].value == 4000
    for figure in ("seconds", "rows_per_second", "bytes", "bytes_per_second"):
        assert isinstance(shown[figure].value, int | float)


def test_a_spoilt_copy_fails(migrated: Platform) -> None:
    """And so does one that lacks an object."""
    migrated.target.psql(
        "DROP INDEX of_whom; SELECT setval('customers_id_seq', 5);"
        "ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey;"
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_placed'::regclass"
    )
    done = migrated.validate()
    assert not done.success
    told = {name: done.every_check["post_data", name].description or "" for name in STATES}
    assert not any(done.every_check["post_data", name].passed for name in STATES)
    assert "next value 6 in the target, but public.customers.id already holds 100" in told["sequences"]
    assert "constraint orders_customer_fkey on public.orders: missing in the target" in told["constraints"]
    assert "orders_placed on public.orders: not valid" in told["no_leftovers"]
    structure = done.every_check["post_data", "structure"]
    assert (structure.passed, structure.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "index of_whom on public.orders: missing in the target" in done.failures["database_checks"]
    assert done.passed == {"public/customers": True, "public/orders": True}


def test_what_is_wrong_at_the_end_fails_the_whole_run(shop: Platform) -> None:
    shop.after("post_data", lambda: shop.target.psql("SELECT setval('customers_id_seq', 7)"))
    done = shop.migrate()
    assert not done.success
    assert not done.every_check["post_data", "sequences"].passed
    assert done.every_check["post_data", "constraints"].passed
    assert "customers_id_seq" in done.told
    assert shop.target.psql("SELECT succeeded FROM _pg_migration.run") == "f"


def test_a_source_that_goes_on_is_no_failure_of_the_run_and_drift_afterwards(shop: Platform) -> None:
    shop.after("tables", lambda: shop.source.psql("INSERT INTO customers (name) VALUES ('late')"))
    done = shop.migrate()
    assert done.success, done.failures
    shop.target.psql("UPDATE customers SET name = 'other' WHERE id = 9")
    assert "the source moved on since" in str(done.every_check["post_data", "sequences"].metadata["findings"].value)
    later = shop.validate()
    assert not later.success
    assert "the source moved on since" in (later.every_check["post_data", "sequences"].description or "")
    content = later.every_check["public/customers", "content"]
    assert "the source changed since the copy of 20" in (content.description or "")
    listed = str(content.metadata["first_differences"].value)
    assert 0 < listed.index("(9)") < listed.index("(101)")


def test_one_check_can_be_run_alone(migrated: Platform) -> None:
    job = migrated.definitions.resolve_implicit_global_asset_job_def()
    selection = {
        key for key in migrated.definitions.resolve_asset_graph().asset_check_keys if key.name == "constraints"
    }
    done = migrated.run(job.get_subset(asset_selection=set(), asset_check_selection=selection), {})
    assert done.success
    assert set(done.every_check) == {("post_data", "constraints")}


def test_a_check_that_can_not_be_made_costs_the_others_nothing(migrated: Platform) -> None:
    migrated.target.psql("ALTER TABLE _pg_migration.sequence_position RENAME last_value TO lost")
    done = migrated.validate()
    assert {name: done.every_check["post_data", name].passed for name in STATES} == {
        "sequences": False,
        "constraints": True,
        "no_leftovers": True,
    }
    assert 'column "last_value" does not exist' in (done.every_check["post_data", "sequences"].description or "")


def test_a_sample_says_so(migrated: Platform) -> None:
    done = migrated.validate(partition_threshold=1000, content_sample_percent=25)
    assert done.success
    assert done.every_check["post_data", "structure"].passed
    sampled = done.every_check["public/orders", "content"]
    assert "25 % by a hash of the key" in (sampled.description or "")
    assert sampled.metadata["sampled_percent"].value == 25
    assert 800 < sampled.metadata["rows_hashed"].value < 1200  # type: ignore[operator]
    assert done.every_check["public/customers", "content"].description == "the same rows on both sides"
    refused = migrated.validate(content_sample_percent=0)
    assert not refused.success
    assert not any(found.passed for found in refused.every_check.values())
    assert "content_sample_percent is 0" in (refused.every_check["public/orders", "content"].description or "")
