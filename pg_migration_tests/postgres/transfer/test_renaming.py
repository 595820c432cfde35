"""Another schema in the target, also within one database: everything lands there, and works."""

from pg_migration_tests.postgres.transfer.harness import Pair

SHOP = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE SEQUENCE numbers START 1000;
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
CREATE TABLE customer (id serial PRIMARY KEY, m mood DEFAULT 'happy', n bigint DEFAULT nextval('numbers'));
CREATE TABLE purchase (id int PRIMARY KEY, customer int REFERENCES customer,
    d int GENERATED ALWAYS AS (twice(id)) STORED, r regclass DEFAULT 'customer');
CREATE INDEX ON purchase (twice(customer));
CREATE VIEW seen AS SELECT c.m, count(*) FROM customer c JOIN purchase p ON p.customer = c.id GROUP BY 1;
INSERT INTO customer SELECT FROM generate_series(1, 100);
INSERT INTO purchase (id, customer) SELECT i, i % 100 + 1 FROM generate_series(1, 3000) i;
"""


def check(pair: Pair) -> None:
    """The target works by itself, when the source's schema is out of reach."""
    pair.check_equal()
    assert pair.target.rows("INSERT INTO customer DEFAULT VALUES RETURNING id, m, n") == [(101, "happy", 1100)]
    assert pair.target.rows("INSERT INTO purchase (id, customer) VALUES (5000, 101) RETURNING d, r::text") == [
        (10000, "customer")
    ]
    assert pair.target.rows("SELECT * FROM seen") == [("happy", 3001)]
    relations = "SELECT count(*) FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)"
    assert pair.target.rows(relations, (pair.target.schema,)) == pair.source.rows(relations, (pair.source.schema,))


def test_another_schema(pair: Pair) -> None:
    pair.source.psql(SHOP)
    pair.target.schema = "Shadow copy"
    assert pair.migrate(partition_threshold=1000, max_partitions=3).succeeded
    check(pair)


def test_another_schema_of_the_same_database(pair: Pair) -> None:
    pair.source.psql(SHOP)
    pair.target.url, pair.target.server = pair.source.url, pair.source.server
    pair.target.schema = "copy"
    for _ in range(2):
        assert pair.migrate(partition_threshold=1000, max_partitions=3).succeeded
        pair.check_equal()
    check(pair)


def test_onto_itself_is_refused(pair: Pair) -> None:
    pair.source.psql(SHOP)
    pair.target.url, pair.target.server = pair.source.url, pair.source.server
    before = pair.source.hashes()
    result = pair.migrate()
    assert not result.succeeded
    assert "source and target are the same database" in "".join(result.failures)
    assert pair.source.hashes() == before
    assert pair.source.rows("SELECT 1 FROM pg_namespace WHERE nspname = '_pg_migration'") == []


def test_several_schemas(pair: Pair) -> None:
    pair.source.psql(
        """CREATE SCHEMA other;
        CREATE TABLE other.region (id int PRIMARY KEY);
        INSERT INTO other.region VALUES (1), (2);
        CREATE TABLE customer (id int PRIMARY KEY, region int REFERENCES other.region);
        INSERT INTO customer VALUES (1, 2);
        """
    )
    pair.schema_lists = ("public,other", "main,second")
    assert pair.migrate().succeeded
    for schema, name in (("public", "main"), ("other", "second")):
        pair.source.schema, pair.target.schema = schema, name
        pair.check_equal()
    assert pair.target.rows("SELECT confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'") == [("region",)]
