"""Migrating without a superuser, as in the clouds: owners and grants are right, or refused before the copy."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from pg_migration.postgres.migration import Result, compare, validate
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Platform, Role

ROLES = ("app", "analyst", "boss", "granter", "keeper")
OF_APP = """
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 50) AS n;
ALTER TABLE t OWNER TO app;
"""
MORE_OF_APP = """
CREATE TABLE u (id serial PRIMARY KEY, t int REFERENCES t);
INSERT INTO u (t) SELECT id FROM t;
ALTER TABLE u OWNER TO app;
"""

# Who owns what in a schema, what is granted, and what is said of it.
STATE = """
SELECT 'schema', pg_get_userbyid(nspowner), obj_description(oid, 'pg_namespace'),
       ARRAY(SELECT replace(a::text, '/' || pg_get_userbyid(nspowner), '/owner') FROM unnest(nspacl) AS a ORDER BY 1)
  FROM pg_namespace WHERE nspname = 'public';
SELECT 'relation', relname, pg_get_userbyid(relowner),
       ARRAY(SELECT replace(a::text, 'm/', '/') FROM unnest(relacl) AS a ORDER BY 1)  -- MAINTAIN: from 17 on
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i' ORDER BY 2;
SELECT 'function', proname, pg_get_userbyid(proowner), ARRAY(SELECT a::text FROM unnest(proacl) AS a ORDER BY 1)
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 2;
SELECT 'type', typname, pg_get_userbyid(typowner), typacl
  FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd') ORDER BY 2;
SELECT 'default', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl
  FROM pg_default_acl ORDER BY 2, 3, 4;
SELECT 'schemas', nspname, pg_get_userbyid(nspowner) FROM pg_namespace
 WHERE nspname NOT IN ('information_schema', '_pg_migration') AND nspname !~ '^pg_' ORDER BY 2;
"""


def within(schema: str, ddl: str) -> str:
    """DDL for the schema public, of another one."""
    return f"SET search_path = {schema};\n" + re.sub(r"\bpublic\b", schema, ddl)


@dataclass(frozen=True)
class Cloud:
    """A platform whose source is read by a role with pg_read_all_data, and whose target is written by no superuser."""

    platform: Platform
    mig: Role

    def migrate(self, **options: object) -> Result:
        return self.platform.migrate_directly(**options)

    def make(self, schema: str, source: str, target: str = "") -> None:
        """Give both sides a schema like public, and more DDL."""
        for end, ddl in ((self.platform.source, source), (self.platform.target, target)):
            if schema != "public":
                ddl = (
                    "CREATE SCHEMA public AUTHORIZATION pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC;"
                    "COMMENT ON SCHEMA public IS 'standard public schema';" + ddl
                )
            end.psql(within(schema, ddl))

    def differences(self, schema: str = "public") -> list[str]:
        """Lines that only one side has."""
        ours, theirs = (
            end.psql(within(schema, STATE)).splitlines() for end in (self.platform.source, self.platform.target)
        )
        return [f"- {line}" for line in ours if line not in theirs] + [
            f"+ {line}" for line in theirs if line not in ours
        ]


@pytest.fixture(scope="module", params=[18, pytest.param(15, marks=pytest.mark.longer)])
def server(request: pytest.FixtureRequest) -> PostgresServer:
    """The target's: from 16 on members of a role need not have its privileges."""
    found = request.getfixturevalue(f"postgres{request.param}")
    assert isinstance(found, PostgresServer)
    return found


@contextmanager
def in_cloud(postgres16: PostgresServer, server: PostgresServer, home: Path) -> Iterator[Cloud]:
    source, target = (Database(one, one.create_database()) for one in (postgres16, server))
    reader, mig = Role("reader", "read"), Role("mig", "write")
    options = " WITH INHERIT TRUE, SET TRUE" if server.version >= 16 else ""
    every = "".join(f"CREATE ROLE {name};" for name in ROLES)
    source.psql(
        f"{every} CREATE ROLE reader LOGIN BYPASSRLS PASSWORD '{reader.password}'; GRANT pg_read_all_data TO reader"
    )
    target.psql(
        f"{every} CREATE ROLE mig LOGIN CREATEROLE CREATEDB PASSWORD '{mig.password}'; GRANT app TO mig{options};"
        f'ALTER DATABASE "{psycopg2.extensions.parse_dsn(target.url)["dbname"]}" OWNER TO mig'
    )
    try:
        with pytest.MonkeyPatch.context() as patch:
            for platform in serve(source, target, patch, home):
                platform.set(SOURCE_URL=reader.url(source), TARGET_URL=mig.url(target), SOURCE_SCHEMA="*")
                yield Cloud(platform, mig)
    finally:
        for end in (source, target):
            end.server.drop_database(end.url)
            names = (*ROLES, "reader", "mig", "mig2", "svc_new")
            end.server.psql(end.server.url(), "".join(f"DROP ROLE IF EXISTS {name};" for name in names))


@pytest.fixture
def cloud(postgres16: PostgresServer, server: PostgresServer, tmp_path: Path) -> Iterator[Cloud]:
    with in_cloud(postgres16, server, tmp_path) as made:
        yield made


USABLE = "GRANT USAGE ON SCHEMA public TO app;"

# Of every kind an object of somebody who may not create anything in the schema, grants, and what others make of them.
EVERYTHING = """
CREATE TYPE e AS ENUM ('a'); CREATE DOMAIN d AS int; CREATE SEQUENCE s; CREATE VIEW v AS SELECT * FROM t;
CREATE MATERIALIZED VIEW m AS SELECT id, current_user::text AS who FROM t;
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE STATISTICS st ON id, a FROM t;
CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE n(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
ALTER TYPE e OWNER TO app; ALTER DOMAIN d OWNER TO app; ALTER SEQUENCE s OWNER TO app;
ALTER VIEW v OWNER TO app; ALTER FUNCTION f() OWNER TO app; ALTER PROCEDURE p() OWNER TO app;
ALTER AGGREGATE n(*) OWNER TO app; ALTER STATISTICS st OWNER TO app; ALTER MATERIALIZED VIEW m OWNER TO app;
GRANT SELECT ON v, m TO analyst; GRANT EXECUTE ON FUNCTION f() TO analyst; GRANT USAGE ON TYPE e TO analyst;
ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t TO analyst USING (true);
COMMENT ON SCHEMA public IS 'ours'; COMMENT ON TABLE t IS 'tea';
GRANT SELECT ON t TO analyst WITH GRANT OPTION; GRANT UPDATE (a) ON t TO analyst;
GRANT USAGE ON SCHEMA public TO boss; REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT SELECT ON u TO app; ALTER TABLE u OWNER TO app; REVOKE DELETE ON u FROM app;
SET ROLE app; ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO analyst; RESET ROLE;
"""
OF_NEW_ROLES = """
CREATE ROLE svc_new; ALTER TABLE u OWNER TO svc_new; GRANT USAGE ON SCHEMA public TO svc_new;
GRANT SELECT ON t TO svc_new WITH GRANT OPTION; SET ROLE svc_new; GRANT SELECT ON t TO analyst; RESET ROLE;
"""

# What is in the source's schema (after the tables), and what somebody prepared in the target.
RIGHT = {
    "an object of each kind": (MORE_OF_APP + EVERYTHING, ""),
    "the owner may create in the schema": (MORE_OF_APP + "GRANT CREATE ON SCHEMA public TO app;", ""),
    "everybody may": ("GRANT CREATE ON SCHEMA public TO PUBLIC;", ""),
    "the target's owner let the owner create": ("", "GRANT CREATE, USAGE ON SCHEMA public TO app;"),
    "the schema is its owner's": ("ALTER SCHEMA public OWNER TO app;", ""),
    "a role that is created owns and grants at once": (MORE_OF_APP + OF_NEW_ROLES, ""),
}
SCHEMAS = dict(zip(RIGHT, ("public", *(f"s{number}" for number in range(1, len(RIGHT)))), strict=True))
ONLY_SUPERUSERS = """
CREATE FUNCTION absolute(int) RETURNS int LANGUAGE internal STRICT AS 'int4abs';
CREATE FUNCTION trusted(int) RETURNS int LANGUAGE sql LEAKPROOF IMMUTABLE AS 'SELECT $1';
CREATE TYPE "never (AS filled";
"""


@dataclass(frozen=True)
class Migrated:
    """What was told of things that only superusers may make, and what came of all schemas without them.

    That is after the first run, and after others by another role and again the first one.
    """

    refused: tuple[str, ...]
    first: Result
    told_apart: list[str]
    after_first: dict[str, list[str]]
    remedies: int
    validated: Result
    again: Result
    after_all: dict[str, list[str]]


@pytest.fixture(scope="module")
def migrated(postgres16: PostgresServer, server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Migrated:
    with in_cloud(postgres16, server, tmp_path_factory.mktemp("home")) as cloud:
        source, target = cloud.platform.source, cloud.platform.target
        for case, (more, prepared) in RIGHT.items():
            cloud.make(SCHEMAS[case], USABLE + OF_APP + more, prepared)
        source.psql(ONLY_SUPERUSERS)
        refused = cloud.migrate(create_roles=True).failures
        source.psql('DROP FUNCTION absolute(int), trusted(int); DROP TYPE "never (AS filled"')

        first = cloud.migrate(create_roles=True)
        told_apart = [str(found) for found in compare(cloud.platform.migration())]
        after_first = {case: cloud.differences(schema) for case, schema in SCHEMAS.items()}

        target.psql("CREATE ROLE mig2 LOGIN PASSWORD 'write'")
        cloud.platform.set(TARGET_URL=Role("mig2", "write").url(target))
        remedies = _remedy(cloud, at_most=3)
        validated = validate(cloud.platform.migration())
        cloud.platform.set(TARGET_URL=cloud.mig.url(target))
        again = cloud.migrate()
        after_all = {case: cloud.differences(schema) for case, schema in SCHEMAS.items()}
    return Migrated(refused, first, told_apart, after_first, remedies, validated, again, after_all)


def _remedy(cloud: Cloud, at_most: int) -> int:
    """Migrate and do what a run says that helps, until one succeeds; how often that was needed."""
    remedies = 0
    while told := cloud.migrate().failures:
        cloud.platform.target.psql(" ".join(_statements("".join(told))))
        remedies += 1
        assert remedies <= at_most, told
    return remedies


def _statements(message: str) -> list[str]:
    """What a message tells somebody to run."""
    return re.findall(r"(?:GRANT|ALTER ROLE) [^;]*;", message)


def test_what_only_a_superuser_may_make_is_told_before_anything_is_touched(migrated: Migrated) -> None:
    (told,) = migrated.refused
    assert (
        "may not make what only a superuser may, as it has to for type public.never (AS filled, "
        "function public.absolute(integer), function public.trusted(integer)" in told
    )


@pytest.mark.parametrize("case", RIGHT)
def test_everything_is_as_in_the_source_in_the_first_run(migrated: Migrated, case: str) -> None:
    assert migrated.first.failures == ()
    assert migrated.after_first[case] == []
    assert migrated.told_apart == []


@pytest.mark.parametrize("case", RIGHT)
def test_another_run_leaves_it_so(migrated: Migrated, case: str) -> None:
    assert migrated.again.failures == ()
    assert migrated.after_all[case] == []


def test_another_role_goes_on_with_the_work_of_the_first(migrated: Migrated) -> None:
    assert migrated.remedies
    assert migrated.validated.failures == ()


@dataclass(frozen=True)
class Refused:
    """What a schema has in the source and the target, what refuses to migrate it, what is noted otherwise, what helps.

    Without a remedy it is what the refusal says for some roles.
    """

    source: str
    said: tuple[str, ...]
    noted: tuple[str, ...]
    remedy: str = ""
    roles: tuple[str, ...] = ()
    target: str = ""
    granted: str = ""


OUT_OF_REACH = Refused(
    "CREATE VIEW v AS SELECT * FROM t; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "ALTER VIEW v OWNER TO analyst; ALTER FUNCTION f() OWNER TO analyst; GRANT SELECT ON v TO app;"
    "GRANT USAGE ON SCHEMA public TO granter; GRANT SELECT ON t TO granter WITH GRANT OPTION;"
    "SET ROLE granter; GRANT SELECT ON t TO boss; RESET ROLE;"
    "ALTER DEFAULT PRIVILEGES FOR ROLE keeper IN SCHEMA public GRANT SELECT ON TABLES TO boss;",
    (
        "may not act for analyst, as it has to for owner of function",
        "may not act for granter, as it has to for privileges of table",
        "may not act for keeper, as it has to for default privileges",
    ),
    (
        "it is not given to analyst",
        'SELECT to "boss" by granter is not granted',
        "they are not set for keeper",
    ),
    roles=("analyst", "granter", "keeper"),
)
OF_OTHERS = Refused(
    "COMMENT ON SCHEMA public IS 'ours'; GRANT USAGE ON SCHEMA public TO boss;",
    ('may not change what belongs to postgres in the target, as it has to for comment of schema "public"',),
    ("role mig of the target may not change what belongs to postgres in the target",),
    "ALTER SCHEMA public OWNER TO pg_database_owner; REVOKE ALL ON SCHEMA public FROM mig;",
    target="ALTER SCHEMA public OWNER TO postgres; GRANT USAGE, CREATE ON SCHEMA public TO mig;"
    "GRANT CREATE ON SCHEMA public TO app;",
)
# The role becomes a member of postgres: nothing is out of its reach then.
OF_A_SUPERUSER_AND_OF_NOBODY = Refused(
    MORE_OF_APP + "ALTER SCHEMA public OWNER TO postgres; CREATE ROLE svc_new; ALTER TABLE u OWNER TO svc_new;"
    "GRANT SELECT ON t TO svc_new, analyst;",
    (
        'may not act for postgres, as it has to for owner of schema "public"',
        "name roles that the target does not have: svc_new",
        "owners: best_effort",
    ),
    (
        "it is not given to postgres",
        "it is not given to svc_new",
        'SELECT to "svc_new" by app is not granted',
    ),
    "GRANT postgres TO mig; CREATE ROLE svc_new; GRANT svc_new TO mig;",
    granted="analyst=r/app",
)
REFUSED = {
    "objects, grants and default privileges of roles out of reach, a schema in the target that belongs to others": {
        "elsewhere": OUT_OF_REACH,
        "public": OF_OTHERS,
    },
    "the schema public of a superuser, a role that the target lacks": {"public": OF_A_SUPERUSER_AND_OF_NOBODY},
}


@pytest.mark.parametrize(
    "cases",
    [pytest.param(cases, marks=[pytest.mark.longer] if n else []) for n, cases in enumerate(REFUSED.values())],
    ids=REFUSED,
)
def test_what_can_not_be_given_is_refused_or_left_out_by_name(cloud: Cloud, cases: dict[str, Refused]) -> None:
    target = cloud.platform.target
    for schema, case in cases.items():
        cloud.make(schema, OF_APP + case.source, case.target)
    before = target.dump()
    (told,) = cloud.migrate().failures
    for case in cases.values():
        for said in case.said:
            assert said in told
    assert target.dump() == before

    for _ in range(2):
        done = cloud.migrate(owners="best_effort")
        assert done.failures == ()  # the comparison of the structure found none either
        for schema, case in cases.items():
            for noted in case.noted:
                assert noted in str(done.notes)
            assert case.granted in target.psql(within(schema, STATE))
            assert target.psql(f"SELECT count(*) FROM {schema}.t") == "50"

    for schema, case in cases.items():
        helping = [
            one for one in _statements(told) for role in case.roles if f"GRANT {role} TO" in one.replace('"', "")
        ]
        assert len(helping) >= len(case.roles)
        target.psql(within(schema, case.remedy + " ".join(helping)))
    assert cloud.migrate().failures == ()
    for schema in cases:
        assert cloud.differences(schema) == []


def test_members_without_the_privileges_of_a_role_are_told_how_to_get_them(cloud: Cloud) -> None:
    target = cloud.platform.target
    if target.server.version >= 16:
        target.psql("REVOKE app FROM mig; GRANT app TO mig WITH INHERIT FALSE, SET TRUE")
    else:
        target.psql("ALTER ROLE mig NOINHERIT")
    cloud.make("public", OF_APP + MORE_OF_APP)
    # Before 16 a role that does not inherit has to be told first that it may not even create tables.
    assert _remedy(cloud, at_most=1 if target.server.version >= 16 else 2)
    assert cloud.platform.source.psql(OWNERS) == target.psql(OWNERS)


OWNERS = "SELECT relname, relowner::regrole FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"


def test_a_position_that_the_switch_does_not_have(idle_shop: Platform) -> None:
    (told,) = idle_shop.migrate_directly(owners="perhaps").failures
    assert "owners is 'perhaps', but must be true, false or best_effort" in told
