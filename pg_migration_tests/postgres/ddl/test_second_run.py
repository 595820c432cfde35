"""What the source sets, changes and takes back between two runs arrives each time."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pytest

from pg_migration.postgres.ddl import Verdict
from pg_migration.postgres.errors import StructureConflict
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.conftest import ends
from pg_migration_tests.postgres.ddl.round_trip import Pair, migrate, pair_of
from pg_migration_tests.postgres.ddl.together import Before, InTarget, Steps, verdicts
from pg_migration_tests.postgres.ledger.old_ledgers import WITHOUT_VERSIONS

# By the names of what is in it: objects that have nothing to do with those of another piece.
PIECES = {
    "f": "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';",
    "tf": "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';",
    "r": "CREATE TABLE r (id int PRIMARY KEY, label text);",
    "mood point2 small t v w mv t_b t_n": """
        CREATE TYPE mood AS ENUM ('a', 'c');
        CREATE TYPE point2 AS (x int, y int);
        CREATE DOMAIN small AS int;
        CREATE TABLE t (id int PRIMARY KEY, r int, b text, m mood, p point2, s small, n int DEFAULT 1, j int);
        CREATE VIEW v AS SELECT id, b, m, s FROM t;
        CREATE VIEW w AS SELECT id FROM v;
        CREATE MATERIALIZED VIEW mv AS SELECT id, b FROM t;
        CREATE INDEX t_b ON t (b);
        CREATE UNIQUE INDEX t_n ON t (id, n);
    """,
    "parent child alone": """
        CREATE TABLE parent (id int, note text);
        CREATE TABLE child (extra int) INHERITS (parent);
        CREATE TABLE alone (id int, note text);
    """,
    "parts parts_1 parts_2": """
        CREATE TABLE parts (k int NOT NULL, v text) PARTITION BY RANGE (k);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10);
        CREATE TABLE parts_2 (k int NOT NULL, v text);
    """,
    "sq": "CREATE SEQUENCE sq;",
}
BASE = "".join(PIECES.values())
# Where nothing is said of the types and views around the table.
LEAN = """
    CREATE TABLE t (id int PRIMARY KEY, r int, b text, n int DEFAULT 1, j int);
    CREATE INDEX t_b ON t (b);
    CREATE UNIQUE INDEX t_n ON t (id, n);
"""


def base_of(*statements: str) -> str:
    """The pieces that some statements speak of."""
    words = set(re.findall(r"\w+", " ".join(statements)))
    lean = words.isdisjoint(("mood", "point2", "small", "v", "w", "mv"))
    found = {names: ddl for names, ddl in PIECES.items() if not words.isdisjoint(names.split())}
    return "".join(LEAN if lean and "CREATE TABLE t (" in ddl else ddl for ddl in found.values())


@dataclass(frozen=True)
class Alteration:
    """What is set, then changed to something else, then taken back, each between two runs; from which version on."""

    set: str
    change: str
    take_back: str
    since: int = 0


ALTERATIONS = {
    # Tables and their columns.
    "storage parameters": Alteration(
        "ALTER TABLE t SET (fillfactor = 50, autovacuum_enabled = false)",
        "ALTER TABLE t SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01); "
        "ALTER TABLE t RESET (autovacuum_enabled)",
        "ALTER TABLE t RESET (fillfactor, autovacuum_vacuum_scale_factor)",
    ),
    "storage parameters of TOAST": Alteration(
        "ALTER TABLE t SET (toast.autovacuum_enabled = false, toast_tuple_target = 1000)",
        "ALTER TABLE t SET (toast.autovacuum_vacuum_threshold = 7); ALTER TABLE t RESET (toast.autovacuum_enabled)",
        "ALTER TABLE t RESET (toast.autovacuum_vacuum_threshold, toast_tuple_target)",
    ),
    "storage": Alteration(
        "ALTER TABLE t ALTER b SET STORAGE EXTERNAL",
        "ALTER TABLE t ALTER b SET STORAGE MAIN",
        "ALTER TABLE t ALTER b SET STORAGE EXTENDED",
    ),
    "statistics target": Alteration(
        "ALTER TABLE t ALTER b SET STATISTICS 5",
        "ALTER TABLE t ALTER b SET STATISTICS 0",
        "ALTER TABLE t ALTER b SET STATISTICS -1",
    ),
    "column options": Alteration(
        "ALTER TABLE t ALTER b SET (n_distinct = 5)",
        "ALTER TABLE t ALTER b SET (n_distinct_inherited = -0.5); ALTER TABLE t ALTER b RESET (n_distinct)",
        "ALTER TABLE t ALTER b RESET (n_distinct_inherited)",
    ),
    "compression": Alteration(
        "ALTER TABLE t ALTER b SET COMPRESSION pglz",
        "ALTER TABLE r ALTER label SET COMPRESSION pglz",
        "ALTER TABLE t ALTER b SET COMPRESSION default; ALTER TABLE r ALTER label SET COMPRESSION default",
    ),
    "replica identity": Alteration(
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "ALTER TABLE t REPLICA IDENTITY NOTHING",
        "ALTER TABLE t REPLICA IDENTITY DEFAULT",
    ),
    "replica identity by index": Alteration(
        "ALTER TABLE t ALTER n SET NOT NULL; ALTER TABLE t REPLICA IDENTITY USING INDEX t_n",
        "ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey",
        "ALTER TABLE t REPLICA IDENTITY DEFAULT; ALTER TABLE t ALTER n DROP NOT NULL",
    ),
    "replica identity by index, then whole": Alteration(
        "ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey",
    ),
    "cluster": Alteration(
        "ALTER TABLE t CLUSTER ON t_b", "ALTER TABLE t CLUSTER ON t_pkey", "ALTER TABLE t SET WITHOUT CLUSTER"
    ),
    "not null": Alteration(
        "ALTER TABLE t ALTER b SET NOT NULL",
        "ALTER TABLE t ALTER b DROP NOT NULL; ALTER TABLE t ALTER n SET NOT NULL",
        "ALTER TABLE t ALTER n DROP NOT NULL",
    ),
    "not null with a name": Alteration(
        "ALTER TABLE t ADD CONSTRAINT one NOT NULL b",
        "ALTER TABLE t RENAME CONSTRAINT one TO other",
        "ALTER TABLE t DROP CONSTRAINT other",
        since=18,
    ),
    "not null that is not valid": Alteration(
        "ALTER TABLE t ADD CONSTRAINT one NOT NULL b NOT VALID",
        "ALTER TABLE t VALIDATE CONSTRAINT one",
        "ALTER TABLE t DROP CONSTRAINT one",
        since=18,
    ),
    "row security": Alteration(
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "ALTER TABLE t NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE t DISABLE ROW LEVEL SECURITY",
    ),
    "default": Alteration(
        "ALTER TABLE t ALTER b SET DEFAULT 'x'",
        "ALTER TABLE t ALTER b SET DEFAULT f(1)::text",
        "ALTER TABLE t ALTER b DROP DEFAULT",
    ),
    "identity": Alteration(
        "ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE t ALTER id SET GENERATED BY DEFAULT SET INCREMENT 5 SET CACHE 3",
        "ALTER TABLE t ALTER id DROP IDENTITY",
    ),
    "identity of a column that allowed NULL": Alteration(
        "ALTER TABLE t ALTER j SET NOT NULL; ALTER TABLE t ALTER j ADD GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE t ALTER j SET START 7",
        "ALTER TABLE t ALTER j DROP IDENTITY; ALTER TABLE t ALTER j DROP NOT NULL",
    ),
    "inheritance": Alteration(
        "ALTER TABLE alone INHERIT parent",
        "CREATE TABLE parent_2 (id int); ALTER TABLE alone INHERIT parent_2",
        "ALTER TABLE alone NO INHERIT parent; ALTER TABLE alone NO INHERIT parent_2; DROP TABLE parent_2",
    ),
    "inherited columns": Alteration(
        "ALTER TABLE child NO INHERIT parent", "ALTER TABLE child INHERIT parent", "ALTER TABLE child NO INHERIT parent"
    ),
    "partition": Alteration(
        "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20)",
        "ALTER TABLE parts DETACH PARTITION parts_2; "
        "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (20) TO (30)",
        "ALTER TABLE parts DETACH PARTITION parts_2",
    ),
    "new partition of a table with indexes and a key": Alteration(
        "CREATE INDEX ON parts (v); ALTER TABLE parts ADD PRIMARY KEY (k)",
        "CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (10) TO (20)",
        "DROP TABLE parts_3",
    ),
    "index of a partitioned table": Alteration(
        "CREATE INDEX pi ON parts (v); CREATE INDEX pj ON parts (k, v)",
        "ALTER INDEX pi RENAME TO pk; ALTER INDEX parts_1_k_v_idx RENAME TO of_1",
        "DROP INDEX pk; DROP INDEX pj; CREATE INDEX pj ON parts (v)",
    ),
    "index of a partition that leaves": Alteration(
        "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20); CREATE INDEX pi ON parts (v)",
        "ALTER TABLE parts DETACH PARTITION parts_2; DROP INDEX parts_2_v_idx",
        "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20); "
        "ALTER TABLE parts DETACH PARTITION parts_2; DROP INDEX pi; DROP INDEX parts_2_v_idx",
    ),
    "index of partitions below a partition": Alteration(
        "CREATE TABLE below PARTITION OF parts FOR VALUES FROM (30) TO (40) PARTITION BY RANGE (k);"
        "CREATE TABLE below_1 PARTITION OF below FOR VALUES FROM (30) TO (35); CREATE INDEX pi ON parts (v)",
        "ALTER INDEX below_1_v_idx RENAME TO deep",
        "ALTER TABLE parts DETACH PARTITION below; DROP INDEX below_v_idx",
    ),
    "key of a partitioned table": Alteration(
        "ALTER TABLE parts ADD CONSTRAINT u UNIQUE (k); CREATE TABLE of_parts (k int REFERENCES parts (k));"
        "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20)",
        "ALTER TABLE parts_1 RENAME CONSTRAINT parts_1_k_key TO one",
        "DROP TABLE of_parts; ALTER TABLE parts DETACH PARTITION parts_2; ALTER TABLE parts DROP CONSTRAINT u",
    ),
    "table": Alteration(
        "CREATE TABLE extra (id int PRIMARY KEY, r int REFERENCES r); CREATE VIEW of_extra AS SELECT * FROM extra",
        "DROP VIEW of_extra; ALTER TABLE extra RENAME TO other; CREATE INDEX ON other (r)",
        "DROP TABLE other",
    ),
    "table that becomes a view": Alteration(
        "CREATE TABLE thing (id int)",
        "DROP TABLE thing; CREATE VIEW thing AS SELECT 1 AS id",
        "DROP VIEW thing; CREATE TABLE thing (id int)",
    ),
    # Constraints.
    "check": Alteration(
        "ALTER TABLE t ADD CONSTRAINT c CHECK (n > 0)",
        "ALTER TABLE t DROP CONSTRAINT c; ALTER TABLE t ADD CONSTRAINT c CHECK (n > f(n)) NOT VALID",
        "ALTER TABLE t DROP CONSTRAINT c",
    ),
    "check that is validated": Alteration(
        "ALTER TABLE t ADD CONSTRAINT c CHECK (n > 0) NOT VALID",
        "ALTER TABLE t VALIDATE CONSTRAINT c",
        "ALTER TABLE t RENAME CONSTRAINT c TO d",
    ),
    "check of a partitioned table": Alteration(
        "ALTER TABLE parts ADD CONSTRAINT c CHECK (k > 0)",
        "ALTER TABLE parts_2 ADD CONSTRAINT c CHECK (k > 0);"
        "ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20)",
        "ALTER TABLE parts DETACH PARTITION parts_2; ALTER TABLE parts_2 DROP CONSTRAINT c; "
        "ALTER TABLE parts DROP CONSTRAINT c",
    ),
    "unique": Alteration(
        "ALTER TABLE t ADD CONSTRAINT u UNIQUE (b)",
        "ALTER TABLE t DROP CONSTRAINT u; ALTER TABLE t ADD CONSTRAINT u UNIQUE (b, n) DEFERRABLE",
        "ALTER TABLE t DROP CONSTRAINT u",
    ),
    "primary key": Alteration(
        "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD CONSTRAINT other PRIMARY KEY (id)",
        "ALTER TABLE t DROP CONSTRAINT other",
        "ALTER TABLE t ADD PRIMARY KEY (id)",
    ),
    "foreign key": Alteration(
        "ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (r) REFERENCES r",
        "ALTER TABLE t DROP CONSTRAINT fk; "
        "ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (r) REFERENCES r ON DELETE CASCADE",
        "ALTER TABLE t DROP CONSTRAINT fk",
    ),
    "foreign key that goes with its table, and the key it leans on": Alteration(
        "ALTER TABLE r ADD CONSTRAINT ru UNIQUE (label); CREATE TABLE extra (label text REFERENCES r (label))",
        "DROP TABLE extra; ALTER TABLE r DROP CONSTRAINT ru",
        "ALTER TABLE r DROP CONSTRAINT r_pkey CASCADE",
    ),
    "exclusion": Alteration(
        "ALTER TABLE t ADD CONSTRAINT x EXCLUDE (n WITH =)",
        "ALTER TABLE t DROP CONSTRAINT x; ALTER TABLE t ADD CONSTRAINT x EXCLUDE (n WITH =) WHERE (n > 5)",
        "ALTER TABLE t DROP CONSTRAINT x",
    ),
    # Types.
    "label of an enum": Alteration(
        "ALTER TYPE mood ADD VALUE 'b' BEFORE 'c'",
        "ALTER TYPE mood ADD VALUE 'it''s' AFTER 'c'; ALTER TYPE mood ADD VALUE '0' BEFORE 'a'; "
        "ALTER TYPE mood RENAME VALUE 'b' TO 'bb'",
        "ALTER TYPE mood RENAME VALUE 'bb' TO 'b'",
    ),
    "label of an enum that is used at once": Alteration(
        "ALTER TYPE mood ADD VALUE 'new'",
        "ALTER TABLE t ALTER m SET DEFAULT 'new'; CREATE VIEW news AS SELECT * FROM t WHERE m = 'new'",
        "DROP VIEW news; ALTER TABLE t ALTER m DROP DEFAULT",
    ),
    "attribute of a type": Alteration(
        "ALTER TYPE point2 ADD ATTRIBUTE z numeric(5, 2)",
        'ALTER TYPE point2 ADD ATTRIBUTE name text COLLATE "C", ADD ATTRIBUTE of r',
        "COMMENT ON COLUMN point2.z IS 'z'",
    ),
    "default of a domain": Alteration(
        "ALTER DOMAIN small SET DEFAULT 5", "ALTER DOMAIN small SET DEFAULT 6", "ALTER DOMAIN small DROP DEFAULT"
    ),
    "not null of a domain": Alteration(
        "ALTER DOMAIN small SET NOT NULL", "ALTER DOMAIN small SET DEFAULT 6", "ALTER DOMAIN small DROP NOT NULL"
    ),
    "check of a domain": Alteration(
        "ALTER DOMAIN small ADD CONSTRAINT c CHECK (VALUE > 0)",
        "ALTER DOMAIN small RENAME CONSTRAINT c TO d; ALTER DOMAIN small ADD CONSTRAINT e CHECK (VALUE < 70)",
        "ALTER DOMAIN small DROP CONSTRAINT d; ALTER DOMAIN small DROP CONSTRAINT e",
    ),
    "check of a domain that is validated": Alteration(
        "ALTER DOMAIN small ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID",
        "ALTER DOMAIN small VALIDATE CONSTRAINT c",
        "ALTER DOMAIN small DROP CONSTRAINT c",
    ),
    "check of a domain that calls a function": Alteration(
        "ALTER DOMAIN small ADD CONSTRAINT c CHECK (VALUE > f(1))",
        "ALTER DOMAIN small DROP CONSTRAINT c; ALTER DOMAIN small ADD CONSTRAINT c CHECK (VALUE > f(2)) NOT VALID",
        "ALTER DOMAIN small DROP CONSTRAINT c",
    ),
    "type": Alteration(
        "CREATE TYPE extra AS ENUM ('x'); CREATE DOMAIN dom AS extra; CREATE TYPE span AS RANGE (subtype = int)",
        "DROP DOMAIN dom; DROP TYPE extra; CREATE TYPE extra AS (a int); DROP TYPE span",
        "DROP TYPE extra",
    ),
    # Functions and operators.
    "function with other arguments": Alteration(
        "CREATE FUNCTION g(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW g_view AS SELECT g(1)",
        "DROP VIEW g_view; DROP FUNCTION g(int); "
        "CREATE FUNCTION g(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT 2';"
        "CREATE VIEW g_view AS SELECT g(1)",
        "DROP VIEW g_view; DROP FUNCTION g(int, int)",
    ),
    "procedure with other modes": Alteration(
        "CREATE PROCEDURE p(a int, b int) LANGUAGE plpgsql AS 'BEGIN END'",
        "DROP PROCEDURE p; CREATE PROCEDURE p(INOUT a int, INOUT b int) LANGUAGE plpgsql AS 'BEGIN END'",
        "DROP PROCEDURE p; CREATE FUNCTION p(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ),
    "arguments of another name, result, default": Alteration(
        "CREATE FUNCTION g(a int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION g; CREATE FUNCTION g(b int) RETURNS SETOF text LANGUAGE sql AS 'SELECT 1::text'",
        "DROP FUNCTION g; CREATE FUNCTION g(b int, OUT c int, OUT d int) LANGUAGE sql AS 'SELECT 1, 2'",
    ),
    "aggregate": Alteration(
        "CREATE AGGREGATE ag(int) (SFUNC = int4pl, STYPE = int)",
        "DROP AGGREGATE ag(int); CREATE AGGREGATE ag(bigint) (SFUNC = int8pl, STYPE = bigint)",
        "DROP AGGREGATE ag(bigint); CREATE FUNCTION ag(a bigint) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ),
    "operator and cast": Alteration(
        "CREATE FUNCTION of_mood(mood) RETURNS int LANGUAGE sql AS 'SELECT 1'; "
        "CREATE CAST (mood AS int) WITH FUNCTION of_mood(mood);"
        "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
        "DROP CAST (mood AS int); DROP OPERATOR === (int, int); "
        "CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)",
        "DROP OPERATOR === (text, text); DROP FUNCTION of_mood",
    ),
    # Views and what belongs to tables.
    "view": Alteration(
        "CREATE OR REPLACE VIEW v AS SELECT id, b, m, s, n FROM t",
        "DROP VIEW w; DROP VIEW v; CREATE VIEW v WITH (security_barrier = true) AS SELECT id FROM t",
        "DROP VIEW v",
    ),
    "options of a view and an index": Alteration(
        "ALTER VIEW v SET (security_barrier = true); ALTER INDEX t_b SET (fillfactor = 50)",
        "ALTER VIEW v SET (check_option = local); ALTER INDEX t_b SET (fillfactor = 70); "
        "ALTER INDEX t_pkey SET (fillfactor = 60)",
        "ALTER VIEW v RESET (security_barrier, check_option); ALTER INDEX t_b RESET (fillfactor); "
        "ALTER INDEX t_pkey RESET (fillfactor)",
    ),
    "default of a view": Alteration(
        "ALTER VIEW v ALTER b SET DEFAULT 'x'",
        "ALTER VIEW v ALTER b SET DEFAULT 'y'",
        "ALTER VIEW v ALTER b DROP DEFAULT",
    ),
    "materialized view": Alteration(
        "CREATE UNIQUE INDEX mv_id ON mv (id); ALTER MATERIALIZED VIEW mv SET (fillfactor = 50);"
        "ALTER MATERIALIZED VIEW mv ALTER b SET STORAGE EXTERNAL",
        "ALTER MATERIALIZED VIEW mv SET (fillfactor = 60); REFRESH MATERIALIZED VIEW mv WITH NO DATA; "
        "ALTER TABLE mv CLUSTER ON mv_id",
        "DROP MATERIALIZED VIEW mv",
    ),
    "trigger": Alteration(
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf()",
        "ALTER TABLE t DISABLE TRIGGER tr; "
        "CREATE TRIGGER tr2 AFTER UPDATE OF b ON t FOR EACH ROW EXECUTE FUNCTION tf()",
        "DROP TRIGGER tr ON t; DROP TRIGGER tr2 ON t; DROP FUNCTION tf",
    ),
    "rule": Alteration(
        "CREATE RULE ru AS ON DELETE TO t DO INSTEAD NOTHING; CREATE RULE rv AS ON INSERT TO v DO INSTEAD NOTHING",
        "CREATE OR REPLACE RULE ru AS ON DELETE TO t DO ALSO NOTHING; ALTER TABLE t DISABLE RULE ru",
        "DROP RULE ru ON t; DROP RULE rv ON v",
    ),
    "policy": Alteration(
        "CREATE POLICY po ON t USING (n > 0)",
        "ALTER POLICY po ON t USING (n > 1) WITH CHECK (n > 2)",
        "DROP POLICY po ON t",
    ),
    "index": Alteration("CREATE INDEX i ON t (r)", "DROP INDEX i; CREATE UNIQUE INDEX i ON t (r, n)", "DROP INDEX i"),
    "statistics": Alteration(
        "CREATE STATISTICS st ON b, n FROM t",
        "ALTER STATISTICS st SET STATISTICS 50; CREATE STATISTICS st2 (ndistinct) ON r, n FROM t",
        "DROP STATISTICS st, st2",
    ),
    # Sequences.
    "sequence": Alteration(
        "ALTER SEQUENCE sq INCREMENT 5 CACHE 3 MINVALUE -7", "ALTER SEQUENCE sq AS int CYCLE", "DROP SEQUENCE sq"
    ),
    "owned sequence": Alteration(
        "ALTER SEQUENCE sq OWNED BY t.n; ALTER TABLE t ALTER n SET DEFAULT nextval('sq')",
        "ALTER SEQUENCE sq OWNED BY r.id; ALTER SEQUENCE sq INCREMENT 3",
        "ALTER SEQUENCE sq OWNED BY NONE; ALTER TABLE t ALTER n DROP DEFAULT",
    ),
    "serial that becomes an identity": Alteration(
        "CREATE SEQUENCE t_j_seq OWNED BY t.j; ALTER TABLE t ALTER j SET DEFAULT nextval('t_j_seq'); "
        "ALTER TABLE t ALTER j SET NOT NULL",
        "ALTER TABLE t ALTER j DROP DEFAULT; DROP SEQUENCE t_j_seq; "
        "ALTER TABLE t ALTER j ADD GENERATED ALWAYS AS IDENTITY",
        "ALTER TABLE t ALTER j DROP IDENTITY",
    ),
    # What is said of objects.
    "comments": Alteration(
        "COMMENT ON TABLE t IS 'x'; COMMENT ON COLUMN t.b IS 'x'; COMMENT ON VIEW v IS 'x'; "
        "COMMENT ON FUNCTION f(int) IS 'x';"
        "COMMENT ON TYPE mood IS 'x'; COMMENT ON SEQUENCE sq IS 'x'; COMMENT ON INDEX t_b IS 'x'; "
        "COMMENT ON SCHEMA public IS 'x';"
        "COMMENT ON CONSTRAINT t_pkey ON t IS 'x'; COMMENT ON MATERIALIZED VIEW mv IS 'x'; "
        "COMMENT ON COLUMN v.b IS 'x'",
        "COMMENT ON TABLE t IS 'y'; COMMENT ON VIEW v IS NULL; COMMENT ON DOMAIN small IS 'y'; "
        "COMMENT ON FUNCTION f(int) IS 'y';"
        "COMMENT ON SCHEMA public IS 'y'",
        "COMMENT ON TABLE t IS NULL; COMMENT ON COLUMN t.b IS NULL; COMMENT ON FUNCTION f(int) IS NULL; "
        "COMMENT ON TYPE mood IS NULL;"
        "COMMENT ON SEQUENCE sq IS NULL; COMMENT ON INDEX t_b IS NULL; COMMENT ON CONSTRAINT t_pkey ON t IS NULL;"
        "COMMENT ON MATERIALIZED VIEW mv IS NULL; COMMENT ON DOMAIN small IS NULL; COMMENT ON SCHEMA public IS NULL",
    ),
    "privileges": Alteration(
        "GRANT SELECT ON t, v, mv TO pg_monitor; GRANT USAGE ON SEQUENCE sq TO pg_monitor; "
        "GRANT USAGE ON SCHEMA public TO pg_monitor;"
        "REVOKE EXECUTE ON FUNCTION f(int) FROM PUBLIC; GRANT EXECUTE ON FUNCTION f(int) TO pg_monitor;"
        "REVOKE USAGE ON TYPE mood FROM PUBLIC; GRANT UPDATE (b) ON t TO pg_monitor; "
        "GRANT SELECT (b) ON v TO pg_monitor;"
        "GRANT USAGE ON DOMAIN small TO pg_monitor",
        "GRANT INSERT ON t, v TO pg_read_all_stats WITH GRANT OPTION; GRANT SELECT ON SEQUENCE sq TO PUBLIC; "
        "REVOKE SELECT ON mv FROM pg_monitor",
        "REVOKE ALL ON t, v FROM pg_monitor, pg_read_all_stats; REVOKE ALL ON SEQUENCE sq FROM pg_monitor, PUBLIC;"
        "REVOKE ALL ON FUNCTION f(int) FROM pg_monitor; GRANT EXECUTE ON FUNCTION f(int) TO PUBLIC; "
        "GRANT USAGE ON TYPE mood TO PUBLIC;"
        "REVOKE UPDATE (b) ON t FROM pg_monitor; REVOKE SELECT (b) ON v FROM pg_monitor; "
        "REVOKE USAGE ON SCHEMA public FROM pg_monitor;"
        "REVOKE USAGE ON DOMAIN small FROM pg_monitor",
    ),
    "privileges of a procedure and a new function": Alteration(
        "CREATE PROCEDURE pr() LANGUAGE plpgsql AS 'BEGIN END'; REVOKE EXECUTE ON PROCEDURE pr() FROM PUBLIC",
        "GRANT EXECUTE ON PROCEDURE pr() TO pg_monitor",
        "GRANT EXECUTE ON PROCEDURE pr() TO PUBLIC; REVOKE EXECUTE ON PROCEDURE pr() FROM pg_monitor",
    ),
    "default privileges": Alteration(
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO pg_monitor",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO pg_monitor; CREATE TABLE late ()",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM pg_monitor",
    ),
    "owners": Alteration(
        "ALTER TABLE t OWNER TO pg_monitor; ALTER FUNCTION f(int) OWNER TO pg_monitor; "
        "ALTER TYPE mood OWNER TO pg_monitor",
        "ALTER TABLE t OWNER TO pg_read_all_stats; ALTER VIEW v OWNER TO pg_monitor",
        "ALTER TABLE t OWNER TO postgres; ALTER FUNCTION f(int) OWNER TO postgres; ALTER TYPE mood OWNER TO postgres;"
        "ALTER VIEW v OWNER TO postgres",
    ),
}

CHANGED_IN_THE_TARGET = {
    "storage parameters": "ALTER TABLE t SET (fillfactor = 33); ALTER TABLE r RESET (fillfactor)",
    "storage": "ALTER TABLE t ALTER b SET STORAGE MAIN, ALTER n SET STATISTICS 7",
    "row security": "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "not null": "ALTER TABLE t ALTER n SET NOT NULL",
    "identity": "ALTER TABLE t ALTER id ADD GENERATED ALWAYS AS IDENTITY",
    "comment": "COMMENT ON TABLE t IS 'x'; COMMENT ON FUNCTION f(int) IS 'x'",
    "privileges": "GRANT SELECT ON t, v TO pg_monitor; GRANT USAGE ON SEQUENCE sq TO pg_monitor",
    "owner": "ALTER VIEW v OWNER TO pg_monitor",
    "mark": "ALTER TABLE t CLUSTER ON t_pkey; ALTER TABLE r REPLICA IDENTITY USING INDEX r_pkey",
    "domain": "ALTER DOMAIN small SET DEFAULT 7; ALTER DOMAIN small ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID",
    "partition": "ALTER TABLE parts DETACH PARTITION parts_1",
    "sequence": "ALTER SEQUENCE sq OWNED BY t.n; ALTER SEQUENCE sq CACHE 70",
}

# The oldest target that there is, and an upgrade to the newest.
PAIRS = [pytest.param("15 to 15", marks=pytest.mark.longer), "16 to 18"]


def steps(alteration: Alteration) -> Steps:
    some = (alteration.set, alteration.change, alteration.take_back)
    return (Before(base_of(*some)), *some)


@pytest.fixture(scope="module", params=PAIRS)
def of_every_version(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """What is wrong with each alteration of the source, and of the target alone."""
    cases = {name: steps(one) for name, one in OF_EVERY_VERSION.items()}
    before = "ALTER TABLE r SET (fillfactor = 50)"
    for name, change in CHANGED_IN_THE_TARGET.items():
        cases[f"target: {name}"] = (Before(base_of(before, change) + before), InTarget(change), "", "")
    return verdicts(*ends(request), cases)


@pytest.fixture(scope="module")
def of_the_newest(postgres18: PostgresServer) -> Mapping[str, str]:
    return verdicts(postgres18, postgres18, {name: steps(one) for name, one in OF_THE_NEWEST.items()})


OF_EVERY_VERSION = {name: found for name, found in ALTERATIONS.items() if not found.since}
OF_THE_NEWEST = {name: found for name, found in ALTERATIONS.items() if found.since}


@pytest.mark.parametrize("alteration", OF_EVERY_VERSION)
def test_set_change_take_back(of_every_version: Mapping[str, str], alteration: str) -> None:
    assert not of_every_version[alteration], of_every_version[alteration]


@pytest.mark.parametrize("alteration", OF_THE_NEWEST)
def test_set_change_take_back_on_the_newest(of_the_newest: Mapping[str, str], alteration: str) -> None:
    assert not of_the_newest[alteration], of_the_newest[alteration]


@pytest.mark.parametrize("case", CHANGED_IN_THE_TARGET)
def test_what_was_changed_in_the_target_alone_is_put_right(of_every_version: Mapping[str, str], case: str) -> None:
    assert not of_every_version[f"target: {case}"], of_every_version[f"target: {case}"]


STRANGERS = """
    CREATE TABLE theirs (m mood, t_id int);
    CREATE VIEW their_view AS SELECT f(id) AS a FROM v;
    CREATE FUNCTION their_function(mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION f(a text) RETURNS int LANGUAGE sql AS 'SELECT 3';
    CREATE INDEX their_index ON t (n);
    CREATE TRIGGER their_trigger BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tf();
    COMMENT ON VIEW their_view IS 'theirs';
    INSERT INTO theirs VALUES ('a', 1);
    CREATE SCHEMA elsewhere; CREATE VIEW elsewhere.of_w AS SELECT * FROM public.w;
"""


def test_what_is_not_from_the_source_stays(upgrade: Pair) -> None:
    upgrade.load(BASE)
    assert migrate(upgrade).failures == []
    other = Pair(upgrade.source, upgrade.target, upgrade.source.create_database(), upgrade.target_url)
    try:
        check_what_another_source_brings(upgrade, other)
    finally:
        other.close()
        other.source.drop_database(other.source_url)
    upgrade.prepare(STRANGERS)
    check_what_never_came(upgrade)
    check_what_something_else_is_built_on(upgrade)


def check_what_another_source_brings(pair: Pair, other: Pair) -> None:
    other.load("CREATE TABLE another (id int)")
    done = migrate(other)
    assert (done.failures, done.plan.drop) == ([], ())
    pair.load("DROP TABLE alone")
    assert migrate(pair).failures == []
    assert pair.query("SELECT to_regclass('alone') IS NULL AND to_regclass('another') IS NOT NULL") == "t"


def check_what_never_came(pair: Pair) -> None:
    # The target may also have been made by a release that noted nothing.
    for forget in ("", "DROP TABLE _pg_migration.brought;" + WITHOUT_VERSIONS):
        pair.prepare(forget)
        plan = migrate(pair).plan
        assert (plan.drop, plan.create) == ((), ())
        told = {item.identity for item in plan.surplus.staying(Verdict.OWN)}
        assert told == {
            "table public.another",
            "table public.theirs",
            "view public.their_view",
            'function public.their_function("public"."mood")',
            'function public.f("text")',
            "index their_index on public.t",
            "trigger their_trigger on public.t",
        }


def check_what_something_else_is_built_on(pair: Pair) -> None:
    pair.load("DROP VIEW w; DROP VIEW v; DROP FUNCTION f; DROP TABLE r; DROP MATERIALIZED VIEW mv")
    done = migrate(pair)
    assert done.failures == []
    needed = {item.identity for item in done.plan.surplus.staying(Verdict.NEEDED)}
    assert needed == {"view public.v", "view public.w", "function public.f(integer)"}
    assert pair.query("SELECT to_regclass('r') IS NULL AND to_regclass('mv') IS NULL") == "t"
    assert pair.query("SELECT count(*) FROM theirs") == "1"
    assert migrate(pair).plan.drop == ()


def test_what_is_excluded_is_not_taken_back(upgrade: Pair) -> None:
    upgrade.load(BASE + "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf();")
    assert migrate(upgrade).failures == []
    before = upgrade.target.dump_schema(upgrade.target_url, "public")
    done = migrate(upgrade, exclude=["t"])
    assert (done.failures, done.plan.drop) == ([], ())
    assert upgrade.target.dump_schema(upgrade.target_url, "public") == before
    upgrade.load("DROP VIEW w")  # it needs the excluded table, and what leans on that was not looked at
    assert migrate(upgrade, exclude=["t"]).failures == []
    assert upgrade.query("SELECT to_regclass('t') IS NOT NULL AND to_regclass('v') IS NOT NULL") == "t"


REFUSED = {
    "label gone": "DELETE FROM pg_enum WHERE enumlabel = 'c' AND enumtypid = 'mood'::regtype",
    "attribute gone": "ALTER TYPE point2 DROP ATTRIBUTE y",
    "attribute of another type": "ALTER TYPE mood RENAME TO old; CREATE TYPE mood AS ENUM ('c', 'a', 'x');"
    "DROP VIEW v CASCADE; ALTER TABLE t ALTER m TYPE mood USING m::text::mood; DROP TYPE old",
}


@pytest.fixture(scope="module")
def refusing(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Pair]:
    """A pair that was migrated, and a schema for each of REFUSED, which is done in the source afterwards."""
    schemas = {case: case for case in REFUSED}
    with closing(pair_of(postgres16, postgres18)) as pairs:
        pair = next(pairs)
        pair.load("".join(f'CREATE SCHEMA "{case}"; SET search_path = "{case}"; {BASE}' for case in REFUSED))
        assert migrate(pair, schemas).failures == []
        pair.load("".join(f'SET search_path = "{case}"; {change};' for case, change in REFUSED.items()))
        yield pair


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_altered_is_refused(refusing: Pair, case: str) -> None:
    with pytest.raises(StructureConflict, match="drop_existing_tables: true"):
        migrate(refusing, {case: case})
