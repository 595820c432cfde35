"""Owners, privileges and default privileges."""

from collections.abc import Iterator, Mapping

import pytest

from pg_migration.postgres.catalog import discover
from pg_migration.postgres.ddl import create_roles, missing_roles
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import (
    Pair,
    assert_arrived,
    assert_same_dump,
    describe,
    migrate,
    pair_of,
    session,
)
from pg_migration_tests.postgres.ddl.together import verdicts

ROLES = ('"Ow ner"', "reader", "granter")
CASES = {
    "owners": """
        CREATE TYPE e AS ENUM ('a');
        CREATE DOMAIN d AS int;
        CREATE SEQUENCE s;
        CREATE TABLE t (id serial PRIMARY KEY, a e);
        CREATE VIEW v AS SELECT 1 AS a;
        CREATE MATERIALIZED VIEW m AS SELECT 1 AS a;
        CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE PROCEDURE p(OUT a int) LANGUAGE plpgsql AS 'BEGIN a := 1; END';
        CREATE AGGREGATE n(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
        CREATE STATISTICS st ON id, a FROM t;
        ALTER TYPE e OWNER TO "Ow ner";
        ALTER DOMAIN d OWNER TO "Ow ner";
        ALTER SEQUENCE s OWNER TO "Ow ner";
        ALTER TABLE t OWNER TO "Ow ner";
        ALTER VIEW v OWNER TO "Ow ner";
        ALTER MATERIALIZED VIEW m OWNER TO "Ow ner";
        ALTER FUNCTION f(int) OWNER TO "Ow ner";
        ALTER PROCEDURE p(int) OWNER TO "Ow ner";
        ALTER AGGREGATE n(*) OWNER TO "Ow ner";
        ALTER STATISTICS st OWNER TO "Ow ner";
        ALTER SCHEMA public OWNER TO "Ow ner";
    """,
    "grants on every kind": """
        CREATE TABLE t (a int, b int);
        CREATE SEQUENCE s;
        CREATE TYPE e AS ENUM ('a');
        CREATE DOMAIN d AS int;
        CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE PROCEDURE p(OUT a int) LANGUAGE plpgsql AS 'BEGIN a := 1; END';
        CREATE VIEW v AS SELECT 1 AS a;
        GRANT SELECT, INSERT ON t TO reader;
        GRANT UPDATE (b), SELECT (a) ON t TO reader WITH GRANT OPTION;
        GRANT ALL ON v TO PUBLIC;
        REVOKE DELETE, TRUNCATE ON t FROM postgres;
        GRANT USAGE ON SEQUENCE s TO reader;
        REVOKE ALL ON TYPE e FROM PUBLIC;
        GRANT USAGE ON TYPE e TO reader;
        REVOKE ALL ON DOMAIN d FROM PUBLIC;
        REVOKE ALL ON FUNCTION f(int) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION f(int) TO reader;
        REVOKE ALL ON PROCEDURE p(int) FROM PUBLIC;
        REVOKE ALL ON SCHEMA public FROM PUBLIC;
        GRANT USAGE ON SCHEMA public TO reader;
        GRANT CREATE ON SCHEMA public TO granter;
    """,
    "granted by somebody else than the owner": """
        CREATE TABLE t (a int);
        GRANT USAGE ON SCHEMA public TO granter;
        GRANT SELECT ON t TO granter WITH GRANT OPTION;
        SET ROLE granter;
        GRANT SELECT ON t TO reader;
        RESET ROLE;
    """,
    "default privileges": """
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader;
        ALTER DEFAULT PRIVILEGES FOR ROLE granter IN SCHEMA public GRANT USAGE ON SEQUENCES TO reader WITH GRANT OPTION;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO reader;
    """,
    "who may grant on a table may grant on its columns": """
        CREATE TABLE t (a int); GRANT USAGE ON SCHEMA public TO granter;
        GRANT SELECT ON t TO granter WITH GRANT OPTION;
        SET ROLE granter; GRANT SELECT (a) ON t TO reader; RESET ROLE;
    """,
    "several privileges and grantors in one list": """
        CREATE TABLE t (a int); GRANT USAGE ON SCHEMA public TO reader, granter, "Ow ner";
        GRANT SELECT, INSERT, DELETE ON t TO granter WITH GRANT OPTION;
        SET ROLE granter; GRANT SELECT, INSERT ON t TO reader; GRANT DELETE ON t TO "Ow ner" WITH GRANT OPTION;
        SET ROLE "Ow ner"; GRANT DELETE ON t TO reader; RESET ROLE;
        GRANT INSERT ON t TO "Ow ner" WITH GRANT OPTION; SET ROLE "Ow ner";
        GRANT INSERT ON t TO granter WITH GRANT OPTION; RESET ROLE;
        REVOKE INSERT ON t FROM granter CASCADE; REVOKE GRANT OPTION FOR SELECT ON t FROM granter CASCADE;
    """,
}

# A privilege on an object of each kind, and how to make the object.
GRANTABLE = {
    "table": ("", "SELECT ON t"),
    "column": ("", "UPDATE (a) ON t"),
    "view": ("CREATE VIEW v AS SELECT 1 AS a;", "SELECT ON v"),
    "sequence": ("CREATE SEQUENCE s;", "USAGE ON SEQUENCE s"),
    "schema": ("", "CREATE ON SCHEMA public"),
    "function": ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';", "EXECUTE ON FUNCTION f()"),
    "procedure": ("CREATE PROCEDURE p(OUT a int) LANGUAGE plpgsql AS 'BEGIN END';", "EXECUTE ON PROCEDURE p(int)"),
    "type": ("CREATE TYPE e AS ENUM ('a');", "USAGE ON TYPE e"),
    "domain": ("CREATE DOMAIN d AS int;", "USAGE ON DOMAIN d"),
}
# What is granted and taken back, and by whom: each leaves a list that can't be granted in its own order.
HISTORIES = {
    "an option that came by another way later": """
        GRANT {what} TO granter WITH GRANT OPTION;
        SET ROLE granter; GRANT {what} TO reader; RESET ROLE;
        GRANT {what} TO "Ow ner" WITH GRANT OPTION;
        SET ROLE "Ow ner"; GRANT {what} TO granter WITH GRANT OPTION; RESET ROLE;
        {revoke} FROM granter CASCADE;
    """,
    "and the owner's grant once more": """
        GRANT {what} TO granter WITH GRANT OPTION;
        SET ROLE granter; GRANT {what} TO reader; RESET ROLE;
        GRANT {what} TO "Ow ner" WITH GRANT OPTION;
        SET ROLE "Ow ner"; GRANT {what} TO granter WITH GRANT OPTION; RESET ROLE;
        {revoke} FROM granter CASCADE;
        GRANT {what} TO granter;
    """,
    "a chain": """
        GRANT {what} TO granter WITH GRANT OPTION;
        SET ROLE granter; GRANT {what} TO "Ow ner" WITH GRANT OPTION;
        SET ROLE "Ow ner"; GRANT {what} TO reader WITH GRANT OPTION; RESET ROLE;
        SET ROLE reader; GRANT {what} TO PUBLIC; RESET ROLE;
    """,
}


@pytest.fixture(scope="module", params=[16, 18])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A server with the roles; what privileges look like in a dump depends on its version."""
    found: PostgresServer = request.getfixturevalue(f"postgres{request.param}")
    found.psql(found.url(), "".join(f"CREATE ROLE {name}; GRANT {name} TO postgres;" for name in ROLES))
    yield found
    found.psql(found.url(), "".join(f"DROP ROLE {name};" for name in ROLES))


newest = pytest.mark.parametrize("server", [18], indirect=True)


@pytest.fixture
def granting(server: PostgresServer) -> Iterator[Pair]:
    yield from pair_of(server, server)


@pytest.fixture(scope="module")
def arrived(server: PostgresServer) -> Mapping[str, str]:
    """What is wrong with each of the cases and histories."""
    kinds = dict(GRANTABLE)
    if server.version >= 17:
        kinds["table to maintain"] = ("CREATE TABLE m (a int);", "MAINTAIN ON m")
    made = "CREATE TABLE t (a int); CREATE TABLE with_a_history ();" + "".join(ddl for ddl, _ in kinds.values())
    everybody = 'GRANT USAGE ON SCHEMA public TO reader, granter, "Ow ner";'

    def granted(history: str) -> str:
        return "".join(history.format(what=what, revoke=f"REVOKE {what}") for _, what in kinds.values())

    def check(pair: Pair, schemas: Mapping[str, str]) -> None:
        assert_arrived(pair, schemas)
        acls = "".join(ACLS.format(schema=schema) for schema in schemas)
        before = pair.source.psql(pair.source_url, acls).strip()
        assert before == pair.query(acls)
        histories = int(pair.query("SELECT count(*) FROM pg_class WHERE relname = 'with_a_history'"))
        assert before.count("granter") >= len(kinds) * histories

    cases = {case: [ddl] for case, ddl in CASES.items()}
    histories = {case: [made + everybody + granted(history)] for case, history in HISTORIES.items()}
    return verdicts(server, server, cases | histories, check)


@pytest.mark.parametrize("case", CASES)
def test_dumps_alike(arrived: Mapping[str, str], case: str) -> None:
    assert not arrived[case], arrived[case]


@pytest.mark.parametrize("case", HISTORIES)
def test_grants_are_made_in_an_order_in_which_they_can_be(arrived: Mapping[str, str], case: str) -> None:
    assert not arrived[case], arrived[case]


# The lists of grants as the server keeps them.
ACLS = """
SELECT nspacl FROM pg_namespace WHERE nspname = '{schema}';
SELECT relname, relacl FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relacl IS NOT NULL ORDER BY 1;
SELECT attname, attacl FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE relnamespace = '{schema}'::regnamespace AND attacl IS NOT NULL ORDER BY 1;
SELECT proname, proacl FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace ORDER BY 1;
SELECT typname, typacl FROM pg_type WHERE typnamespace = '{schema}'::regnamespace AND typacl IS NOT NULL ORDER BY 1;
"""


@newest
def test_privileges_that_the_target_has_otherwise_are_replaced(granting: Pair) -> None:
    """And default privileges do not touch what is made again."""
    granting.load(
        "CREATE TABLE t (a int); ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader;"
        "CREATE TABLE u (a int); GRANT INSERT ON u TO reader;"
    )
    assert_arrived(granting)
    granting.prepare("GRANT DELETE ON t, u TO granter; REVOKE ALL ON SCHEMA public FROM PUBLIC;")
    for drop_existing in (False, True):
        assert migrate(granting, drop_existing=drop_existing).failures == []
        assert_same_dump(granting)


@newest
def test_default_privileges_of_the_whole_database_come_with_all_its_schemas(granting: Pair) -> None:
    granting.load(
        "CREATE TABLE t (a int); ALTER DEFAULT PRIVILEGES FOR ROLE granter REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;"
        "ALTER DEFAULT PRIVILEGES FOR ROLE granter GRANT SELECT ON TABLES TO reader WITH GRANT OPTION;"
    )
    for drop_existing in (False, True):
        assert migrate(granting, drop_existing=drop_existing).failures == []
        ours, theirs = (
            granting.source.dump_schema(granting.source_url),
            granting.target.dump_schema(granting.target_url, None, "--exclude-schema=_pg_migration"),
        )
        assert "REVOKE ALL ON FUNCTIONS FROM PUBLIC" in ours
        assert ours == theirs
    assert migrate(granting).plan.create == ()
    granting.load("CREATE SCHEMA other")
    told = describe(granting.source_url).notices
    assert [notice.name for notice in told] == ["of granter on new functions", "of granter on new tables"]


@newest
def test_both_can_be_left_out(granting: Pair) -> None:
    granting.load("CREATE TABLE t (a int); ALTER TABLE t OWNER TO reader; GRANT SELECT ON t TO granter;")
    with session(granting.source_url) as source:
        catalog = discover(source, {"public": "public"}, ownership=False, privileges=False)
    assert {item.kind for item in catalog.objects} == {"schema", "table"}
    assert catalog.roles == ()


def test_roles_that_the_target_lacks(upgrade: Pair) -> None:
    upgrade.load('CREATE ROLE "only % here"; CREATE TABLE t (a int); GRANT SELECT ON t TO "only % here";')
    try:
        with session(upgrade.source_url) as source, session(upgrade.target_url) as target:
            catalog = discover(source, {"public": "public"})
            assert missing_roles(target, catalog) == ("only % here",)
            create_roles(target, ["only % here"])
            assert missing_roles(target, catalog) == ()
        assert migrate(upgrade).failures == []
        assert upgrade.query("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'only % here'") == "f"
    finally:
        for run, url in ((upgrade.source, upgrade.source_url), (upgrade.target, upgrade.target_url)):
            run.psql(url, 'DROP OWNED BY "only % here"; DROP ROLE "only % here"')


def test_what_is_made_anew_gets_no_default_privileges(upgrade: Pair) -> None:
    upgrade.load("CREATE VIEW v AS SELECT 1 AS a; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
    assert_arrived(upgrade)
    upgrade.load("DROP VIEW v; CREATE VIEW v AS SELECT 1 AS b; REVOKE ALL ON v FROM PUBLIC")
    assert_arrived(upgrade)
