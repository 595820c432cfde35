"""The job ``migrate`` as a user runs it."""

from pg_migration_tests.postgres.transfer.harness import Pair

SHOP = """
CREATE TABLE customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE purchase (id int PRIMARY KEY, customer int REFERENCES customer, total numeric);
INSERT INTO customer (name) SELECT 'c' || i FROM generate_series(1, 100) i;
INSERT INTO purchase SELECT i, i % 100 + 1, i / 7.0 FROM generate_series(1, 1000) i;
"""


def test_migrate(pair: Pair) -> None:
    pair.source.psql(SHOP)
    assert pair.run_job().success
    pair.check_equal()
