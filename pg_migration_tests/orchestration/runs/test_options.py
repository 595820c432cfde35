"""What the run configuration and the state of the target change about a run."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from _pytest.logging import LogCaptureHandler, catching_logs

from pg_migration.postgres.migration import preflight
from pg_migration.postgres.preflight import Severity
from pg_migration_tests.orchestration.harness import BOOKKEEPING, Platform, Role, Run

ORDERS = "SELECT * FROM orders ORDER BY id"
FOREIGN_KEYS = "SELECT conname FROM pg_constraint WHERE contype = 'f' ORDER BY 1"
WITHOUT_BOOKKEEPING = ("--exclude-schema", BOOKKEEPING)


NO_SUCH_TABLE = "custommers*"
EXCLUDED = ["tmp_*", "public.cust*", "a[1]", "public.Ord", "what?", "*_2015", NO_SUCH_TABLE]


@dataclass(frozen=True)
class LeftOut:
    """A run that left out some tables, and the warnings of Python's that came of it."""

    platform: Platform
    run: Run
    warnings: list[str]


@pytest.fixture(scope="module")
def left_out(shop_once: Callable[..., Platform]) -> LeftOut:
    platform = shop_once("""
        CREATE TABLE tmp_1 (id integer); CREATE TABLE tmp_2 (id integer); CREATE TABLE temporal (id integer);
        CREATE TABLE "what?" (id integer); CREATE TABLE "a[1]" (id integer); CREATE TABLE "Ord" (i int);
        CREATE VIEW names AS SELECT name FROM customers;
        CREATE TABLE visits (id integer, year integer) PARTITION BY LIST (year);
        CREATE TABLE visits_old PARTITION OF visits DEFAULT PARTITION BY RANGE (year);
        CREATE TABLE "Visits ""_2015" PARTITION OF visits_old FOR VALUES FROM (2015) TO (2016);
        CREATE TABLE visits_2016 PARTITION OF visits_old FOR VALUES FROM (2016) TO (2017);
        CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES IN (2025);
        INSERT INTO visits VALUES (1, 2015), (2, 2016), (3, 2025);
        CREATE VIEW visitors AS SELECT id FROM visits
    """)
    with catching_logs(LogCaptureHandler()) as captured:
        done = platform.migrate(exclude_tables=EXCLUDED)
    assert done.success, done.failures
    return LeftOut(platform, done, [record.getMessage() for record in captured.records])


def test_exclude_tables_by_pattern(left_out: LeftOut) -> None:
    """Names that look like patterns are names."""
    tables = (
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY 1"
    )
    arrived = left_out.platform.target.psql(tables).split()
    assert arrived == ["orders", "temporal", "visits", "visits_2016", "visits_2025", "visits_old"]
    assert set(left_out.run.passed) == {f"public/{name}" for name in arrived}
    assert left_out.platform.target.psql(FOREIGN_KEYS) == ""
    assert left_out.warnings == []


def test_excluding_a_partition(left_out: LeftOut) -> None:
    shop = left_out.platform
    assert shop.target.psql("SELECT count(*) FROM visitors") == "2"
    shop.target.psql("DELETE FROM visits_2016")
    compared = shop.validate(exclude_tables=EXCLUDED)
    assert {asset for asset, passed in compared.passed.items() if not passed} >= {"public/visits"}
    assert compared.passed["public/orders"]


def test_the_summary_names_what_an_excluded_table_took_with_it(left_out: LeftOut) -> None:
    summary = left_out.run.log[-1]
    assert "public.customers" in summary
    assert "orders_customer_fkey" in summary
    assert "names" in summary


@pytest.mark.parametrize("job", ["plan", "preflight", "migrate"])
def test_a_pattern_that_matches_nothing_is_said_first(left_out: LeftOut, job: str) -> None:
    """And nothing of those that match, names that look like patterns among them."""
    shop = left_out.platform
    config = {"exclude_tables": EXCLUDED}
    done = left_out.run if job == "migrate" else shop.run(shop.definitions.resolve_job_def(job), config)
    assert done.success
    told = done.log[-1]
    first = next(line for line in told.splitlines() if NO_SUCH_TABLE in line or "public.orders" in line)
    assert f"exclude_tables: no table matches the pattern '{NO_SUCH_TABLE}'" in first
    assert told.count("no table matches") == 1


@pytest.fixture(scope="module")
def refused(shop_once: Callable[..., Platform]) -> Platform:
    """For runs that end before they write anything."""
    return shop_once()


SUGGESTIONS = {
    "custommers": "public.customers",
    "Customers": "public.customers",
    '"customers"': "public.customers",
    "pubic.orders": "public.orders",
    "other.orders": "public.orders",
    "public.order": "public.orders",
}


def test_names_of_no_table_are_refused(refused: Platform) -> None:
    before = refused.target.dump()
    told = "\n".join(refused.migrate_directly(exclude_tables=["orders", *SUGGESTIONS]).failures)
    for name, suggestion in SUGGESTIONS.items():
        assert f"'{name}' (did you mean {suggestion}" in told
    assert refused.target.dump() == before


def test_a_name_of_no_table_is_refused_by_every_job(refused: Platform) -> None:
    before = refused.target.dump()
    steps = {
        "migrate": "source_schema",
        "plan": "copy_plan",
        "preflight": "preflight_checks",
        "repair": "repair_tables",
    }
    for job, step in steps.items():
        done = refused.run(refused.definitions.resolve_job_def(job), {"exclude_tables": ["orders", "invoices_of_2015"]})
        assert not done.success
        assert "or is none any more: 'invoices_of_2015'." in done.failures[step]
    assert not refused.validate(exclude_tables=["invoices_of_2015"]).success
    assert refused.target.dump() == before


def test_excluding_everything_is_an_error(refused: Platform) -> None:
    (told,) = refused.migrate_directly(exclude_tables=["*"]).failures
    assert "empty or wholly excluded" in told


def test_what_needs_no_table_comes_without_them(shop: Platform) -> None:
    shop.source.psql("CREATE VIEW constants AS SELECT 1 AS one; CREATE TYPE mood AS ENUM ('good', 'bad')")
    assert shop.migrate_directly(exclude_tables=["*"]).succeeded
    assert shop.target.psql("SELECT one, 'good'::mood FROM constants") == "1|good"


@dataclass(frozen=True)
class Again:
    """The target before and after a second run."""

    platform: Platform
    before: str
    after: str


@pytest.fixture(scope="module")
def again(shop_once: Callable[..., Platform]) -> Again:
    """The same run twice; in between somebody added to the target what refers to the source's tables."""
    platform = shop_once("""
        CREATE TABLE above (a integer); CREATE TABLE below () INHERITS (above); INSERT INTO below VALUES (-1);
        ALTER TABLE below ADD CONSTRAINT positive CHECK (a > 0) NOT VALID;
        ALTER TABLE above ADD CONSTRAINT positive CHECK (a > 0) NOT VALID;
    """)
    assert platform.migrate_directly().succeeded
    platform.target.psql("""
        CREATE TABLE invoices (id integer, order_id bigint REFERENCES orders); INSERT INTO invoices VALUES (1, 3);
        CREATE VIEW names AS SELECT id, name FROM customers GROUP BY id
    """)
    before = platform.target.dump(*WITHOUT_BOOKKEEPING)
    assert platform.migrate_directly().failures == ()
    return Again(platform, before, platform.target.dump(*WITHOUT_BOOKKEEPING))


def test_the_same_run_again(again: Again) -> None:
    """Foreign keys and views that are in the target alone stay, and do not stop it."""
    assert again.after == again.before
    assert "invoices_order_id_fkey" in again.after
    assert "VIEW public.names" in again.after
    assert again.platform.target.psql(ORDERS) == again.platform.source.psql(ORDERS)


def test_rows_that_violate_a_constraint_that_is_not_validated_come_again(again: Again) -> None:
    shop = again.platform
    assert again.after == again.before
    shop.instance.add_dynamic_partitions("pk_ranges/public.below", ["all"])
    assert shop.materialize("public/below", partition="all").success
    assert shop.target.dump(*WITHOUT_BOOKKEEPING) == again.before
    assert shop.target.psql("SELECT a FROM below") == "-1"


PERSISTENCE = "SELECT DISTINCT relpersistence FROM pg_class WHERE relnamespace = 'public'::regnamespace"


def test_unlogged_tables_are_logged_in_the_end_and_a_second_run_brings_what_changed(shop: Platform) -> None:
    """The source by a connection string of keys and values, which is as good as a URL."""
    split = urlsplit(shop.source.url)
    assert split.hostname
    shop.set(
        SOURCE_URL=f"host={split.hostname} port={split.port} dbname={split.path[1:]} user={split.username} "
        f"password='{split.password}'"
    )
    assert shop.migrate_directly(use_unlogged_tables=True).succeeded
    assert shop.target.psql(PERSISTENCE) == "p"
    assert shop.target.psql(ORDERS) == shop.source.psql(ORDERS)
    shop.source.psql("DELETE FROM orders WHERE id < 100; UPDATE customers SET name = 'same'; ")
    shop.source.psql("INSERT INTO orders SELECT n, 1, NULL FROM generate_series(9000, 9010) AS n")
    assert shop.migrate_directly().succeeded
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
    found = preflight(shop.migration(drop_existing_tables=True))
    assert not [str(finding) for finding in found if finding.severity is Severity.ERROR]
    assert "would be dropped in the target: view public.names" in "\n".join(map(str, found))
    done = shop.migrate_directly(drop_existing_tables=True)
    assert done.succeeded
    assert shop.target.psql(ORDERS) == shop.source.psql(ORDERS)
    assert shop.target.psql("SELECT id FROM invoices") == "1"
    assert shop.target.psql("SELECT to_regclass('names') IS NULL") == "t"
    assert "dropped in the target: view public.names" in str(done.notes)
    (staying,) = [note for note in done.notes if note.startswith("left alone in the target")]
    assert staying.endswith(": table public.invoices")
    foreign_keys = shop.target.psql("SELECT conname FROM pg_constraint WHERE contype = 'f' ORDER BY 1")
    assert foreign_keys.split() == ["invoices_order_id_fkey", "orders_customer_fkey"]


def test_what_others_do_during_a_run(shop: Platform) -> None:
    """Rows written to the source are no difference; a second run at the same time is refused and names the first."""
    shop.monkeypatch.setattr("pg_migration.postgres.ledger.lock.LEAVING_SECONDS", 0.0)
    added = "INSERT INTO orders SELECT n, 1, NULL FROM generate_series(10001, 10500) AS n"
    second: list[str] = []
    shop.after("source_schema", lambda: shop.source.psql(added))
    shop.after("target_ddl", lambda: second.extend(shop.migrate_directly().failures))
    shop.after("tables", lambda: shop.source.psql("DELETE FROM orders WHERE id < 50"))
    done = shop.migrate()
    assert done.success
    assert done.checks["public/orders"].description == "4,000 rows on both sides"
    assert shop.target.psql("SELECT min(id), max(id) FROM orders") == "1|4000"
    (told,) = second
    assert f"pg_migration run {done.result.run_id}" in told
    assert "start again" in told
    assert shop.target.psql("SELECT pid FROM pg_locks WHERE locktype = 'advisory'") == ""


def test_source_and_target_schema_may_differ_in_one_database(shop: Platform) -> None:
    before = shop.source.dump("--schema=public")
    shop.set(TARGET_URL=shop.source.url, TARGET_SCHEMA="Shop Copy")
    done = shop.migrate()
    assert done.success
    (orders,) = (asset for asset in done.passed if asset.endswith("/orders"))
    assert done.passed[orders]
    assert f"{orders.rpartition('/')[0]}/foreign_keys" in done.assets
    assert shop.source.psql('SELECT * FROM "Shop Copy".orders ORDER BY id') == shop.source.psql(ORDERS)
    assert shop.source.dump("--schema=public") == before
    inserted = "INSERT INTO \"Shop Copy\".customers (name) VALUES ('next') RETURNING id, initial"
    assert shop.source.psql(inserted) == "101|n"


def test_rows_that_row_security_hides_are_not_lost_in_silence(shop: Platform, clerk: Role) -> None:
    shop.source.psql(
        f"GRANT USAGE ON SCHEMA public TO {clerk.name}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {clerk.name};"
        f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {clerk.name};"
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON orders FOR SELECT USING (id < 10)"
    )
    shop.set(SOURCE_URL=clerk.url(shop.source))
    told = "\n".join(shop.migrate_directly().failures)
    assert "row-level security may hide rows" in told
    assert "public.orders" in told
