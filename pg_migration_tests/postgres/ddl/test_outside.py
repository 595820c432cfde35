"""What is not copied is named, with the reason."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from pg_migration.postgres.catalog import Notice, discover, read_surroundings
from pg_migration.postgres.errors import ConfigurationError, NotPermitted
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import PUBLIC, Pair, describe, migrate, pair_of, session

SURROUNDINGS = """
    CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER on_ddl ON ddl_command_end EXECUTE FUNCTION et();
    CREATE FOREIGN DATA WRAPPER w;
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER w;
    CREATE FOREIGN TABLE far (a int) SERVER elsewhere;
    CREATE USER MAPPING FOR PUBLIC SERVER elsewhere;
    CREATE CAST (timestamptz AS interval) WITH FUNCTION age(timestamptz);
    GRANT SELECT (rolname, rolsuper) ON pg_authid TO PUBLIC;
    REVOKE EXECUTE ON FUNCTION pg_sleep FROM PUBLIC;
    CREATE PUBLICATION pub;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;
    CREATE TABLE t (a int);
    CREATE SCHEMA hidden;
    CREATE TYPE hidden.kind AS ENUM ('x');
    CREATE FUNCTION uses_hidden(hidden.kind) RETURNS int LANGUAGE sql AS 'SELECT 1';
"""


def test_surroundings_are_named(upgrade: Pair) -> None:
    upgrade.load(SURROUNDINGS + "SELECT format('ALTER DATABASE %I SET app.tenant = ''x''', current_database()) \\gexec")
    catalog = describe(upgrade.source_url)
    assert [(notice.kind, notice.name) for notice in catalog.notices] == [
        ("publication", "pub"),
        ("event trigger", "on_ddl"),
        ("default privileges", "of postgres on new tables"),
        ("function", 'public.uses_hidden("hidden"."kind")'),
        ("cast", "timestamp with time zone AS interval"),
        ("privileges", 'function "pg_catalog"."pg_sleep"(double precision)'),
        ("privileges", 'table "pg_catalog"."pg_authid" (rolname, rolsuper)'),
    ]
    assert catalog.settings == (("app.tenant", "x"),)


def test_settings_of_the_database_hold_while_objects_are_made(upgrade: Pair) -> None:
    upgrade.load(
        "CREATE MATERIALIZED VIEW m AS SELECT coalesce(current_setting('app.tenant', true), '') AS tenant;"
        "SELECT format('ALTER DATABASE %I SET app.tenant = ''x''', current_database()) \\gexec\n"
        # How the source's sessions work says nothing of the target's.
        "SELECT format('ALTER DATABASE %I SET client_encoding = latin1', current_database()) \\gexec\n"
        "SELECT format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()) \\gexec"
    )
    assert migrate(upgrade).failures == []
    assert upgrade.query("SELECT tenant FROM m") == "x"


def test_invalid_index_is_named_and_not_built(upgrade: Pair) -> None:
    upgrade.load("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1);")
    with session(upgrade.source_url) as source, source.cursor() as cursor, pytest.raises(Exception, match="duplicate"):
        cursor.execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON public.t (a)")
    catalog = describe(upgrade.source_url)
    assert [(notice.kind, notice.name) for notice in catalog.notices] == [("invalid index", "public.broken")]
    assert "index" not in catalog.counts


def test_a_schema_that_is_not_there(upgrade: Pair) -> None:
    with pytest.raises(ConfigurationError, match="no schema Public"):
        describe(upgrade.source_url, {"Public": "Public"})


def test_a_table_that_may_not_be_read(upgrade: Pair) -> None:
    upgrade.load("CREATE TABLE t (a int); CREATE TABLE open (a int); GRANT SELECT ON open TO PUBLIC;")
    with session(upgrade.source_url) as source:
        with source.cursor() as cursor:
            cursor.execute("SET ROLE pg_monitor")
        with pytest.raises(NotPermitted, match=r"public\.t\b"):
            discover(source, {"public": "public"})
        assert [table.name for table in discover(source, {"public": "public"}, ["t"]).tables] == ["open"]


def test_the_session_is_left_as_it_was(upgrade: Pair) -> None:
    with session(upgrade.source_url) as source, source.cursor() as cursor:
        cursor.execute("SET search_path TO public, pg_catalog; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        discover(source, {"public": "public"})
        cursor.execute("SHOW search_path")
        assert cursor.fetchone() == ("public, pg_catalog",)
        cursor.execute("SELECT current_setting('quote_all_identifiers'), current_setting('transaction_isolation')")
        assert cursor.fetchone() == ("off", "repeatable read")
        cursor.execute("ROLLBACK")


class Counting(psycopg2.extensions.cursor):
    """Counts the statements of all its kind."""

    statements = 0

    def execute(self, query: Any, parameters: Any = None) -> None:
        type(self).statements += 1
        super().execute(query, parameters)


def test_many_tables_take_no_more_queries_than_few(upgrade: Pair) -> None:
    upgrade.load("CREATE TABLE t (id serial PRIMARY KEY, a int); CREATE INDEX ON t (a)")

    def queries() -> int:
        before = Counting.statements
        with session(upgrade.source_url) as source:
            source.cursor_factory = Counting
            discover(source, {"public": "public"})
        return Counting.statements - before

    few = queries()
    upgrade.source.psql(
        upgrade.source_url,
        "DO $$ BEGIN FOR i IN 1..40 LOOP"
        " EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY, a int NOT NULL, b text DEFAULT ''x'', c date,"
        " d int)', i);"
        " EXECUTE format('CREATE INDEX ON t%s (a)', i); EXECUTE format('CREATE INDEX ON t%s (b, c)', i);"
        " END LOOP; END $$",
    )
    assert queries() == few <= 3
    catalog = describe(upgrade.source_url)
    assert len(catalog.tables) == 41
    assert catalog.counts["index"] == 81


OF_THE_DATABASE = {
    "setting": "ALTER DATABASE {} SET work_mem = '77MB'",
    "setting that is a list": """ALTER DATABASE {} SET search_path = app, "Odd, name", public""",
    "setting of an application": "ALTER DATABASE {} SET app.tenant = 'it''s'",
    "setting of a role": "ALTER ROLE postgres IN DATABASE {} SET work_mem = '7MB'",
    "privilege": "GRANT CREATE, TEMPORARY ON DATABASE {} TO pg_monitor WITH GRANT OPTION",
    "privilege that was taken away": "REVOKE CONNECT ON DATABASE {} FROM PUBLIC",
    "owner": "ALTER DATABASE {} OWNER TO pg_monitor",
    "connection limit": "ALTER DATABASE {} CONNECTION LIMIT 7",
    "template": "ALTER DATABASE {} IS_TEMPLATE true",
    "comment": "COMMENT ON DATABASE {} IS 'it''s'",
}


def said_of_database(pair: Pair) -> list[Notice]:
    source, target = pair.sessions
    catalog = discover(source, PUBLIC, surroundings=read_surroundings(target))
    return [notice for notice in catalog.notices if notice.kind == "database"]


@pytest.fixture(scope="module")
def unlike(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Pair]:
    """Two databases of which the same is said, before each test and after it."""
    with closing(pair_of(postgres16, postgres18)) as pairs:
        pair = next(pairs)
        pair.load("CREATE TABLE t (a int)")
        assert said_of_database(pair) == []
        yield pair


@pytest.mark.parametrize("statement", OF_THE_DATABASE.values(), ids=OF_THE_DATABASE.keys())
def test_what_is_said_of_the_database_is_named_until_the_target_has_it(unlike: Pair, statement: str) -> None:
    name = parse_dsn(unlike.source_url)["dbname"]
    unlike.load(statement.format(f'"{name}"'))
    (notice,) = said_of_database(unlike)
    assert notice.name.startswith(f"{name}, ")
    unlike.prepare(notice.reason.partition(" gets it by ")[2])
    assert said_of_database(unlike) == []
    unlike.load(f'ALTER DATABASE "{name}" IS_TEMPLATE false')
    unlike.prepare(f'ALTER DATABASE "{parse_dsn(unlike.target_url)["dbname"]}" IS_TEMPLATE false')
