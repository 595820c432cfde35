"""What a discovery does not ask the server would have had no answer."""

import pytest

from pg_migration.postgres.catalog.reading.catalog_session import catalog_session
from pg_migration_tests.postgres.ddl.round_trip import PUBLIC, Pair, session

EVERYTHING = """
    CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
    CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE FUNCTION same(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
    CREATE FUNCTION handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
    CREATE AGGREGATE n(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
    CREATE TYPE e AS ENUM ();
    CREATE TYPE c AS (a int);
    CREATE TYPE r AS RANGE (SUBTYPE = int);
    CREATE DOMAIN d AS int;
    ALTER DOMAIN d ADD CHECK (VALUE > 0) NOT VALID;
    CREATE COLLATION own FROM "C";
    CREATE CAST (e AS int) WITH INOUT;
    CREATE CONVERSION v FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
    CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = same);
    CREATE OPERATOR FAMILY fam USING btree;
    CREATE OPERATOR CLASS oc FOR TYPE int USING btree FAMILY fam AS OPERATOR 1 <, FUNCTION 1 btint4cmp(int4, int4);
    ALTER OPERATOR FAMILY fam USING btree ADD OPERATOR 1 < (int2, int4);
    CREATE LANGUAGE mine HANDLER handler;
    CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
    CREATE TEXT SEARCH PARSER p
        (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
    CREATE TEXT SEARCH TEMPLATE te (LEXIZE = dsimple_lexize);
    CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = te);
    CREATE TEXT SEARCH CONFIGURATION conf (PARSER = p);
    CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, s serial, a int);
    CREATE VIEW w AS SELECT a FROM t;
    ALTER VIEW w ALTER a SET DEFAULT 1;
    CREATE MATERIALIZED VIEW m AS SELECT 1 AS a;
    CREATE RULE ru AS ON DELETE TO t DO INSTEAD NOTHING;
    CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tf();
    CREATE POLICY po ON t;
    CREATE STATISTICS st ON id, a FROM t;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC;
    CREATE FOREIGN DATA WRAPPER fdw;
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER fdw;
    CREATE FOREIGN TABLE far (a int) SERVER elsewhere;
    CREATE USER MAPPING FOR PUBLIC SERVER elsewhere;
    CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER ev ON sql_drop EXECUTE FUNCTION et();
    CREATE PUBLICATION pub FOR TABLES IN SCHEMA public, TABLE t;
    CREATE INDEX i ON t (a);
    CREATE TABLE named (object regclass);
    CREATE TYPE shell;
    SELECT lo_create(0);
"""


@pytest.mark.parametrize("ddl", ["", "CREATE TABLE t (id int PRIMARY KEY);", EVERYTHING], ids=["none", "one", "all"])
def test_what_is_not_asked_would_find_nothing(newest: Pair, ddl: str) -> None:
    newest.load(ddl)
    with session(newest.source_url) as source:
        version = {"pg_migration.target_version": str(source.server_version)}
        with catalog_session(source, PUBLIC, version) as catalogs:
            idle = [row["query"] for row in catalogs.read("idle_queries")["idle_queries"]]
            found = catalogs.read(*idle)
        lacking = [
            *("extension_configurations", "extension_dependencies", "security_labels"),
            *("subscriptions", "transforms"),
        ]
        assert len(idle) > 20 if ddl != EVERYTHING else sorted(idle) == lacking
        assert found == {name: [] for name in idle}
