"""Migrations to PostgreSQL 19: what it writes or computes otherwise, and what it took away."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pg_migration.postgres import migration as use_cases
from pg_migration.postgres.preflight import Severity
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import pair_of
from pg_migration_tests.postgres.migration.test_use_cases import Shop

WRITTEN_OTHERWISE = """
    CREATE TYPE place AS (at pg_lsn, note text);
    CREATE DOMAIN mark AS pg_lsn;
    CREATE TABLE beats (id int PRIMARY KEY, at pg_lsn DEFAULT '0/18800', seen pg_lsn[], marks mark[], places place[],
                        CHECK (at > '0/1'));
    INSERT INTO beats VALUES (1, '0/18800', '{0/1,NULL,F/2}', '{0/6}', '{"(0/7,a)"}'), (2, NULL, '{}', NULL, '{NULL}');
    CREATE TABLE log (at pg_lsn PRIMARY KEY) PARTITION BY RANGE (at);
    CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('0/1') TO ('1/0');
    INSERT INTO log VALUES ('0/2');
    CREATE INDEX ON beats (id) WHERE at > '0/2';
    CREATE VIEW late AS SELECT * FROM beats WHERE at > '0/3';
    CREATE FUNCTION first() RETURNS pg_lsn LANGUAGE sql RETURN '0/4'::pg_lsn;
    CREATE TABLE houses (id int PRIMARY KEY, t text,
                         words tsvector GENERATED ALWAYS AS (to_tsvector('dutch', t)) STORED);
    INSERT INTO houses VALUES (1, 'huizen lopen');
"""
TAKEN_AWAY = """
    CREATE FUNCTION f() RETURNS int LANGUAGE sql SET escape_string_warning = off AS 'SELECT 1';
    CREATE FUNCTION g() RETURNS int LANGUAGE sql SET standard_conforming_strings = off AS 'SELECT 1';
    CREATE CONVERSION m FOR 'LATIN1' TO 'MULE_INTERNAL' FROM latin1_to_mic;
"""


@pytest.fixture
def shop(postgres18: PostgresServer, postgres19: PostgresServer) -> Iterator[Shop]:
    for pair in pair_of(postgres18, postgres19):
        yield Shop(postgres18, postgres19, pair.source_url, pair.target_url)


def test_what_it_writes_otherwise_is_the_same(shop: Shop) -> None:
    shop.in_source(WRITTEN_OTHERWISE)
    relations = "SELECT relname, oid FROM pg_class WHERE relname IN ('beats', 'log_1', 'late') ORDER BY 1"
    made = set()
    for _ in range(2):
        result = use_cases.migrate(shop.migration())
        assert result.failures == ()
        computed = "public.houses: generated column words: the target's PostgreSQL computes other values"
        assert [note for note in result.notes if "Dutch" not in note] == [computed]
        made.add(shop.in_target(relations))
    assert len(made) == 1
    assert use_cases.compare(shop.migration()) == []
    assert use_cases.validate(shop.migration()).failures == ()


def test_preflight_names_what_it_took_away(shop: Shop) -> None:
    shop.in_source(WRITTEN_OTHERWISE + TAKEN_AWAY)
    found = {s: [str(f) for f in use_cases.preflight(shop.migration()) if f.severity is s] for s in Severity}
    told = "\n".join(found[Severity.ERROR])
    for function, setting in (("f()", "escape_string_warning"), ("g()", "standard_conforming_strings as off")):
        assert f"function public.{function}: {setting}" in told
    assert "conversion public.m: MULE_INTERNAL" in told
    assert len(found[Severity.ERROR]) == 2
    (dutch,) = found[Severity.WARNING]
    assert "these lean on: table public.houses." in dutch


def test_settings_of_the_database_that_it_does_not_take(shop: Shop) -> None:
    name = shop.urls[0].rpartition("/")[2]
    gone = ("standard_conforming_strings = off", "escape_string_warning = off")
    kept = ("work_mem = '3MB'", "default_text_search_config = 'pg_catalog.simple'")
    shop.in_source("".join(f"ALTER DATABASE {name} SET {setting};" for setting in (*gone, *kept)))
    shop.in_source(f"ALTER ROLE postgres IN DATABASE {name} SET standard_conforming_strings = on")
    shop.in_source("CREATE TABLE t (a int)")
    result = use_cases.migrate(replace(shop.migration(), source_schemas="*"))
    assert result.failures == ()
    told = sorted(note for note in result.notes if note.startswith("database "))
    names = ("escape_string_warning", "standard_conforming_strings")
    assert told == [f"database {name}, setting {one}: the target's PostgreSQL does not take it" for one in names]
    settings = """
        SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig)
         WHERE d.datname = current_database()
    """
    assert shop.in_target(settings) == "3"


def test_keys_of_64_bits_without_a_sign(postgres19: PostgresServer) -> None:
    for pair in pair_of(postgres19, postgres19):
        shop = Shop(postgres19, postgres19, pair.source_url, pair.target_url)
        shop.in_source(
            """
            CREATE TABLE t (id oid8 PRIMARY KEY, v regdatabase);
            INSERT INTO t SELECT concat(n, '000000000000000')::oid8, 'postgres' FROM generate_series(1, 18000, 9) AS n;
            """
        )
        for _ in range(2):
            assert use_cases.migrate(shop.migration(partition_threshold=500, max_partitions=3)).failures == ()
        assert shop.in_target("SELECT count(*), max(id) FROM t") == "2000|17992000000000000000"
        ranges = shop.in_target("SELECT DISTINCT range_key FROM _pg_migration.chunk").split()
        assert len(ranges) == 3
        (last,) = (key.removesuffix("..") for key in ranges if key.endswith(".."))
        assert int(last) > 2**63
