"""What a killed run has set aside comes back with the next one, as the source has it by then."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg2
import pytest

from pg_migration.postgres.migration import Migration, migrate
from pg_migration_tests.conftest import PostgresServer

RUN = """
import sys
from pg_migration.postgres.migration import Migration, Options, migrate
migrate(Migration.between(*sys.argv[1:3], schemas=sys.argv[3], options=Options(workers=1)))
"""
# Of each case, in a schema of its own.
STRUCTURE = """
    CREATE TABLE customers (id integer PRIMARY KEY, name text);
    ALTER TABLE customers ADD CONSTRAINT named CHECK (name <> '') NOT VALID;
    CREATE TABLE orders (id integer PRIMARY KEY, customer integer, placed date,
        CONSTRAINT to_customers FOREIGN KEY (customer) REFERENCES customers,
        CONSTRAINT once UNIQUE (customer, placed));
    CREATE INDEX orders_placed ON orders (placed);
    CREATE DOMAIN counted AS integer;
    CREATE TABLE counters (c counted);
    INSERT INTO counters VALUES (-1);
    ALTER DOMAIN counted ADD CONSTRAINT positive CHECK (value > 0) NOT VALID;
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.placed := NULL; RETURN NEW; END';
    INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 100) AS n;
    INSERT INTO orders SELECT n, n, date '2024-01-01' FROM generate_series(1, 100) AS n;
    CREATE TRIGGER touch BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touch();
"""
# The largest table, which comes first.
HELD = "CREATE TABLE changed.held (id integer); INSERT INTO changed.held SELECT generate_series(1, 10000);"
SINCE = {
    "nothing": "SELECT 1",
    "dropped": """
        ALTER TABLE orders DROP CONSTRAINT to_customers;
        ALTER TABLE orders DROP CONSTRAINT once;
        ALTER TABLE customers DROP CONSTRAINT named;
        DROP INDEX orders_placed;
        ALTER DOMAIN counted DROP CONSTRAINT positive;
    """,
    "changed": """
        ALTER TABLE orders DROP CONSTRAINT to_customers, DROP CONSTRAINT once;
        ALTER TABLE orders ADD CONSTRAINT to_customers FOREIGN KEY (customer) REFERENCES customers ON DELETE CASCADE,
            ADD CONSTRAINT once UNIQUE (placed, customer);
        ALTER TABLE customers DROP CONSTRAINT named, ADD CONSTRAINT named CHECK (name <> 'nobody') NOT VALID;
        DROP INDEX orders_placed;
        CREATE INDEX orders_placed ON orders (placed DESC);
        ALTER DOMAIN counted DROP CONSTRAINT positive;
        ALTER DOMAIN counted ADD CONSTRAINT positive CHECK (value > 1) NOT VALID;
    """,
}
OF_THE_TARGET = """
    CREATE TABLE public.target_only (id integer CONSTRAINT to_orders REFERENCES nothing.orders);
    INSERT INTO public.target_only VALUES (7);
"""
ROWS = "SELECT * FROM customers ORDER BY id; SELECT * FROM orders ORDER BY id"


def in_each_schema(ddl: Mapping[str, str]) -> str:
    return "".join(f"SET search_path = {schema}; {text};" for schema, text in ddl.items())


@dataclass(frozen=True)
class Ends:
    """Two databases between which everything was migrated, by a run that was killed and by one that was not."""

    source: str
    target: str
    set_aside: frozenset[tuple[str, str]]  # by schema and name, when it was killed


@pytest.fixture(scope="module")
def ends(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Ends]:
    source, target = postgres16.create_database(), postgres18.create_database()
    schemas = "".join(f"CREATE SCHEMA {schema};" for schema in SINCE)
    postgres16.psql(source, schemas + in_each_schema(dict.fromkeys(SINCE, STRUCTURE)) + HELD)
    migration = Migration.between(source, target, schemas=",".join(SINCE))
    assert migrate(migration).succeeded
    own_index = "CREATE INDEX of_the_target ON orders (customer)"
    postgres18.psql(target, in_each_schema(dict.fromkeys(SINCE, own_index)) + OF_THE_TARGET)
    set_aside = kill_during_a_load(source, target)
    postgres16.psql(source, in_each_schema(SINCE))
    assert migrate(migration).failures == ()
    # The target's own index is the only thing of these schemas that the source does not have.
    postgres16.psql(source, in_each_schema(dict.fromkeys(SINCE, own_index)))
    yield Ends(source, target, frozenset(set_aside))
    postgres16.drop_database(source)
    postgres18.drop_database(target)


@pytest.mark.parametrize("since", SINCE)
def test_what_was_set_aside(postgres16: PostgresServer, postgres18: PostgresServer, ends: Ends, since: str) -> None:
    aside = {name for schema, name in ends.set_aside if schema == since}
    assert {"to_customers", "once", "orders_placed", "named", "positive", "of_the_target", "touch"} <= aside
    assert postgres18.dump_schema(ends.target, since) == postgres16.dump_schema(ends.source, since)
    query = f"SET search_path = {since}; {ROWS}"
    assert postgres18.psql(ends.target, query) == postgres16.psql(ends.source, query)


def test_what_refers_to_a_table_that_was_loaded(postgres18: PostgresServer, ends: Ends) -> None:
    assert ("public", "to_orders") in ends.set_aside
    statement = "SELECT convalidated FROM pg_constraint WHERE conname = 'to_orders'"
    assert postgres18.psql(ends.target, statement).strip() == "t"
    assert postgres18.psql(ends.target, "SELECT id FROM target_only").strip() == "7"


@pytest.mark.parametrize("key", ["PRIMARY KEY", "UNIQUE"])
def test_an_index_that_did_not_become_a_key_yet(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str, key: str
) -> None:
    """It is built anew, and nobody is told that the source does not have it."""
    postgres16.psql(source_db, f"CREATE TABLE t (id integer CONSTRAINT once {key}); INSERT INTO t VALUES (1)")
    migration = Migration.between(source_db, target_db)
    assert migrate(migration).succeeded
    postgres18.psql(target_db, "ALTER TABLE t DROP CONSTRAINT once; CREATE UNIQUE INDEX once ON t (id)")
    result = migrate(migration)
    assert (result.failures, result.notes) == ((), ())
    assert postgres18.dump_schema(target_db, "public") == postgres16.dump_schema(source_db, "public")


def kill_during_a_load(source: str, target: str) -> set[tuple[str, str]]:
    """Kill a run that waits to load the largest table; schemas and names of what it took away."""
    with psycopg2.connect(target) as blocker, blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE changed.held IN SHARE MODE")
        run = subprocess.Popen([sys.executable, "-c", RUN, source, target, ",".join(SINCE)])
        try:
            deadline = time.monotonic() + 120
            while not is_waiting(target):
                assert run.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            run.kill()
            run.wait()
        cursor.execute("SELECT schema_name, name FROM _pg_migration.suspended")
        names = {(schema, name) for schema, name in cursor}
    blocker.close()
    return names


def is_waiting(target: str) -> bool:
    """Whether a statement of the run waits for the table that is held."""
    connection = psycopg2.connect(target)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'changed.held'::regclass")
            ((waiting,),) = cursor.fetchall()
            return bool(waiting)
    finally:
        connection.close()
