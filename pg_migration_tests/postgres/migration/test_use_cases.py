"""The library migrates by itself: no Dagster, no environment variables."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from pydantic import ValidationError

from pg_migration.postgres import migration as use_cases
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration import Migration, Options
from pg_migration.postgres.migration import use_cases as steps
from pg_migration.postgres.migration.comparison.verdict import CONTENT, ROW_COUNT
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.preflight import Severity
from pg_migration.postgres.transfer.events import Event
from pg_migration_tests.conftest import PostgresServer

SHOP = """
    CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL);
    CREATE TABLE orders (id bigserial PRIMARY KEY, customer integer REFERENCES customers, placed date);
    CREATE INDEX orders_placed ON orders (placed);
    CREATE MATERIALIZED VIEW per_customer AS SELECT customer, count(*) FROM orders GROUP BY customer;
    INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 100) AS n;
    INSERT INTO orders (customer, placed) SELECT 1 + n % 100, date '2024-01-01' + n % 365
      FROM generate_series(1, 3000) AS n;
    ALTER TABLE orders OWNER TO pg_monitor; GRANT SELECT ON orders TO pg_read_all_stats;
"""
WHOSE = "SELECT pg_get_userbyid(relowner), relacl IS NULL FROM pg_class WHERE relname = 'orders'"
ROWS = "SELECT count(*), sum(id), sum(customer) FROM orders"


class Shop:
    """Two databases, the first one filled."""

    def __init__(self, source: PostgresServer, target: PostgresServer, source_url: str, target_url: str) -> None:
        self.source, self.target, self.urls = source, target, (source_url, target_url)

    def migration(self, **options: object) -> Migration:
        return Migration.between(*self.urls, options=Options.model_validate(options))

    def in_source(self, statement: str) -> str:
        return self.source.psql(self.urls[0], statement).strip()

    def in_target(self, statement: str) -> str:
        return self.target.psql(self.urls[1], statement).strip()


@pytest.fixture
def shop(postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str) -> Shop:
    made = Shop(postgres16, postgres18, source_db, target_db)
    made.in_source(SHOP)
    return made


OTHERS = """
    CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL);
    INSERT INTO customers VALUES (1, 'somebody else')
"""


def errors(shop: Shop) -> list[str]:
    return [str(found) for found in use_cases.preflight(shop.migration()) if found.severity is Severity.ERROR]


def compared(shop: Shop, **options: object) -> set[str]:
    return {difference.identity for difference in use_cases.compare(shop.migration(**options))}


def test_a_migration_is_whole_and_a_second_one_too(shop: Shop) -> None:
    shop.in_target(OTHERS)
    for checks in ({ROW_COUNT, CONTENT}, {ROW_COUNT}):
        result = use_cases.migrate(shop.migration(overwrite_existing_rows=True, check_content=CONTENT in checks))
        assert result.failures == ()
        assert result.succeeded
        assert {check for made in result.outcomes.checks.values() for check in made} == checks
        assert shop.in_target(ROWS) == shop.in_source(ROWS)
        assert shop.in_target("SELECT count(*) FROM customers WHERE name = 'somebody else'") == "0"
        assert shop.in_target(WHOSE) == "pg_monitor|f"
        assert shop.in_target("SELECT count(*) FROM per_customer") == "100"
        assert shop.in_target("SELECT nextval('orders_id_seq')") == "3001"
        assert use_cases.compare(shop.migration()) == []
    told = shop.in_target("SELECT count(*) FROM _pg_migration.run WHERE finished_at IS NOT NULL AND succeeded")
    assert told == "2"


def test_nothing_is_written_by_looking(shop: Shop) -> None:
    before = shop.target.dump_schema(shop.urls[1])
    assert not errors(shop)
    forecast = use_cases.plan(shop.migration(workers=1))
    assert (forecast.rows, forecast.workers) == (3100, 1)
    lacking = compared(shop, exclude_tables=["customers"])
    assert "table public.customers" not in lacking
    whose = {'owner of table "public"."orders"', 'privileges of table "public"."orders"'}
    assert lacking > {"table public.orders", *whose}
    assert not compared(shop, owners=False, privileges=False) & whose
    assert shop.target.dump_schema(shop.urls[1]) == before


def test_rows_of_others_are_left_alone(shop: Shop) -> None:
    shop.in_target(OTHERS)
    (told,) = errors(shop)
    assert "customers" in told
    refused = use_cases.migrate(shop.migration())
    assert not refused.succeeded
    assert shop.in_target("SELECT name FROM customers") == "somebody else"


def test_nothing_is_built_on_rows_that_are_not_the_sources(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the job, whose steps wait for the checks of the tables."""
    copy = steps.copy_tables

    def copy_and_lose(run: MigrationRun) -> Iterator[Event]:
        yield from copy(run)
        shop.in_target("DELETE FROM orders WHERE id = 7")

    monkeypatch.setattr(steps, "copy_tables", copy_and_lose)
    failed = use_cases.migrate(shop.migration())
    (failure,) = failed.failures
    assert re.fullmatch(
        r"public.orders: ([\d,]+) rows in the source, ([\d,]+) in the target, 1 row differs. "
        r"Next: pg_migration repair public.orders",
        failure,
    )
    assert shop.in_target("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == "0"


def test_what_changed_is_found_and_repaired(shop: Shop) -> None:
    """A difference that another version may make is noted and no failure; what is missing is one.

    As by the check ``structure`` of the job, which warns of the first.
    """
    migration = shop.migration(owners=False, privileges=False)
    assert use_cases.migrate(migration).succeeded
    assert shop.in_target(WHOSE) == "postgres|t"
    assert shop.in_target("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == "1"
    shop.in_target("UPDATE orders SET customer = 1 WHERE id = 7; DROP INDEX orders_placed")
    rows, structure = use_cases.validate(migration).failures
    assert rows.startswith("public.orders: 1 row differs; the source did not change since the copy of 20")
    assert rows.endswith(", so the target did. Next: pg_migration repair public.orders")
    assert "orders_placed" in structure
    repaired = use_cases.repair(migration, ["orders"])
    assert repaired.failures == ()
    assert shop.in_target(ROWS) == shop.in_source(ROWS)

    shop.in_target("ALTER TABLE orders SET (fillfactor = 50)")
    found = use_cases.validate(migration)
    assert found.failures == ()
    assert any("fillfactor" in note for note in found.notes)


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="exclude_table\n"):
        Options.model_validate({"exclude_table": ["sessions"]})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Options(content_sample_percent=150), "content_sample_percent is 150"),
        (lambda: Options(workers=0, chunk_size=0), "chunk_size is 0, but must be at least 1; workers is 0"),
        (lambda: Options(owners="perhaps"), "owners is 'perhaps'"),
        (lambda: Options(spread_over=-1), "spread_over is -1"),
    ],
)
def test_options_out_of_range_make_no_migration(make: Callable[[], Options], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Migration.between("postgresql://a/b", "postgresql://c/d", options=make())


def test_schemas_that_do_not_pair_up_make_no_migration() -> None:
    with pytest.raises(ConfigurationError, match="must pair up"):
        Migration.between("postgresql://a/b", "postgresql://c/d", "one, two", "three")


def test_dagster_is_not_imported() -> None:
    program = "import sys, pg_migration.postgres.migration; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
