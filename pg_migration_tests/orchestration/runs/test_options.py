"""What the run configuration and the state of the target change about a run."""

from urllib.parse import urlsplit

import pytest

from pg_migration_tests.orchestration.harness import BOOKKEEPING, Platform, Role

ORDERS = "SELECT * FROM orders ORDER BY id"
FOREIGN_KEYS = "SELECT conname FROM pg_constraint WHERE contype = 'f' ORDER BY 1"
WITHOUT_BOOKKEEPING = ("--exclude-schema", BOOKKEEPING)


def test_exclude_tables_by_pattern(shop: Platform, caplog: pytest.LogCaptureFixture) -> None:
    shop.source.psql(
        "CREATE TABLE tmp_1 (id integer); CREATE TABLE tmp_2 (id integer); CREATE TABLE temporal (id integer)"
    )
    done = shop.migrate(exclude_tables=["tmp_*", "public.cust*"])
    assert done.success
    tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
    assert shop.target.psql(tables).split() == ["orders", "temporal"]
    assert set(done.passed) == {"public/orders", "public/temporal"}
    assert shop.target.psql(FOREIGN_KEYS) == ""
    assert caplog.messages == []


def test_excluding_a_partition(shop: Platform) -> None:
    shop.source.psql(
        "CREATE TABLE visits (id integer, year integer) PARTITION BY LIST (year);"
        "CREATE TABLE visits_old PARTITION OF visits DEFAULT PARTITION BY RANGE (year);"
        "CREATE TABLE visits_2015 PARTITION OF visits_old FOR VALUES FROM (2015) TO (2016);"
        "CREATE TABLE visits_2016 PARTITION OF visits_old FOR VALUES FROM (2016) TO (2017);"
        "CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES IN (2025);"
        "INSERT INTO visits VALUES (1, 2015), (2, 2016), (3, 2025);"
        "CREATE VIEW visitors AS SELECT id FROM visits"
    )
    done = shop.migrate(exclude_tables=["*_2015"])
    assert done.success
    assert {"public/visits", "public/visits_old", "public/visits_2016"} <= set(done.passed)
    assert shop.target.psql("SELECT count(*) FROM visitors") == "2"
    shop.target.psql("DELETE FROM visits_2016")
    assert not shop.validate(exclude_tables=["*_2015"]).passed["public/visits"]


def test_the_summary_names_what_an_excluded_table_took_with_it(shop: Platform) -> None:
    shop.source.psql("CREATE VIEW names AS SELECT name FROM customers")
    done = shop.migrate(exclude_tables=["customers"])
    assert "public.customers" in done.log[-1]
    assert "orders_customer_fkey" in done.log[-1]
    assert "names" in done.log[-1]


@pytest.mark.parametrize("job", ["plan", "preflight", "migrate"])
def test_a_pattern_that_matches_nothing_is_said_first(shop: Platform, job: str) -> None:
    done = shop.run(shop.definitions.resolve_job_def(job), {"exclude_tables": ["custommers*"]})
    assert done.success
    first = next(line for line in done.log[-1].splitlines() if "custommers" in line or "public.orders" in line)
    assert "exclude_tables: no table matches the pattern 'custommers*'" in first


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("custommers", "public.customers"),
        ("Customers", "public.customers"),
        ('"customers"', "public.customers"),
        ("pubic.orders", "public.orders"),
        ("other.orders", "public.orders"),
        ("public.order", "public.orders"),
        ("invoices_of_2015", None),
    ],
)
def test_a_name_of_no_table_is_refused(shop: Platform, name: str, suggestion: str | None) -> None:
    before = shop.target.dump()
    steps = {
        "migrate": "source_schema",
        "plan": "copy_plan",
        "preflight": "preflight_checks",
        "repair": "repair_tables",
    }
    for job, step in steps.items() if suggestion is None else [("migrate", "source_schema")]:
        done = shop.run(shop.definitions.resolve_job_def(job), {"exclude_tables": ["orders", name]})
        assert not done.success
        said = done.failures[step]
        assert f"'{name}'" in said
        assert (f"did you mean {suggestion}" if suggestion else "or is none any more: 'invoices_of_2015'.") in said
    assert not shop.validate(exclude_tables=[name]).success
    assert shop.target.dump() == before


def test_names_that_look_like_patterns_are_names(shop: Platform) -> None:
    shop.source.psql('CREATE TABLE "what?" (id integer); CREATE TABLE "a[1]" (id integer); CREATE TABLE "Ord" (i int)')
    done = shop.migrate(exclude_tables=["a[1]", "public.Ord", "what?"])
    assert done.success, done.failures
    assert "no table matches" not in done.log[-1]
    assert shop.target.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "2"


def test_excluding_everything_is_an_error(shop: Platform) -> None:
    done = shop.migrate(exclude_tables=["*"])
    assert not done.success
    assert "empty or wholly excluded" in done.failures["source_schema"]


def test_what_needs_no_table_comes_without_them(shop: Platform) -> None:
    shop.source.psql("CREATE VIEW constants AS SELECT 1 AS one; CREATE TYPE mood AS ENUM ('good', 'bad')")
    done = shop.migrate(exclude_tables=["*"])
    assert done.success
    assert shop.target.psql("SELECT one, 'good'::mood FROM constants") == "1|good"


def test_the_same_run_again(shop: Platform) -> None:
    assert shop.migrate().success
    once = shop.target.dump(*WITHOUT_BOOKKEEPING)
    assert shop.migrate().success
    assert shop.target.dump(*WITHOUT_BOOKKEEPING) == once
    assert shop.target.psql(ORDERS) == shop.source.psql(ORDERS)


def test_rows_that_violate_a_constraint_that_is_not_validated_come_again(shop: Platform) -> None:
    shop.source.psql(
        "CREATE TABLE above (a integer); CREATE TABLE below () INHERITS (above); INSERT INTO below VALUES (-1);"
        "ALTER TABLE below ADD CONSTRAINT positive CHECK (a > 0) NOT VALID;"
        "ALTER TABLE above ADD CONSTRAINT positive CHECK (a > 0) NOT VALID;"
    )
    assert shop.migrate_directly().succeeded
    once = shop.target.dump(*WITHOUT_BOOKKEEPING)
    assert shop.migrate().success
    assert shop.target.dump(*WITHOUT_BOOKKEEPING) == once
    assert shop.materialize("public/below", partition="all").success
    assert shop.target.dump(*WITHOUT_BOOKKEEPING) == once
    assert shop.target.psql("SELECT a FROM below") == "-1"


def test_a_second_run_brings_what_changed_in_the_source(shop: Platform) -> None:
    assert shop.migrate_directly().succeeded
    shop.source.psql("DELETE FROM orders WHERE id < 100; UPDATE customers SET name = 'same'; ")
    shop.source.psql("INSERT INTO orders SELECT n, 1, NULL FROM generate_series(9000, 9010) AS n")
    assert shop.migrate().success
    assert shop.target.psql(ORDERS) == shop.source.psql(ORDERS)
    assert shop.target.psql("SELECT DISTINCT name FROM customers") == "same"


def test_a_table_with_other_columns_stops_the_run_before_it_touches_anything(shop: Platform) -> None:
    shop.target.psql("CREATE TABLE orders (id bigint PRIMARY KEY, customer text, placed date, note text)")
    shop.target.psql(
        "INSERT INTO orders VALUES (1, 'kept', NULL, NULL); CREATE TABLE customers (id integer, name text)"
    )
    before = shop.target.dump(*WITHOUT_BOOKKEEPING)
    done = shop.migrate(overwrite_existing_rows=True)
    assert not done.success
    message = done.failures["target_ddl"]
    for part in (
        "public.orders: column customer: type is integer in the source and text in the target",
        "public.orders: column note is in the target only",
        "public.customers: column balance is missing in the target",
        "drop_existing_tables: true",
    ):
        assert part in message
    assert shop.target.dump(*WITHOUT_BOOKKEEPING) == before
    assert "tables" not in done.started


def test_drop_existing_tables_replaces_them_and_leaves_the_rest(shop: Platform) -> None:
    shop.target.psql(
        "CREATE TABLE customers (id integer PRIMARY KEY, name text);"
        "CREATE TABLE orders (id bigint PRIMARY KEY, customer integer REFERENCES customers);"
        "CREATE TABLE invoices (id integer, order_id bigint REFERENCES orders);"
        "CREATE VIEW names AS SELECT name FROM customers;"
        "INSERT INTO invoices VALUES (1, NULL)"
    )
    done = shop.migrate(drop_existing_tables=True)
    assert done.success
    assert shop.target.psql(ORDERS) == shop.source.psql(ORDERS)
    assert shop.target.psql("SELECT id FROM invoices") == "1"
    assert shop.target.psql("SELECT to_regclass('names') IS NULL") == "t"
    assert "dropped in the target: view public.names" in done.log[-1]
    foreign_keys = shop.target.psql("SELECT conname FROM pg_constraint WHERE contype = 'f' ORDER BY 1")
    assert foreign_keys.split() == ["invoices_order_id_fkey", "orders_customer_fkey"]


def test_foreign_keys_and_views_in_the_target_do_not_stop_a_reload(shop: Platform) -> None:
    assert shop.migrate_directly().succeeded
    shop.target.psql(
        "CREATE TABLE invoices (id integer, order_id bigint REFERENCES orders);"
        "INSERT INTO invoices VALUES (1, 3);"
        "CREATE VIEW names AS SELECT id, name FROM customers GROUP BY id"
    )
    before = shop.target.dump(*WITHOUT_BOOKKEEPING)
    done = shop.migrate()
    assert done.success
    assert shop.target.dump(*WITHOUT_BOOKKEEPING) == before


def test_rows_written_to_the_source_during_the_run_are_no_difference(shop: Platform) -> None:
    added = "INSERT INTO orders SELECT n, 1, NULL FROM generate_series(10001, 10500) AS n"
    shop.after("source_schema", lambda: shop.source.psql(added))
    shop.after("tables", lambda: shop.source.psql("DELETE FROM orders WHERE id < 50"))
    done = shop.migrate()
    assert done.success
    assert done.checks["public/orders"].description == "4,000 rows on both sides"
    assert shop.target.psql("SELECT min(id), max(id) FROM orders") == "1|4000"


def test_unlogged_tables_are_logged_in_the_end(shop: Platform) -> None:
    assert shop.migrate_directly(use_unlogged_tables=True).succeeded
    persistence = "SELECT DISTINCT relpersistence FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    assert shop.target.psql(persistence) == "p"
    assert shop.target.psql(ORDERS) == shop.source.psql(ORDERS)


def test_source_and_target_schema_may_differ(shop: Platform) -> None:
    shop.set(TARGET_SCHEMA="Shop Copy")
    done = shop.migrate()
    assert done.success
    (orders,) = (asset for asset in done.passed if asset.endswith("/orders"))
    assert done.passed[orders]
    assert f"{orders.rpartition('/')[0]}/foreign_keys" in done.assets
    assert shop.target.psql('SELECT * FROM "Shop Copy".orders ORDER BY id') == shop.source.psql(ORDERS)
    assert shop.target.psql("SELECT to_regclass('public.orders') IS NULL") == "t"
    inserted = "INSERT INTO \"Shop Copy\".customers (name) VALUES ('next') RETURNING id, initial"
    assert shop.target.psql(inserted) == "101|n"


def test_one_database_may_hold_both_schemas(shop: Platform) -> None:
    shop.set(TARGET_URL=shop.source.url, TARGET_SCHEMA="copy")
    assert shop.migrate().success
    assert shop.source.psql("SELECT * FROM copy.orders ORDER BY id") == shop.source.psql(ORDERS)
    assert shop.source.psql("SELECT count(*) FROM orders") == "4000"


def test_a_second_run_at_the_same_time_names_the_first(shop: Platform) -> None:
    held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
    assert shop.definitions
    second: list[str] = []
    shop.after("target_ddl", lambda: shop.after("target_ddl", lambda: None) or second.append(_message_of_another(shop)))
    first = shop.migrate()
    assert first.success
    assert f"pg_migration run {first.result.run_id}" in second[0]
    assert "start again" in second[0]
    assert shop.target.psql(held) == ""


def _message_of_another(shop: Platform) -> str:
    done = shop.migrate()
    assert not done.success
    return done.failures["source_schema"]


def test_key_value_connection_strings_are_as_good(shop: Platform) -> None:
    split = urlsplit(shop.source.url)
    assert split.hostname
    shop.set(
        SOURCE_URL=f"host={split.hostname} port={split.port} dbname={split.path[1:]} user={split.username} "
        f"password='{split.password}'"
    )
    assert shop.migrate().success


def test_rows_that_row_security_hides_are_not_lost_in_silence(shop: Platform, clerk: Role) -> None:
    shop.source.psql(
        f"GRANT USAGE ON SCHEMA public TO {clerk.name}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {clerk.name};"
        f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {clerk.name};"
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON orders FOR SELECT USING (id < 10)"
    )
    shop.set(SOURCE_URL=clerk.url(shop.source))
    done = shop.migrate()
    assert not done.success
    assert "row-level security may hide rows" in done.failures["summary"]
    assert "public.orders" in done.failures["summary"]
