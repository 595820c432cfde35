"""Schemas in which everything is called like what our own statements mean, and casts: nothing of it is ever reached."""

import re

import psycopg2
import pytest

from pg_migration.postgres.migration import plan, preflight, repair
from pg_migration.postgres.preflight import Severity
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.hostile import PACKAGE, lay_cast_traps, lay_traps, words
from pg_migration_tests.orchestration.harness import Platform

# Tables called like types and catalogs, keys of every kind, a type whose casts are traps, and a check that leaves
# temporary tables in the session that writes rows; names that have to be the
# system's are qualified, as an application that lives in such a schema has to.
APPLICATION = """
SET search_path = pg_catalog, pg_temp;
CREATE SCHEMA shop;
CREATE TABLE shop.text (old_id serial PRIMARY KEY, old_text bytea, old_flags text[]);
INSERT INTO shop.text (old_text, old_flags)
SELECT decode(repeat(md5(format('%s', n)), 3), 'hex'), ARRAY['a', NULL, 'NULL'] FROM generate_series(1, 400) n;
CREATE TABLE shop.int4 (int4 uuid PRIMARY KEY, record int8, "count" int);
INSERT INTO shop.int4 SELECT md5(format('%s', n))::uuid, n, n FROM generate_series(1, 400) n;
CREATE TABLE shop.pg_class (oid numeric PRIMARY KEY, relname name, "array" int[]);
INSERT INTO shop.pg_class SELECT n / 7.0, 'x', ARRAY[n] FROM generate_series(1, 400) n;
CREATE TABLE shop.name (name text COLLATE "C" PRIMARY KEY, regclass regclass, note text);
INSERT INTO shop.name SELECT format('k\\%s''', n), 'shop.text', 'x' FROM generate_series(1, 120) n;
CREATE TYPE shop.mood AS ENUM ('sad', 'glad');
CREATE TYPE shop.pair AS (a int, b text);
CREATE DOMAIN shop.json AS bigint CHECK (value > 0);
CREATE TABLE shop.oid (mood shop.mood, pair shop.pair, "date" date, PRIMARY KEY (mood, pair, "date"));
INSERT INTO shop.oid SELECT 'glad', ROW(n, 'x'::text)::shop.pair, date '2024-01-01' + n FROM generate_series(1, 150) n;
CREATE TABLE shop.pg_namespace (json shop.json PRIMARY KEY, day timestamptz DEFAULT now(), xmin_ text);
INSERT INTO shop.pg_namespace SELECT n FROM generate_series(1, 400) n;
CREATE TABLE shop.pg_type (id bigint, mood shop.mood, v text, PRIMARY KEY (id, mood)) PARTITION BY HASH (mood);
CREATE TABLE shop.pg_type_0 PARTITION OF shop.pg_type FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE shop.pg_type_1 PARTITION OF shop.pg_type FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO shop.pg_type
SELECT n, CASE n % 2 WHEN 0 THEN 'sad' ELSE 'glad' END::shop.mood FROM generate_series(1, 99) n;
CREATE FUNCTION shop.left_behind() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMP TABLE IF NOT EXISTS pg_class (caught int);
    CREATE TEMP TABLE IF NOT EXISTS pg_namespace (caught int);
    CREATE TEMP TABLE IF NOT EXISTS pg_attribute (caught int);
    CREATE TEMP TABLE IF NOT EXISTS pg_locks (caught int);
    CREATE TEMP TABLE IF NOT EXISTS text (caught int);
    CREATE TEMP TABLE IF NOT EXISTS oid (caught int);
    CREATE TEMP TABLE IF NOT EXISTS int8 (caught int);
    CREATE TEMP TABLE IF NOT EXISTS regclass (caught int);
    RETURN true;
END $$;
CREATE TABLE shop.bool (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent int REFERENCES shop.bool, a text, b text,
    ab text GENERATED ALWAYS AS (a || b) STORED, CHECK (num_nonnulls(a, b) > 0), CHECK (length(a) < 50),
    CHECK (shop.left_behind()));
INSERT INTO shop.bool (a) SELECT format('%s', n) FROM generate_series(1, 60) n;
UPDATE shop.bool SET parent = 1;
CREATE INDEX ON shop.bool (lower(a)) WHERE a <> '';
CREATE INDEX ON shop.bool (num_nonnulls(a, b));
CREATE VIEW shop.pg_stat_activity AS SELECT count(*), max(a), concat_ws(',', 'a', 'b') AS ab FROM shop.bool;
CREATE MATERIALIZED VIEW shop.pg_stats AS SELECT id, format('%s', a) AS a FROM shop.bool;
ANALYZE;
CREATE FUNCTION shop.caught_mood(shop.mood) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'caught: a cast was reached'; END $$;
CREATE FUNCTION shop.caught_mood_number(shop.mood) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'caught: a cast was reached'; END $$;
CREATE FUNCTION shop.caught_pair(shop.pair) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'caught: a cast was reached'; END $$;
CREATE CAST (shop.mood AS text) WITH FUNCTION shop.caught_mood(shop.mood) AS IMPLICIT;
CREATE CAST (shop.mood AS int) WITH FUNCTION shop.caught_mood_number(shop.mood) AS IMPLICIT;
CREATE CAST (shop.pair AS text) WITH FUNCTION shop.caught_pair(shop.pair) AS IMPLICIT;
SELECT lo_from_bytea(70001, 'a large object');
"""
# Whose statements run with the schema on the path.
OVER_ROWS = [PACKAGE / "postgres" / part for part in ("planning", "transfer", "verification", "ddl/changes")]
# Part of another query.
EXPRESSIONS = PACKAGE / "postgres" / "statistics" / "expressions.sql"
# What stands in the places of queries that are put together.
FILLED = {
    "status": "s.wal_status",
    "inactive": "NULL::pg_catalog.float8",
    "failover": "false",
    "awaited": "NULL::pg_catalog.text[]",
    "statistics": "pg_catalog.to_jsonb(t)",
    "joined": "LEFT JOIN pg_catalog.pg_stat_subscription_stats t ON t.subid = s.oid",
    "chosen": "true",
    "hashed": "true",
    "sizes": "(SELECT NULL::oid AS oid, NULL::bigint AS size)",
    **dict.fromkeys(("oids", "lengths"), "'{}'"),
    **dict.fromkeys(("part", "objects", "bytes", "limit"), "1"),
    **dict.fromkeys(("frozen", "ranges", "alike"), ""),
    "tuples": "c.reltuples",
    "inherited": "false",
    "inside": (PACKAGE / "postgres/swap/inside.sql").read_text(encoding="utf-8").replace("%(schemas)s", "NULL"),
    "expressions": f", ('exprs', {EXPRESSIONS.read_text(encoding='utf-8')})",
}
CUT = {"partition_threshold": 300, "max_partitions": 3, "chunk_size": 50, "workers": 2}


@pytest.fixture
def trapped(platform: Platform) -> Platform:
    """An application among traps; the schemas that sessions of both databases look in first are traps, and casts."""
    platform.source.psql(APPLICATION)
    lay_traps(platform.source.server, platform.source.url, "shop", words(*OVER_ROWS))
    for end in (platform.source, platform.target):
        lay_traps(end.server, end.url, "public")
        lay_traps(end.server, end.url, "postgres")  # as the role is called
        end.psql(
            "DO $$ BEGIN EXECUTE pg_catalog.format('ALTER DATABASE %I SET search_path = postgres, public, pg_catalog', "
            "pg_catalog.current_database()); END $$"
        )
        lay_cast_traps(end.server, end.url)
    platform.set(SOURCE_SCHEMA="shop")
    return platform


def test_everything_goes_well_among_traps(trapped: Platform) -> None:
    assert not [found for found in preflight(trapped.migration()) if found.severity is Severity.ERROR]
    assert plan(trapped.migration(**CUT)).tables
    tables = {"text", "int4", "pg_class", "name", "oid", "pg_namespace", "pg_type", "pg_type_0", "pg_type_1", "bool"}
    assets = trapped.definitions.resolve_asset_graph().materializable_asset_keys
    assert {key.path[-1] for key in assets if key.path[0] == "shop"} == {*tables, "foreign_keys"}
    done = trapped.migrate_directly(**CUT)
    assert done.failures == ()
    assert trapped.target.psql("SELECT pg_catalog.lo_get(70001)") == r"\x61206c61726765206f626a656374"
    assert set(done.outcomes.checks) == {("shop", table) for table in tables}
    assert all(passed for checks in done.outcomes.checks.values() for passed in checks.values())
    trapped.target.psql(
        "SET search_path = pg_catalog; DELETE FROM shop.text WHERE old_id = 7; UPDATE shop.name SET note = 'y' "
        "WHERE name = E'k\\\\7'''; DELETE FROM shop.oid WHERE \"date\" = '2024-02-01';"
    )
    found = trapped.validate(**CUT)
    failed = {asset for (asset, check), result in found.every_check.items() if check == "content" and not result.passed}
    assert failed == {"shop/text", "shop/name", "shop/oid"}
    assert "note" in str(found.every_check["shop/name", "content"].metadata["first_differences"].value)
    assert repair(trapped.migration(**CUT)).failures == ()
    again = trapped.migrate_directly(content_sample_percent=50.0, **CUT)
    assert again.failures == ()
    assert not re.search("defined otherwise|means something else|missing in the", "\n".join(again.notes))


def test_no_query_would_call_a_cast_of_users(postgres16: PostgresServer, source_db: str) -> None:
    """As the server reads each query, whatever its rows; its own functions in SQL (text || anything) count, too."""
    lay_cast_traps(postgres16, source_db)
    connection = psycopg2.connect(source_db)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT oid::int FROM pg_proc WHERE pronamespace = 'lurking'::regnamespace")
            traps = {oid for (oid,) in cursor}
            cursor.execute(
                "SELECT oid::int FROM pg_proc WHERE proname IN ('textanycat', 'anytextcat') OR proname "
                "IN ('quote_literal', 'quote_nullable') AND proargtypes[0] = 'anyelement'::regtype"
            )
            traps.update(oid for (oid,) in cursor)
            cursor.execute("SET search_path = pg_catalog; SET client_min_messages = log; SET debug_print_parse = on")
            read = {}
            for path in sorted(PACKAGE.rglob("postgres/**/*.sql")):
                text = path.read_text(encoding="utf-8")
                if path == EXPRESSIONS or "CREATE " in re.sub("--.*|'[^']*'", "", text) or " _pg_migration." in text:
                    continue
                if "%(" in text or "%s::" in text:
                    text = re.sub(r"%(\(\w+\))?s", "NULL", text.replace("%%s", "%%")).replace("%%", "%")
                while re.search(r"\{\w+\}", text):
                    text = re.sub(r"\{(\w+)\}", lambda place: FILLED[place[1]], text)
                connection.notices.clear()
                cursor.execute(f"PREPARE query AS {text}; DEALLOCATE query".replace("%", "%%"), ())
                tree = "".join(connection.notices)
                read[path.name] = traps & {int(oid) for oid in re.findall(r"funcid\s+(\d+)", tree)}
    finally:
        connection.close()
    assert len(read) > 50
    assert {name for name, found in read.items() if found} == set()
