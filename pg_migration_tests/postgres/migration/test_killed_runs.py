"""What a killed run has set aside comes back with the next one, as the source has it by then."""

import subprocess
import sys
import time

import psycopg2
import pytest

from pg_migration.postgres.migration import Migration, migrate
from pg_migration_tests.conftest import PostgresServer

RUN = """
import sys
from pg_migration.postgres.migration import Migration, Options, migrate
migrate(Migration.between(*sys.argv[1:3], options=Options(workers=1)))
"""
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
    CREATE TABLE held (id integer);
    INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 100) AS n;
    INSERT INTO orders SELECT n, n, date '2024-01-01' FROM generate_series(1, 100) AS n;
    INSERT INTO held SELECT generate_series(1, 10000);
"""
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


@pytest.mark.parametrize("since", SINCE)
def test_what_was_set_aside(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str, since: str
) -> None:
    postgres16.psql(source_db, STRUCTURE)
    assert migrate(Migration.between(source_db, target_db)).succeeded
    postgres18.psql(target_db, "CREATE INDEX of_the_target ON orders (customer)")
    set_aside = kill_during_a_load(source_db, target_db)
    assert {"to_customers", "once", "orders_placed", "named", "positive", "of_the_target"} <= set_aside
    postgres16.psql(source_db, SINCE[since])
    done = migrate(Migration.between(source_db, target_db))
    assert done.failures == ()
    # The target's own index is the only thing that the source does not have.
    postgres16.psql(source_db, "CREATE INDEX of_the_target ON orders (customer)")
    assert postgres18.dump_schema(target_db, "public") == postgres16.dump_schema(source_db, "public")


def kill_during_a_load(source: str, target: str) -> set[str]:
    """Kill a run that waits to load the largest table; the names of what it took away."""
    with psycopg2.connect(target) as blocker, blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE held IN SHARE MODE")
        run = subprocess.Popen([sys.executable, "-c", RUN, source, target])
        try:
            deadline = time.monotonic() + 120
            while not is_waiting(target):
                assert run.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            run.kill()
            run.wait()
        cursor.execute("SELECT name FROM _pg_migration.suspended")
        names = {name for (name,) in cursor}
    blocker.close()
    return names


def is_waiting(target: str) -> bool:
    """Whether a statement of the run waits for the table that is held."""
    connection = psycopg2.connect(target)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'held'::regclass")
            ((waiting,),) = cursor.fetchall()
            return bool(waiting)
    finally:
        connection.close()
