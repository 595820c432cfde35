"""What takes a complete installation: contrib extensions, ICU, lz4 and libxml."""

from collections.abc import Mapping

import pytest

from pg_migration.postgres.catalog import discover
from pg_migration.postgres.ddl import remember
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import (
    Pair,
    assert_arrived,
    assert_identical,
    migrate,
    pair_of,
    session,
)
from pg_migration_tests.postgres.ddl.together import verdicts

CASES = {
    "extensions": """
        CREATE EXTENSION citext;
        CREATE EXTENSION hstore;
        CREATE EXTENSION btree_gist;
        CREATE TABLE t (a citext PRIMARY KEY, h hstore, r tsrange, n int, EXCLUDE USING gist (n WITH =, r WITH &&));
        CREATE INDEX ON t USING gin (h);
        CREATE FUNCTION f(citext) RETURNS hstore LANGUAGE sql AS 'SELECT NULL::hstore';
    """,
    "collations of ICU": """
        CREATE COLLATION german (PROVIDER = icu, LOCALE = 'de-u-co-phonebk');
        CREATE COLLATION loose (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
        CREATE TABLE t (a text COLLATE german, b text COLLATE loose UNIQUE, c text COLLATE "en-x-icu");
    """,
    "lz4": "CREATE TABLE t (a text COMPRESSION lz4, b text);",
    "xml": "CREATE TABLE t (x xml); CREATE VIEW v AS SELECT xmlelement(name a, x) FROM t;",
}


@pytest.mark.parametrize("ddl", CASES.values(), ids=CASES.keys())
def test_dumps_alike(complete: Pair, ddl: str) -> None:
    assert_identical(complete, ddl)


def test_extension_in_another_schema_of_the_target(complete: Pair) -> None:
    complete.prepare("CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions;")
    complete.load(
        """
        CREATE EXTENSION citext;
        CREATE TABLE t (a citext DEFAULT 'x'::citext CHECK (a <> ''::citext));
        CREATE VIEW v AS SELECT a FROM t WHERE a = 'y'::citext;
        """
    )
    assert migrate(complete).failures == []
    assert complete.query("SELECT pg_get_viewdef('v'::regclass) LIKE '%OPERATOR(extensions.=)%'") == "t"
    assert migrate(complete).plan.create == ()


def test_missing_compression_method_falls_back_with_a_note(
    postgres15: PostgresServer, postgres18: PostgresServer
) -> None:
    for pair in pair_of(postgres15, postgres18):
        pair.load(
            "CREATE TABLE t (a text COMPRESSION lz4, b text COMPRESSION pglz);"
            "CREATE MATERIALIZED VIEW m AS SELECT 'x'::text AS a;"
            "ALTER MATERIALIZED VIEW m ALTER a SET COMPRESSION lz4;"
        )
        done = migrate(pair)
        assert done.failures == []
        assert [notice.name for notice in done.plan.notices] == [
            "a lz4 on public.t",
            "a lz4 on public.m",
        ]
        assert migrate(pair).plan.create == ()


def test_views_that_two_versions_write_differently_are_left_alone(
    postgres15: PostgresServer, postgres18: PostgresServer
) -> None:
    for pair in pair_of(postgres15, postgres18):
        pair.load("CREATE TABLE t (a int, b int); CREATE VIEW v AS SELECT a, b FROM t WHERE a > 0;")
        done = migrate(pair)
        assert [item.identity for item in migrate(pair).plan.dropped] == ['owner of view "public"."v"', "view public.v"]
        with session(pair.target_url) as target:
            assert len(remember(target, done.source, discover(target, {"public": "public"}), done.source.objects)) == 1
        assert migrate(pair).plan.create == ()


def test_missing_extension_costs_only_what_needs_it(postgres15: PostgresServer, postgres18: PostgresServer) -> None:
    for pair in pair_of(postgres15, postgres18):
        pair.load("CREATE EXTENSION citext; CREATE TABLE t (a citext); CREATE TABLE u (a int);")
        told = "\n".join(migrate(pair).failures)
        assert 'extension citext: extension "citext" is not available' in told
        assert "table public.t: it needs extension citext, which could not be made" in told
        assert pair.query("SELECT to_regclass('u') IS NOT NULL, to_regclass('t') IS NULL") == "t|t"


DEPENDING = {
    "function": ("CREATE FUNCTION f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1';", "FUNCTION f(int, text)"),
    "procedure": ("CREATE PROCEDURE p(INOUT a int) LANGUAGE sql AS 'SELECT 1';", "PROCEDURE p(int)"),
    "index": ("CREATE INDEX i ON t (b);", "INDEX i"),
    "index of a key": ("ALTER TABLE t ADD UNIQUE (a);", "INDEX t_a_key"),
    "trigger": (
        "CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();",
        "TRIGGER tr ON t",
    ),
    "materialized view": ("CREATE MATERIALIZED VIEW m AS SELECT * FROM t;", "MATERIALIZED VIEW m"),
    "index of a materialized view": (
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM t; CREATE INDEX mi ON m (a);",
        "INDEX mi",
    ),
}
DEPENDENCIES = """
SELECT n.nspname, count(*)
  FROM pg_depend d
 CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS i
  LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
  LEFT JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_namespace n ON n.nspname = i.schema OR n.oid = c.relnamespace
 WHERE d.deptype = 'x' GROUP BY 1 ORDER BY 1
"""


@pytest.fixture(scope="module")
def depending(postgres15: PostgresServer) -> Mapping[str, str]:
    """What is wrong with each of the cases: when all depend on two extensions, and on one of them no more."""

    def check(pair: Pair, schemas: Mapping[str, str]) -> None:
        assert_arrived(pair, schemas)
        told = pair.query(DEPENDENCIES)
        assert told == pair.source.psql(pair.source_url, DEPENDENCIES).strip()
        assert len(told.splitlines()) == len(schemas)

    # Only the first of them makes the extensions.
    tables = (
        "CREATE SCHEMA IF NOT EXISTS extensions; CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA extensions;"
        "CREATE EXTENSION IF NOT EXISTS citext SCHEMA extensions; CREATE TABLE t (a int, b text);"
    )
    cases = {
        case: [
            f"{tables} {ddl} ALTER {what} DEPENDS ON EXTENSION citext; ALTER {what} DEPENDS ON EXTENSION pg_trgm;",
            f"ALTER {what} NO DEPENDS ON EXTENSION pg_trgm",
        ]
        for case, (ddl, what) in DEPENDING.items()
    }
    return verdicts(postgres15, postgres15, cases, check)


@pytest.mark.parametrize("case", DEPENDING)
def test_depends_on_extension(depending: Mapping[str, str], case: str) -> None:
    assert not depending[case], depending[case]


COMMENTS_OF_EXTENSIONS = "SELECT e.extname, obj_description(e.oid, 'pg_extension') FROM pg_extension e ORDER BY 1"


def test_a_comment_on_an_extension_that_is_not_its_own(complete: Pair) -> None:
    complete.load("CREATE EXTENSION citext; CREATE EXTENSION hstore; COMMENT ON EXTENSION citext IS 'to search with';")
    complete.load("CREATE TABLE t (a citext, h hstore)")
    assert migrate(complete).failures == []
    there = complete.query(COMMENTS_OF_EXTENSIONS)
    assert "to search with" in there
    assert there == complete.source.psql(complete.source_url, COMMENTS_OF_EXTENSIONS).strip()
    assert migrate(complete).plan.create == ()
