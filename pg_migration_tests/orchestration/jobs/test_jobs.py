"""The job over the whole graph: what it promises of Dagster's way to build the implicit job.

A new version of Dagster that builds that job in another way fails here first.
"""

from collections.abc import Callable

import dagster as dg
import pytest

from pg_migration.orchestration import environment
from pg_migration.orchestration.build import build
from pg_migration.orchestration.location.code_location import Location
from pg_migration.postgres.catalog import ListedColumn, TableListing
from pg_migration_tests.orchestration.harness import Platform, Run

JOBS = {
    *("migrate", "swap_back", "repair", "plan", "validate", "preflight", "prune_old_runs"),
    *("adopt_new_tables", "cutover", "abandon_replication", "go_back", "end_way_back", "release"),
}
STEPS = [
    "source_schema",
    "source_schema_known_tables",
    "target_ddl",
    "tables",
    "table_checks",
    "foreign_keys",
    "post_data",
    "live",
    "database_checks",
    "validation",
    "summary",
]


@pytest.fixture(scope="module")
def whole(shop_once: Callable[..., Platform]) -> tuple[Platform, Run]:
    """A run that went well."""
    shop = shop_once()
    return shop, shop.migrate()


@pytest.fixture(scope="module")
def failed(shop_once: Callable[..., Platform]) -> tuple[Platform, Run]:
    """A run that loses a row before it is counted."""
    shop = shop_once()
    shop.after("tables", lambda: shop.target.psql("DELETE FROM orders WHERE id = 7"))
    return shop, shop.migrate()


def test_one_run_covers_the_whole_graph(whole: tuple[Platform, Run]) -> None:
    shop, done = whole
    assert done.success
    assert sorted(done.succeeded) == sorted(STEPS)
    assert done.succeeded[:5] == STEPS[:5]
    assert done.succeeded[-1] == "summary"
    every = {key.to_user_string() for key in shop.definitions.resolve_asset_graph().materializable_asset_keys}
    assert done.assets == every
    assert done.passed == {"public/customers": True, "public/orders": True}
    assert shop.target.psql("SELECT count(*), sum(customer) FROM orders") == shop.source.psql(
        "SELECT count(*), sum(customer) FROM orders"
    )


def test_a_table_that_was_not_cut_has_six_events(whole: tuple[Platform, Run]) -> None:
    """Each three of the table and of its two checks: planned, and what became of it. Logs stay readable by that."""
    shop, done = whole
    table = dg.AssetKey(["public", "customers"])
    every = [e.dagster_event for e in shop.instance.all_logs(done.result.run_id) if e.dagster_event is not None]
    found = [event.event_type_value.removeprefix("ASSET_") for event in every if repr(table) in repr(event)]
    assert sorted(found) == [
        "CHECK_EVALUATION",
        "CHECK_EVALUATION",
        "CHECK_EVALUATION_PLANNED",
        "CHECK_EVALUATION_PLANNED",
        "MATERIALIZATION",
        "MATERIALIZATION_PLANNED",
    ]
    # Outputs are told of nowhere else: of assets alone that others wait for.
    outputs = [event.step_key for event in done.result.all_events if event.is_successful_output]
    assert not {"tables", "table_checks", "validation", "summary"} & set(outputs)


def test_the_foreign_keys_wait_for_the_checks(whole: tuple[Platform, Run]) -> None:
    _, done = whole
    assert done.succeeded.index("table_checks") < done.succeeded.index("foreign_keys")
    assert done.succeeded.index("table_checks") < done.succeeded.index("post_data")


def test_validate_runs_the_checks_and_nothing_else(whole: tuple[Platform, Run]) -> None:
    shop, _ = whole
    before = shop.target.dump()
    done = shop.validate()
    assert done.success
    assert sorted(done.succeeded) == ["database_checks", "source_schema_known_tables", "table_checks", "validation"]
    assert done.assets == {"validation"}
    assert done.passed == {"public/customers": True, "public/orders": True}
    assert shop.target.dump() == before


def test_a_table_left_out_skips_nothing_downstream(shop: Platform) -> None:
    shop.source.psql("CREATE TABLE debris (id integer PRIMARY KEY, customer integer REFERENCES customers)")
    done = shop.migrate(exclude_tables=["debris"], check_content=False)
    assert done.success
    assert sorted(done.succeeded) == sorted(STEPS)
    assert ("public/orders", "row_count") in done.every_check
    assert not [asset for asset, check in done.every_check if check == "content"]
    assert "public/debris" not in done.assets
    assert "public/foreign_keys" in done.assets
    assert shop.target.psql("SELECT to_regclass('debris') IS NULL") == "t"


def test_a_failed_check_stops_the_foreign_keys(failed: tuple[Platform, Run]) -> None:
    shop, done = failed
    assert not done.success
    assert done.passed == {"public/customers": True, "public/orders": False}
    assert done.started == set(STEPS) - {"foreign_keys", "post_data", "database_checks", "live"}
    assert shop.target.psql("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == "0"


def test_the_summary_lists_what_failed_and_is_no_failure_more(failed: tuple[Platform, Run]) -> None:
    _, done = failed
    assert set(done.failures) == {"table_checks"}
    assert "summary" not in done.assets
    assert "public.orders" in done.told
    assert "4,000 rows in the source, 3,999 in the target" in done.told
    left = next(line for line in done.told.splitlines() if "since an earlier step failed" in line)
    assert "foreign key orders_customer_fkey on public.orders" in left
    assert "primary key" not in left


def test_a_table_that_could_not_be_made_costs_the_others_nothing(shop: Platform) -> None:
    shop.source.psql(
        "CREATE SCHEMA elsewhere; CREATE DOMAIN elsewhere.kind AS text;"
        "CREATE TABLE odd (id serial PRIMARY KEY, kind elsewhere.kind, customer integer REFERENCES customers);"
        "CREATE VIEW odd_kinds AS SELECT kind FROM odd; CREATE VIEW names AS SELECT id FROM customers"
    )
    done = shop.migrate()
    assert not done.success
    assert done.started == set(STEPS) - {"structure", "database_checks", "live"}
    assert done.passed == {"public/customers": True, "public/orders": True}
    made = "SELECT conname FROM pg_constraint WHERE contype = 'f'"
    assert shop.target.psql(made) == "orders_customer_fkey"
    assert shop.target.psql("SELECT count(*) FROM names") == shop.source.psql("SELECT count(*) FROM customers")
    for told in (
        'table public.odd could not be made on the target: schema "elsewhere" does not exist',
        "foreign key odd_customer_fkey of public.odd was not created",
        "view public.odd_kinds was skipped: it needs table public.odd, which could not be made",
        "not made, since an earlier step failed: primary key odd_pkey on public.odd",
    ):
        assert told in done.told


def test_the_summary_tells_when_nothing_was_copied(shop: Platform) -> None:
    shop.target.psql("CREATE TABLE orders (id text)")
    done = shop.migrate()
    assert not done.success
    assert "target_ddl" in done.failures
    assert "drop_existing_tables" in done.told
    assert shop.target.psql("SELECT succeeded FROM _pg_migration.run") == "f"


def test_the_jobs_belong_to_the_assets(idle_shop: Platform) -> None:
    repository = idle_shop.definitions.get_repository_def()
    assert {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")} == JOBS
    migrate = repository.get_job("migrate")
    assert dg.AssetKey(["public", "orders"]) in migrate.asset_layer.executable_asset_keys
    assert migrate.executor_def.name == "in_process"
    assert migrate.partitions_def is None


def test_the_graph_grows_no_faster_than_the_number_of_tables() -> None:
    def waits(tables: int) -> int:
        listings = [
            TableListing("public", f"t{n}", "r", None, (ListedColumn("id", "integer", True),), (("public", "t0"),))
            for n in range(tables)
        ]
        job = build(Location(environment.pair(), {"public": "public"}, tuple(listings))).resolve_job_def("migrate")
        return sum(
            len(source.get_node_dependencies())
            for inputs in job.graph.dependencies.values()
            for source in inputs.values()
        )

    assert waits(80) <= 4.5 * waits(20)
