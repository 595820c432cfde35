"""What takes a complete installation: contrib extensions, ICU, lz4 and libxml."""

from collections.abc import Iterator, Mapping

import pytest

from pg_migration.postgres.catalog import discover
from pg_migration.postgres.ddl import remember
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import (
    Pair,
    assert_arrived,
    migrate,
    pair_of,
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


@pytest.fixture(scope="module")
def together(postgres15: PostgresServer) -> Mapping[str, str]:
    """What is wrong with each of CASES."""
    return verdicts(postgres15, postgres15, {case: [ddl] for case, ddl in CASES.items()})


@pytest.mark.parametrize("case", CASES)
def test_dumps_alike(together: Mapping[str, str], case: str) -> None:
    assert not together[case], together[case]


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


@pytest.fixture
def from_15_to_18(postgres15: PostgresServer, postgres18: PostgresServer) -> Iterator[Pair]:
    yield from pair_of(postgres15, postgres18)


def test_what_the_target_has_or_writes_otherwise_is_left_alone(from_15_to_18: Pair) -> None:
    """A compression method that it lacks falls back with a note, and views may have another text."""
    pair = from_15_to_18
    pair.load(
        "CREATE TABLE t (a text COMPRESSION lz4, b text COMPRESSION pglz);"
        "CREATE MATERIALIZED VIEW m AS SELECT 'x'::text AS a;"
        "ALTER MATERIALIZED VIEW m ALTER a SET COMPRESSION lz4;"
        "CREATE TABLE u (a int, b int); CREATE VIEW v AS SELECT a, b FROM u WHERE a > 0;"
    )
    done = migrate(pair)
    assert done.failures == []
    assert [notice.name for notice in done.plan.notices] == ["a lz4 on public.t", "a lz4 on public.m"]
    again = migrate(pair).plan
    assert [item.identity for item in again.dropped] == ['owner of view "public"."v"', "view public.v"]
    assert {item.identity for item in again.create} == {item.identity for item in again.dropped}
    _, target = pair.sessions
    assert len(remember(target, done.source, discover(target, {"public": "public"}), done.source.objects)) == 1
    assert migrate(pair).plan.create == ()


def test_missing_extension_costs_only_what_needs_it(from_15_to_18: Pair) -> None:
    pair = from_15_to_18
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
