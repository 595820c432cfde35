"""A Dagster instance over two fresh databases."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pg_migration.orchestration.location import code_location
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.harness import Database, Platform, Role

# Two tables, the second of which refers to the first.
SHOP = """
CREATE TABLE customers (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name varchar(40) NOT NULL,
    balance numeric(12, 2) DEFAULT 0,
    initial text GENERATED ALWAYS AS (left(name, 1)) STORED
);
COMMENT ON TABLE customers IS 'Who buys';
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer integer NOT NULL REFERENCES customers,
    placed date
);
CREATE INDEX orders_placed ON orders (placed);
INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 100) AS n;
INSERT INTO orders SELECT n, 1 + n % 100, date '2024-01-01' + n % 365 FROM generate_series(1, 4000) AS n;
ANALYZE;
"""


def serve(source: Database, target: Database, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Platform]:
    """Dagster over two databases, for as long as the fixture that yields from this lives."""
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("PG_MIGRATION_REPORTS", "off")  # pictures take half a second: only tests of reports make them
    with dg.DagsterInstance.ephemeral() as instance:
        made = Platform(source, target, instance, monkeypatch)
        made.set(SOURCE_URL=source.url, TARGET_URL=target.url, SOURCE_SCHEMA=None, TARGET_SCHEMA=None)
        yield made
    code_location.load.cache_clear()


@pytest.fixture
def platform(
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    source_db: str,
    target_db: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Platform]:
    """From an empty database on PostgreSQL 16 to one on PostgreSQL 18."""
    yield from serve(Database(postgres16, source_db), Database(postgres18, target_db), monkeypatch, tmp_path)


@pytest.fixture
def shop(platform: Platform) -> Platform:
    """As `platform`, with two small tables in the source."""
    platform.source.psql(SHOP)
    return platform


@pytest.fixture
def clerk(platform: Platform) -> Iterator[Role]:
    """A role without rights, on both servers."""
    role = Role("clerk", "s/e same")
    ends = (platform.source, platform.target)
    for end in ends:
        end.psql(f"CREATE ROLE {role.name} LOGIN PASSWORD '{role.password}'")
    yield role
    for end in ends:
        end.psql(f"DROP OWNED BY {role.name} CASCADE; DROP ROLE {role.name}")
