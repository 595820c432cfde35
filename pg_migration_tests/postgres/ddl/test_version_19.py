"""What only PostgreSQL 19 has; and that an older target is told so."""

from collections.abc import Iterator, Mapping

import pytest

from pg_migration.postgres.ddl import unsupported
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import (
    PUBLIC,
    Pair,
    assert_arrived,
    assert_same_dump,
    describe,
    migrate,
    pair_of,
)
from pg_migration_tests.postgres.ddl.test_whole_database import NO_SUBSCRIPTIONS
from pg_migration_tests.postgres.ddl.together import verdicts

CASES = {
    "aggregate with a support function": """
        CREATE FUNCTION f(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        CREATE AGGREGATE a(int) (SFUNC = f, STYPE = int, SUPPORT = int8inc_support);
        CREATE AGGREGATE n(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0', SSPACE = -1);
    """,
    "queries": """
        CREATE TABLE t (a int PRIMARY KEY, b int);
        CREATE VIEW v AS SELECT lag(b) IGNORE NULLS OVER (ORDER BY a) AS l,
            first_value(b) RESPECT NULLS OVER (ORDER BY a) AS f, JSON_ARRAY(SELECT a FROM t) AS j FROM t;
        CREATE FUNCTION f() RETURNS SETOF t LANGUAGE sql
            BEGIN ATOMIC INSERT INTO t VALUES (1, 2) ON CONFLICT (a) DO SELECT FOR UPDATE RETURNING *; END;
        CREATE RULE r AS ON UPDATE TO v DO INSTEAD
            INSERT INTO t VALUES (old.l, old.f) ON CONFLICT (a) DO SELECT WHERE t.b > 1 RETURNING a, b, NULL::json;
    """,
    "types": """
        CREATE DOMAIN d AS oid8 CHECK (VALUE > 1::oid8);
        CREATE TYPE r AS RANGE (subtype = oid8);
        CREATE TYPE c AS (a int, b oid8[]);
        CREATE TABLE t (a oid8 PRIMARY KEY, b oid8[], c d, e r, f regdatabase);
        CREATE FUNCTION f(a oid8[], int) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION g() RETURNS SETOF regdatabase LANGUAGE sql AS 'SELECT NULL::regdatabase';
        CREATE AGGREGATE a(oid8) (SFUNC = oid8larger, STYPE = oid8);
    """,
    "checks that are not enforced any more": """
        CREATE TABLE t (a int, CONSTRAINT c CHECK (a > 0), CONSTRAINT e CHECK (a > 1) NOT ENFORCED);
        ALTER TABLE t ALTER CONSTRAINT c NOT ENFORCED;
        ALTER TABLE t ALTER CONSTRAINT e ENFORCED;
    """,
    "virtual columns": """
        CREATE TABLE t (a int, v int GENERATED ALWAYS AS (a * 2) VIRTUAL, CHECK (v > 0));
        ALTER TABLE t ALTER v SET EXPRESSION AS (a * 3);
        CREATE STATISTICS s ON a, v FROM t;
    """,
    "storage parameters": """
        CREATE TABLE t (a int) WITH (autovacuum_parallel_workers = 2, vacuum_truncate = off);
        CREATE MATERIALIZED VIEW m WITH (autovacuum_parallel_workers = 0) AS SELECT a FROM t;
    """,
    "stemmers": """
        CREATE TEXT SEARCH DICTIONARY old (TEMPLATE = snowball, Language = dutch_porter);
        CREATE TEXT SEARCH DICTIONARY pl (TEMPLATE = snowball, Language = polish);
    """,
}


@pytest.fixture(scope="module")
def together(postgres19: PostgresServer) -> Mapping[str, str]:
    """What is wrong with each of CASES."""
    return verdicts(postgres19, postgres19, {case: [ddl] for case, ddl in CASES.items()})


@pytest.mark.parametrize("case", CASES)
def test_dumps_alike(together: Mapping[str, str], case: str) -> None:
    assert not together[case], together[case]


@pytest.fixture
def newest(postgres19: PostgresServer) -> Iterator[Pair]:
    yield from pair_of(postgres19, postgres19)


def test_an_older_target_is_told(newest: Pair) -> None:
    schemas = {f"s{number}": ddl for number, ddl in enumerate(CASES.values())}
    newest.load("".join(f"CREATE SCHEMA {name}; SET search_path = {name}; {ddl};" for name, ddl in schemas.items()))
    catalog = describe(newest.source_url, {name: name for name in schemas})
    assert unsupported(catalog, 190000) == ()
    assert {line.removesuffix(" (PostgreSQL 19)") for line in unsupported(catalog, 180000)} == {
        "aggregate s0.a(integer): support function of an aggregate",
        "view s1.v: IGNORE NULLS of a window function",
        "function s1.f(): ON CONFLICT ... DO SELECT",
        "rule r on s1.v: ON CONFLICT ... DO SELECT",
        "domain s2.d: type oid8 or regdatabase",
        "type s2.r: type oid8 or regdatabase",
        "type s2.c: type oid8 or regdatabase",
        "table s2.t: type oid8 or regdatabase",
        'aggregate s2.a("oid8"): type oid8 or regdatabase',
        'function s2.f("oid8"[], integer): type oid8 or regdatabase',
        "function s2.g(): type oid8 or regdatabase",
        "table s5.t: autovacuum_parallel_workers",
        "materialized view s5.m: autovacuum_parallel_workers",
        "text search dictionary s6.old: Snowball stemmer",
        "text search dictionary s6.pl: Snowball stemmer",
    }


def test_names_of_new_types_are_no_types(newest: Pair) -> None:
    newest.load(
        """
        CREATE TABLE oid8 (oid8 int CHECK (oid8 > 1), regdatabase text DEFAULT '::"oid8"');
        CREATE VIEW v AS SELECT oid8.oid8 AS regdatabase FROM oid8 AS oid8;
        CREATE FUNCTION f(oid8 int, regdatabase int) RETURNS int LANGUAGE sql RETURN oid8 + (SELECT 1 FROM v oid8);
        COMMENT ON TABLE oid8 IS 'a "a" "oid8"';
        """
    )
    assert unsupported(describe(newest.source_url), 180000) == ()


OF_DATABASE = """
    CREATE EXTENSION postgres_fdw;
    CREATE FOREIGN DATA WRAPPER "W" CONNECTION postgres_fdw_connection OPTIONS (x '1');
    CREATE FOREIGN DATA WRAPPER plain;
    CREATE SERVER "S 1" FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'nowhere');
    CREATE USER MAPPING FOR postgres SERVER "S 1" OPTIONS (user 'u', password 'p');
    CREATE SUBSCRIPTION by_server SERVER "S 1" PUBLICATION a, b
        WITH (connect = false, slot_name = NONE, wal_receiver_timeout = '7s', retain_dead_tuples = true,
              max_retention_duration = 5000, origin = none);
    CREATE SUBSCRIPTION by_itself CONNECTION 'host=nowhere' PUBLICATION a WITH (connect = false, slot_name = NONE);
    CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY); CREATE SEQUENCE q;
    CREATE PUBLICATION p_except FOR ALL TABLES EXCEPT (TABLE t, u);
    CREATE PUBLICATION p_sequences FOR ALL SEQUENCES;
    CREATE PUBLICATION p_all FOR ALL TABLES, ALL SEQUENCES;
"""
CHANGES = """
    ALTER FOREIGN DATA WRAPPER "W" NO CONNECTION;
    ALTER FOREIGN DATA WRAPPER plain CONNECTION postgres_fdw_connection;
    ALTER SUBSCRIPTION by_server SET (wal_receiver_timeout = '8s');
    ALTER SUBSCRIPTION by_itself SERVER "S 1";
    ALTER PUBLICATION p_except SET ALL TABLES EXCEPT (TABLE u);
"""


def test_what_belongs_to_a_whole_database(newest: Pair) -> None:
    try:
        newest.load(OF_DATABASE)
        done = assert_arrived(newest, PUBLIC, whole=True)
        assert done.source.notices == ()
        assert {line.removesuffix(" (PostgreSQL 19)") for line in unsupported(done.source, 180000)} == {
            "foreign-data wrapper W: connection function of a foreign-data wrapper",
            "subscription by_server: subscription by way of a server",
            "subscription by_server: setting of a subscription",
            "publication p_except: publication of all sequences, or with exceptions",
            "publication p_sequences: publication of all sequences, or with exceptions",
            "publication p_all: publication of all sequences, or with exceptions",
        }
        newest.load(CHANGES)
        assert migrate(newest, PUBLIC, whole=True).failures == []
        assert_same_dump(newest, (), "--exclude-schema=_pg_migration")
    finally:
        newest.load(NO_SUBSCRIPTIONS)
        newest.prepare(NO_SUBSCRIPTIONS)
