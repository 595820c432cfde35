"""Tables built on the row types of views that group by a key: the view waits for the key, and the key for the table."""

from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_identical

VIEW = """
    CREATE TABLE t (id int PRIMARY KEY, a text);
    CREATE VIEW gv AS SELECT id, a, count(*) AS n FROM t GROUP BY id;
"""
CASES = {
    "column": "CREATE TABLE w (n int, x gv);",
    "several levels": """
        CREATE VIEW g2 AS SELECT gv, n AS m FROM gv;
        CREATE VIEW g3 AS SELECT g2 FROM g2;
        CREATE TABLE w (x g3, y gv[]);
    """,
    "types made of it": """
        CREATE DOMAIN dv AS gv CHECK ((VALUE).n > 0);
        CREATE TYPE cv AS (a gv);
        CREATE TABLE w (n int, x gv[], y dv, z cv);
    """,
    "function that reads it": """
        CREATE FUNCTION f(int) RETURNS bigint IMMUTABLE LANGUAGE sql
            BEGIN ATOMIC SELECT count(*) FROM gv WHERE id > $1; END;
        CREATE TABLE w (a int, b bigint GENERATED ALWAYS AS (f(a)) STORED);
    """,
    "function that returns it": """
        CREATE FUNCTION f() RETURNS SETOF gv LANGUAGE sql AS 'SELECT * FROM gv';
        CREATE VIEW vf AS SELECT * FROM f();
        CREATE TABLE w (x vf);
    """,
    "function that groups by the key": """
        CREATE FUNCTION f(int) RETURNS text IMMUTABLE LANGUAGE sql
            BEGIN ATOMIC SELECT a FROM t WHERE id = $1 GROUP BY id; END;
        CREATE TABLE w (a int, b text GENERATED ALWAYS AS (f(a)) STORED);
    """,
    "function that names the key": """
        CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC
            INSERT INTO t VALUES (1) ON CONFLICT ON CONSTRAINT t_pkey DO NOTHING RETURNING 1; END;
        CREATE TABLE w (a int DEFAULT f());
    """,
    "materialized view": """
        CREATE MATERIALIZED VIEW gm AS SELECT id, a, count(*) AS n FROM t GROUP BY id;
        CREATE TABLE w (x gm);
        CREATE VIEW z AS SELECT gm FROM gm;
        CREATE TABLE w2 (x z);
    """,
    "check, default and index": """
        CREATE FUNCTION f(gv) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true';
        CREATE TABLE w (x gv CHECK (f(x)), y bool DEFAULT f(NULL::gv));
        CREATE INDEX ON w (f(x));
    """,
    "partitions": """
        CREATE TABLE w (n int, x gv) PARTITION BY LIST (n);
        CREATE TABLE w1 PARTITION OF w FOR VALUES IN (1);
    """,
}


def test_dumps_alike(alike: Pair) -> None:
    schemas = {f"{number} {name}": ddl for number, (name, ddl) in enumerate(CASES.items())}
    made = (f'CREATE SCHEMA "{name}"; SET search_path = "{name}"; {VIEW} {ddl}' for name, ddl in schemas.items())
    assert_identical(alike, "".join(made), tuple(schemas))
