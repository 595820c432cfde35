"""A migration of a whole database: pg_dump of all of it is the same text on both sides, after changes too."""

import difflib
from collections.abc import Iterator

import pytest

from pg_migration.postgres.catalog import discover
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.ddl import unsupported
from pg_migration_tests.postgres.ddl.conftest import UPGRADE_FIRST, ends
from pg_migration_tests.postgres.ddl.round_trip import PUBLIC, Pair, assert_arrived, assert_same_dump, migrate, pair_of

SECRET = "sesame"
TABLES = """
    CREATE SCHEMA "Odd ""schema";
    CREATE TABLE t (id int PRIMARY KEY, a int, b text);
    CREATE TABLE u (id int PRIMARY KEY, a int);
    CREATE TABLE "Odd ""schema"."T%s" (id int PRIMARY KEY, a int);
"""
REPLICATION = f"""
    CREATE PUBLICATION p_tables FOR TABLE t (id, b) WHERE (a > 1 OR id = 3), u
        WITH (publish = 'insert, update', publish_via_partition_root = true);
    COMMENT ON PUBLICATION p_tables IS 'it''s';
    CREATE PUBLICATION "p ""odd" FOR TABLES IN SCHEMA public, "Odd ""schema";
    CREATE PUBLICATION p_all FOR ALL TABLES WITH (publish = 'truncate');
    CREATE PUBLICATION p_none WITH (publish = '');
    CREATE SUBSCRIPTION s CONNECTION 'host=nowhere password={SECRET}' PUBLICATION a, "B b"
        WITH (connect = false, slot_name = 'sl', binary = true, synchronous_commit = 'local');
    CREATE SUBSCRIPTION "S 2" CONNECTION 'host=nowhere' PUBLICATION a WITH (connect = false, slot_name = NONE);
    COMMENT ON SUBSCRIPTION "S 2" IS 'later';
"""
EVENT_TRIGGERS = """
    CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER e1 ON ddl_command_end EXECUTE FUNCTION et();
    CREATE EVENT TRIGGER "E 2" ON ddl_command_start WHEN TAG IN ('DROP TABLE', 'CREATE TABLE') EXECUTE FUNCTION et();
    ALTER EVENT TRIGGER "E 2" DISABLE;
    CREATE EVENT TRIGGER e3 ON sql_drop EXECUTE FUNCTION et();
    ALTER EVENT TRIGGER e3 ENABLE ALWAYS;
    COMMENT ON EVENT TRIGGER e3 IS 'x';
"""
CHANGES = """
    ALTER PUBLICATION p_tables SET (publish = 'delete');
    ALTER PUBLICATION p_tables DROP TABLE u;
    ALTER PUBLICATION p_tables SET TABLE t (id, a);
    ALTER PUBLICATION "p ""odd" DROP TABLES IN SCHEMA public;
    DROP PUBLICATION p_none;
    ALTER SUBSCRIPTION s SET PUBLICATION c WITH (refresh = false);
    ALTER SUBSCRIPTION "S 2" CONNECTION 'host=elsewhere';
    DROP EVENT TRIGGER e1;
    ALTER EVENT TRIGGER "E 2" ENABLE REPLICA;
"""
OF_DATABASE = r"""
    CREATE CAST (timestamptz AS interval) WITH FUNCTION age(timestamptz);
    CREATE CAST (text AS int4) WITH INOUT AS ASSIGNMENT;
    COMMENT ON CAST (text AS int4) IS 'cast';
    CREATE LANGUAGE other HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler VALIDATOR plpgsql_validator;
    CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
    COMMENT ON ACCESS METHOD heap2 IS 'am';
    GRANT SELECT (rolname, rolsuper) ON pg_authid TO PUBLIC;
    GRANT SELECT ON pg_statistic TO pg_monitor WITH GRANT OPTION;
    REVOKE EXECUTE ON FUNCTION pg_sleep FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION pg_read_file(text) TO pg_monitor;
    REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
    REVOKE USAGE ON TYPE money FROM PUBLIC;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
    ALTER DEFAULT PRIVILEGES FOR ROLE pg_monitor REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
\set db :DBNAME
    ALTER DATABASE :"db" SET work_mem = '77MB';
    ALTER DATABASE :"db" SET search_path = app, "Odd, name", public;
    ALTER DATABASE :"db" SET app.tenant = 'it''s';
    ALTER ROLE postgres IN DATABASE :"db" SET work_mem = '7MB';
    GRANT CREATE, TEMPORARY ON DATABASE :"db" TO pg_monitor WITH GRANT OPTION;
    REVOKE CONNECT ON DATABASE :"db" FROM PUBLIC;
    ALTER DATABASE :"db" CONNECTION LIMIT 70;
    COMMENT ON DATABASE :"db" IS 'it''s';
    ALTER DATABASE :"db" OWNER TO pg_read_all_data;
"""
OF_DATABASE_CHANGES = r"""
\set db :DBNAME
    ALTER DATABASE :"db" SET work_mem = '78MB';
    ALTER DATABASE :"db" RESET app.tenant;
    ALTER ROLE postgres IN DATABASE :"db" RESET work_mem;
    GRANT CONNECT ON DATABASE :"db" TO PUBLIC;
    REVOKE CREATE ON DATABASE :"db" FROM pg_monitor;
    ALTER DATABASE :"db" CONNECTION LIMIT -1;
    COMMENT ON DATABASE :"db" IS 'other';
    DROP CAST (text AS int4);
    GRANT EXECUTE ON FUNCTION pg_sleep TO PUBLIC;
    REVOKE SELECT ON pg_statistic FROM pg_monitor;
    GRANT SELECT ON pg_statistic TO PUBLIC;
"""
# A database with a subscription can't be dropped.
NO_SUBSCRIPTIONS = r"""
    SELECT statement FROM pg_subscription AS s
     CROSS JOIN LATERAL unnest(ARRAY[format('ALTER SUBSCRIPTION %1$I DISABLE', subname),
                                     format('ALTER SUBSCRIPTION %1$I SET (slot_name = NONE)', subname),
                                     format('DROP SUBSCRIPTION %1$I', subname)]) AS statement
     WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    \gexec
"""
SCHEMAS = {name: name for name in ("public", 'Odd "schema')}


@pytest.fixture(scope="module", params=UPGRADE_FIRST)
def copied(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A pair with everything that belongs to a database and to none of its schemas, in the source."""
    for pair in pair_of(*ends(request)):
        try:
            pair.load(TABLES + REPLICATION + EVENT_TRIGGERS)
            yield pair
        finally:
            pair.load(NO_SUBSCRIPTIONS)
            pair.prepare(NO_SUBSCRIPTIONS)


def test_everything_arrives_and_follows_the_source(copied: Pair) -> None:
    done = assert_arrived(copied, SCHEMAS, whole=True)
    assert done.source.notices == ()
    told = "\n".join(outcome.statement for outcome in done.outcomes)
    assert "CREATE SUBSCRIPTION" in told
    assert SECRET not in told
    assert copied.query("SELECT count(*) FROM pg_subscription WHERE subenabled") == "0"
    copied.prepare("CREATE PUBLICATION own FOR TABLE t; CREATE EVENT TRIGGER own ON sql_drop EXECUTE FUNCTION et()")
    copied.load(CHANGES)
    again = migrate(copied, SCHEMAS, whole=True)
    assert again.failures == []
    assert "DROP PUBLICATION" in " ".join(again.plan.drop)
    # Nobody brought it.
    copied.prepare("DROP PUBLICATION own; DROP EVENT TRIGGER own")
    assert_same_dump(copied, (), "--exclude-schema=_pg_migration")


def test_with_chosen_schemas_comes_what_is_in_them(upgrade: Pair) -> None:
    upgrade.load(TABLES + EVENT_TRIGGERS + "CREATE SCHEMA other; CREATE TABLE other.t (a int);")
    upgrade.load("""
        CREATE PUBLICATION p FOR TABLE t, other.t; CREATE PUBLICATION far FOR TABLE other.t;
        CREATE PUBLICATION every FOR ALL TABLES; CREATE PUBLICATION one FOR TABLES IN SCHEMA public;
    """)
    upgrade.prepare("CREATE PUBLICATION far; CREATE SCHEMA fresh")
    done = migrate(upgrade, {"public": "fresh"})
    assert done.failures == []
    tables = "SELECT concat_ws('.', pubname, schemaname, tablename) FROM pg_publication_tables ORDER BY 1"
    assert upgrade.query(tables).split() == ["one.fresh.t", "one.fresh.u", "p.fresh.t"]
    told = [(notice.kind, notice.name) for notice in done.source.notices]
    assert sorted(told) == [
        ("event trigger", "E 2"),
        ("event trigger", "e1"),
        ("event trigger", "e3"),
        ("publication", "every"),
        ("publication", "far"),
        ("publication", 'p, table "other"."t"'),
    ]
    _, target = upgrade.sessions
    assert fetch(target, "SELECT count(*) FROM pg_catalog.pg_event_trigger") == [(0,)]


def assert_same_database(pair: Pair) -> None:
    """As `assert_same_dump`, with what is said of the databases themselves."""
    left_out = "--exclude-schema=_pg_migration"
    dumps = [
        server.dump_schema(url, None, "--create", left_out).replace(url.rpartition("/")[2], "this_database")
        for server, url in ((pair.source, pair.source_url), (pair.target, pair.target_url))
    ]
    told = difflib.unified_diff(*(dump.splitlines() for dump in dumps), "source", "target", lineterm="", n=2)
    assert not (lines := list(told)), "\n".join(lines)


def test_what_is_said_of_the_database_and_of_what_is_part_of_postgresql(pair: Pair) -> None:
    pair.load(OF_DATABASE)
    try:
        done = assert_arrived(pair, PUBLIC, whole=True)
        assert done.source.notices == ()
        assert_same_database(pair)
        pair.prepare("""SELECT format('ALTER DATABASE %I SET app.own = 1', current_database()) \\gexec""")
        pair.load(OF_DATABASE_CHANGES)
        again = migrate(pair, PUBLIC, whole=True)
        assert again.failures == []
        # Nobody brought it.
        pair.prepare("""SELECT format('ALTER DATABASE %I RESET app.own', current_database()) \\gexec""")
        assert_same_database(pair)
    finally:
        for load in (pair.load, pair.prepare):
            load("GRANT EXECUTE ON FUNCTION pg_sleep TO PUBLIC")


NOT_FOR_THE_TARGET = {
    "SET default_transaction_read_only = on": "setting default_transaction_read_only",
    "SET session_preload_libraries = plpgsql": "setting session_preload_libraries",
    "CONNECTION LIMIT 0": "connection limit",
}


def test_what_would_shut_the_target_stays(upgrade: Pair) -> None:
    name = upgrade.source_url.rpartition("/")[2]
    upgrade.load("CREATE TABLE t (a int);" + "".join(f"ALTER DATABASE {name} {what};" for what in NOT_FOR_THE_TARGET))
    done = migrate(upgrade, PUBLIC, whole=True)
    assert done.failures == []
    told = sorted(notice.name for notice in done.source.notices)
    assert told == sorted(f"{name}, {what}" for what in NOT_FOR_THE_TARGET.values())
    assert upgrade.query("SELECT datconnlimit FROM pg_database WHERE datname = current_database()") == "-1"


def test_a_setting_that_the_target_does_not_know(downgrade: Pair) -> None:
    name = downgrade.source_url.rpartition("/")[2]
    downgrade.load(f"CREATE TABLE t (a int); ALTER DATABASE {name} SET transaction_timeout = 0;")
    done = migrate(downgrade, PUBLIC, whole=True)
    assert done.failures == []
    assert [notice.reason for notice in done.source.notices] == ["the target's PostgreSQL does not take it"]


def test_extensions_that_nothing_uses(complete: Pair) -> None:
    complete.load(
        "CREATE TABLE t (a int); CREATE SCHEMA lib; CREATE EXTENSION hstore SCHEMA lib; CREATE EXTENSION adminpack;"
    )
    complete.load(
        "GRANT EXECUTE ON FUNCTION lib.hstore(text, text) TO pg_monitor; REVOKE USAGE ON TYPE lib.hstore FROM PUBLIC"
    )
    done = assert_arrived(complete, {name: name for name in ("public", "lib")}, whole=True)
    assert done.source.notices == ()


FEATURES = {
    "CREATE PUBLICATION p WITH (publish_via_partition_root = true)": 13,
    "CREATE PUBLICATION p FOR TABLE t WHERE (a > 0)": 15,
    "CREATE PUBLICATION p FOR TABLE t (a)": 15,
    "CREATE PUBLICATION p FOR TABLES IN SCHEMA public": 15,
    "CREATE PUBLICATION p FOR TABLE t WITH (publish_generated_columns = stored)": 18,
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false, streaming = on)": 14,
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false, streaming = off, two_phase = true)": 15,
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false, streaming = parallel)": 16,
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false, streaming = off, failover = true)": 17,
    "CREATE EVENT TRIGGER e ON login EXECUTE FUNCTION et()": 17,
    "CREATE PUBLICATION p FOR TABLE t": 12,
    "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false, streaming = off)": 12,
}


@pytest.mark.longer
def test_what_an_older_target_lacks(newest: Pair) -> None:
    newest.load("CREATE TABLE t (a int PRIMARY KEY);")
    newest.load("CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
    source, _ = newest.sessions
    told = {}
    for statement in FEATURES:
        newest.load(f"{statement};")
        try:
            versions = range(12, 19)
            catalogs = {v: discover(source, PUBLIC, target_version=v * 10000, whole=True) for v in versions}
            told[statement] = next(v for v in versions if not unsupported(catalogs[v], v * 10000))
        finally:
            newest.load("DROP PUBLICATION IF EXISTS p; DROP EVENT TRIGGER IF EXISTS e;" + NO_SUBSCRIPTIONS)
    assert told == FEATURES
