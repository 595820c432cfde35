"""Foreign tables come with their wrappers, servers and user mappings, and with what is built on them; without rows."""

import pytest

from pg_migration.postgres.errors import StructureConflict
from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_arrived, assert_same_dump, migrate

SECRET = "sesame"
WHOLE = {"public": "public"}
MADE = """
    CREATE FOREIGN DATA WRAPPER w OPTIONS (debug 'true', "Odd opt" 'it''s');
    COMMENT ON FOREIGN DATA WRAPPER w IS 'fdw';
    CREATE SERVER elsewhere TYPE 'ty' VERSION '1.0' FOREIGN DATA WRAPPER w OPTIONS (host 'h', password 'sesame');
    CREATE SERVER unused FOREIGN DATA WRAPPER w;
    COMMENT ON SERVER elsewhere IS 'srv';
    GRANT USAGE ON FOREIGN DATA WRAPPER w TO pg_monitor WITH GRANT OPTION;
    GRANT USAGE ON FOREIGN SERVER elsewhere TO PUBLIC;
    CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS ("user" 'u', password 'sesame');
    CREATE USER MAPPING FOR pg_monitor SERVER elsewhere;
    CREATE TYPE mood AS ENUM ('a','b');
    CREATE FUNCTION pos(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
    CREATE SEQUENCE s;
    CREATE FOREIGN TABLE far (a int NOT NULL DEFAULT nextval('s'), b text OPTIONS (column_name 'B', x 'y') COLLATE
        "C" DEFAULT 'x', m mood, g int GENERATED ALWAYS AS (a * 2) STORED, CONSTRAINT pos CHECK (pos(a)), CHECK (b
        <> 'z') NO INHERIT) SERVER elsewhere OPTIONS (table_name 'Far', schema_name 'it''s');
    ALTER SEQUENCE s OWNED BY far.a;
    ALTER FOREIGN TABLE far ALTER b SET STATISTICS 77, ALTER b SET STORAGE EXTERNAL, ALTER a SET (n_distinct = 5);
    ALTER FOREIGN TABLE far ADD CONSTRAINT nv CHECK (a < 100) NOT VALID;
    COMMENT ON FOREIGN TABLE far IS 'ft'; COMMENT ON COLUMN far.b IS 'col'; COMMENT ON CONSTRAINT pos ON far IS
        'con';
    GRANT SELECT ON far TO pg_monitor; GRANT INSERT (b) ON far TO PUBLIC;
    CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER trg BEFORE INSERT ON far FOR EACH ROW EXECUTE FUNCTION tr();
    COMMENT ON TRIGGER trg ON far IS 't';
    ALTER FOREIGN TABLE far DISABLE TRIGGER trg;
    CREATE STATISTICS st ON a, b FROM far;
    CREATE FOREIGN TABLE nocols () SERVER elsewhere;
    CREATE VIEW v AS SELECT * FROM far; CREATE VIEW v2 AS SELECT a FROM v;
    CREATE MATERIALIZED VIEW mv AS SELECT * FROM far WITH NO DATA;
    CREATE FUNCTION takes(far) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION arr() RETURNS far[] LANGUAGE sql AS 'SELECT NULL::far[]';
    CREATE TABLE hasrow (f far);
    CREATE TABLE p (a int, b text, CHECK (a > 0)) PARTITION BY LIST (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
    CREATE TABLE p9 PARTITION OF p DEFAULT;
    CREATE FOREIGN TABLE p2 PARTITION OF p FOR VALUES IN (2) SERVER elsewhere OPTIONS (table_name 'p2');
    CREATE FOREIGN TABLE p3 (b text, a int, CONSTRAINT p_a_check CHECK (a > 0)) SERVER elsewhere;
    ALTER TABLE p ATTACH PARTITION p3 FOR VALUES IN (3);
    CREATE INDEX ON p (a);
    CREATE TRIGGER ptrg AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION tr();
    INSERT INTO p VALUES (1, 'x'), (7, 'z');
    CREATE TABLE parent (a int, c int DEFAULT 3);
    CREATE FOREIGN TABLE below (own int) INHERITS (parent) SERVER elsewhere;
    CREATE FOREIGN TABLE fparent (a int NOT NULL, b text, CHECK (a > 5)) SERVER elsewhere;
    CREATE TABLE child (own int) INHERITS (fparent, parent);
    CREATE TABLE grand () INHERITS (child);
    ALTER FOREIGN TABLE fparent ADD late int DEFAULT 4;
    CREATE RULE r AS ON INSERT TO parent DO ALSO INSERT INTO far (a) VALUES (new.a);
    INSERT INTO child (a, own) VALUES (6, 1);
"""
CHANGED = """
    ALTER FOREIGN DATA WRAPPER w OPTIONS (SET debug 'false', DROP "Odd opt", ADD n 'm');
    ALTER SERVER elsewhere VERSION '2.0' OPTIONS (SET host 'other', ADD port '1');
    DROP SERVER unused;
    ALTER USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (SET password 'new');
    DROP USER MAPPING FOR pg_monitor SERVER elsewhere;
    ALTER FOREIGN TABLE far OPTIONS (SET table_name 'Other', DROP schema_name);
    ALTER FOREIGN TABLE nocols ADD a int;
    ALTER TABLE p DETACH PARTITION p3; DROP FOREIGN TABLE p3;
    ALTER FOREIGN TABLE p2 OPTIONS (SET table_name 'pp2');
    ALTER FOREIGN TABLE p2 ALTER b OPTIONS (ADD column_name 'BB');
    DROP VIEW v2;
    REVOKE USAGE ON FOREIGN SERVER elsewhere FROM PUBLIC;
"""


def test_everything_arrives_and_follows_the_source(pair: Pair) -> None:
    pair.load(MADE)
    done = assert_arrived(pair, WHOLE, whole=True)
    assert done.source.notices == ()
    told = "\n".join(outcome.statement for outcome in done.outcomes)
    assert "CREATE USER MAPPING" in told
    assert SECRET not in told
    # Somebody else's is nobody's to take away.
    pair.prepare("CREATE SERVER own FOREIGN DATA WRAPPER w; CREATE USER MAPPING FOR postgres SERVER elsewhere")
    pair.load(CHANGED)
    again = migrate(pair, WHOLE, whole=True)
    assert again.failures == []
    assert SECRET not in "\n".join(outcome.statement for outcome in again.outcomes)
    pair.prepare("DROP USER MAPPING FOR postgres SERVER elsewhere; DROP SERVER own")
    assert_same_dump(pair, (), "--exclude-schema=_pg_migration")


def test_with_chosen_schemas_comes_what_they_need(upgrade: Pair) -> None:
    upgrade.load(MADE)
    upgrade.prepare("CREATE SCHEMA fresh")
    done = migrate(upgrade, {"public": "fresh"})
    assert done.failures == []
    assert [(notice.kind, notice.name) for notice in done.source.notices] == [("server", "unused")]
    assert upgrade.query("SELECT string_agg(srvname, ' ') FROM pg_foreign_server") == "elsewhere"
    assert upgrade.query("SELECT count(*) FROM pg_user_mappings") == "2"
    foreign = "SELECT count(*) FROM pg_class WHERE relkind = 'f' AND relnamespace = 'fresh'::regnamespace"
    assert upgrade.query(foreign) == "6"
    again = migrate(upgrade, {"public": "fresh"})
    assert (again.plan.create, again.plan.drop) == ((), ())


def test_an_excluded_one_is_named_with_what_is_built_on_it(upgrade: Pair) -> None:
    upgrade.load("""
        CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
        CREATE FOREIGN TABLE far (a int) SERVER s; CREATE VIEW v AS SELECT * FROM far; CREATE TABLE kept (a int);
        CREATE FOREIGN TABLE below () INHERITS (kept) SERVER s;
    """)
    done = migrate(upgrade, exclude=["far"])
    assert done.failures == []
    assert [(n.kind, n.name) for n in done.source.notices] == [("foreign table", "public.far"), ("view", "public.v")]
    assert upgrade.query("SELECT to_regclass('below') IS NOT NULL AND to_regclass('far') IS NULL") == "t"


def test_one_with_other_columns_that_a_table_is_built_on(upgrade: Pair) -> None:
    upgrade.load("""
        CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
        CREATE FOREIGN TABLE far (a int) SERVER s; CREATE TABLE holds (f far);
    """)
    assert_arrived(upgrade)
    upgrade.load("ALTER FOREIGN TABLE far OPTIONS (ADD x 'y')")
    assert_arrived(upgrade)
    upgrade.load("ALTER FOREIGN TABLE far ALTER a OPTIONS (ADD x 'y')")
    with pytest.raises(StructureConflict, match=r"built into tables of the target: public\.holds"):
        migrate(upgrade)


def test_wrappers_of_extensions(complete: Pair) -> None:
    complete.load("""
        CREATE EXTENSION postgres_fdw; CREATE EXTENSION file_fdw;
        GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO pg_monitor;
        CREATE SERVER near FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'x');
        CREATE USER MAPPING FOR postgres SERVER near OPTIONS (user 'u', password 'sesame');
        CREATE FOREIGN TABLE far (a int OPTIONS (column_name 'B')) SERVER near OPTIONS (table_name 't');
        CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
        CREATE FOREIGN TABLE lines (line text) SERVER files OPTIONS (filename '/etc/hostname', format 'text');
        CREATE MATERIALIZED VIEW known AS SELECT count(*) AS n FROM lines;
    """)
    assert_arrived(complete, WHOLE, whole=True)
    assert complete.query("SELECT n > 0 FROM known") == "t"
