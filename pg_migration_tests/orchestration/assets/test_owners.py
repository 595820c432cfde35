"""Migrating without a superuser, as in the clouds: owners and grants are right, or refused before the copy."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from pg_migration.postgres.migration import Result, compare, validate
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Platform, Role

ROLES = ("app", "analyst", "boss", "granter", "keeper")
TABLES = """
CREATE TABLE t (id int PRIMARY KEY, a text);
CREATE TABLE u (id serial PRIMARY KEY, t int REFERENCES t);
INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 50) AS n;
INSERT INTO u (t) SELECT id FROM t;
"""
OF_APP = TABLES + "ALTER TABLE t OWNER TO app; ALTER TABLE u OWNER TO app;"

# Who owns what, what is granted, and what is said of it.
STATE = """
SELECT 'schema', nspname, pg_get_userbyid(nspowner),
       ARRAY(SELECT replace(a::text, '/' || pg_get_userbyid(nspowner), '/owner') FROM unnest(nspacl) AS a ORDER BY 1)
  FROM pg_namespace WHERE nspname NOT IN ('information_schema', '_pg_migration') AND nspname !~ '^pg_' ORDER BY 2;
SELECT 'relation', relname, pg_get_userbyid(relowner),
       ARRAY(SELECT replace(a::text, 'm/', '/') FROM unnest(relacl) AS a ORDER BY 1)  -- MAINTAIN: from 17 on
  FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i' ORDER BY 2;
SELECT 'function', proname, pg_get_userbyid(proowner), ARRAY(SELECT a::text FROM unnest(proacl) AS a ORDER BY 1)
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 2;
SELECT 'type', typname, pg_get_userbyid(typowner), typacl
  FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd') ORDER BY 2;
SELECT 'default', defaclrole::regrole, defaclobjtype, defaclacl FROM pg_default_acl ORDER BY 2, 3;
SELECT 'comment', obj_description('public'::regnamespace);
"""


@dataclass(frozen=True)
class Cloud:
    """A platform whose source is read by a role with pg_read_all_data, and whose target is written by no superuser."""

    platform: Platform
    mig: Role

    def migrate(self, **options: object) -> Result:
        return self.platform.migrate_directly(**options)

    @property
    def differences(self) -> list[str]:
        """Lines that only one side has."""
        ours, theirs = (end.psql(STATE).splitlines() for end in (self.platform.source, self.platform.target))
        return [f"- {line}" for line in ours if line not in theirs] + [
            f"+ {line}" for line in theirs if line not in ours
        ]


@pytest.fixture(params=[18, 15])
def cloud(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source_db: str
) -> Iterator[Cloud]:
    server = request.getfixturevalue(f"postgres{request.param}")
    target_db = server.create_database()
    source, target = Database(request.getfixturevalue("postgres16"), source_db), Database(server, target_db)
    reader, mig = Role("reader", "read"), Role("mig", "write")
    options = " WITH INHERIT TRUE, SET TRUE" if request.param >= 16 else ""
    for end in (source, target):
        end.psql("".join(f"CREATE ROLE {name};" for name in ROLES))
    source.psql(f"CREATE ROLE reader LOGIN BYPASSRLS PASSWORD '{reader.password}'; GRANT pg_read_all_data TO reader")
    target.psql(f"CREATE ROLE mig LOGIN CREATEROLE CREATEDB PASSWORD '{mig.password}'; GRANT app TO mig{options}")
    name = psycopg2.extensions.parse_dsn(target_db)["dbname"]
    target.psql(f'ALTER DATABASE "{name}" OWNER TO mig')
    try:
        for platform in serve(source, target, monkeypatch, tmp_path):
            platform.set(SOURCE_URL=reader.url(source), TARGET_URL=mig.url(target))
            yield Cloud(platform, mig)
    finally:
        source.server.drop_database(source.url)
        server.drop_database(target_db)
        for end, others in ((source, ("reader",)), (target, ("mig",))):
            roles = end.server.psql(end.server.url(), "SELECT rolname FROM pg_roles WHERE rolname = 'svc_new'").split()
            every = ", ".join((*ROLES, *others, *roles))
            end.server.psql(end.server.url(), f"DROP OWNED BY {every} CASCADE; DROP ROLE {every}")


USABLE = "ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE ON SCHEMA public TO app;"

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

# What is in the source (after the tables), and what somebody prepared in the target.
RIGHT = {
    "the owner may create in the schema": ("GRANT CREATE ON SCHEMA public TO app;", ""),
    "everybody may": ("GRANT CREATE ON SCHEMA public TO PUBLIC;", ""),
    "the target's owner let the owner create": ("", "GRANT CREATE, USAGE ON SCHEMA public TO app;"),
    "the schema is its owner's": ("ALTER SCHEMA public OWNER TO app;", ""),
}


@pytest.mark.parametrize(("more", "prepared"), RIGHT.values(), ids=RIGHT.keys())
def test_everything_is_as_in_the_source_in_the_first_run(cloud: Cloud, more: str, prepared: str) -> None:
    cloud.platform.source.psql(USABLE + OF_APP + more)
    if prepared:
        cloud.platform.target.psql(prepared)
    assert cloud.migrate().failures == ()
    assert cloud.differences == []
    assert compare(cloud.platform.migration()) == []


def test_a_second_run_leaves_it_so(cloud: Cloud) -> None:
    cloud.platform.source.psql(USABLE + OF_APP + EVERYTHING)
    for _ in range(2):
        assert cloud.migrate().failures == ()
        assert cloud.differences == []


@dataclass(frozen=True)
class Refused:
    """What is in the source and the target, what refuses to migrate it, what is noted otherwise, and what helps.

    Without a remedy it is what the refusal says.
    """

    source: str
    said: tuple[str, ...]
    noted: tuple[str, ...]
    remedy: str = ""
    target: str = ""


REFUSED = {
    "objects, grants and default privileges of roles out of reach": Refused(
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
    ),
    "the schema public of a superuser": Refused(
        "ALTER SCHEMA public OWNER TO postgres;",
        ('may not act for postgres, as it has to for owner of schema "public"',),
        ("it is not given to postgres",),
        "GRANT postgres TO mig;",
    ),
    "a schema in the target that belongs to others": Refused(
        "COMMENT ON SCHEMA public IS 'ours'; GRANT USAGE ON SCHEMA public TO boss;",
        ('may not change what belongs to postgres in the target, as it has to for comment of schema "public"',),
        ("role mig of the target may not change what belongs to postgres in the target",),
        "ALTER SCHEMA public OWNER TO pg_database_owner; REVOKE ALL ON SCHEMA public FROM mig;",
        "ALTER SCHEMA public OWNER TO postgres; GRANT USAGE, CREATE ON SCHEMA public TO mig;"
        "GRANT CREATE ON SCHEMA public TO app;",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_can_not_be_given_is_refused_or_left_out_by_name(cloud: Cloud, case: Refused) -> None:
    source, target = cloud.platform.source, cloud.platform.target
    source.psql("ALTER SCHEMA public OWNER TO pg_database_owner;" + OF_APP + case.source)
    if case.target:
        target.psql(case.target)
    before = target.dump()
    (told,) = cloud.migrate().failures
    for said in case.said:
        assert said in told
    assert target.dump() == before

    for _ in range(2):
        done = cloud.migrate(owners="best_effort")
        assert done.failures == ()  # the comparison of the structure found none either
        for noted in case.noted:
            assert noted in str(done.notes)
        assert target.psql("SELECT count(*) FROM t") == "50"

    target.psql(case.remedy or " ".join(_statements(told)))
    assert cloud.migrate().failures == ()
    assert cloud.differences == []


def _statements(message: str) -> list[str]:
    """What a message tells somebody to run."""
    return re.findall(r"(?:GRANT|ALTER ROLE) [^;]*;", message)


def test_members_without_the_privileges_of_a_role_are_told_how_to_get_them(cloud: Cloud) -> None:
    target = cloud.platform.target
    if target.server.version >= 16:
        target.psql("REVOKE app FROM mig; GRANT app TO mig WITH INHERIT FALSE, SET TRUE")
    else:
        target.psql("ALTER ROLE mig NOINHERIT")
    cloud.platform.source.psql("ALTER SCHEMA public OWNER TO pg_database_owner;" + OF_APP)
    remedies = 0
    while told := cloud.migrate().failures:
        target.psql(" ".join(_statements("".join(told))))
        remedies += 1
        # Before 16 a role that does not inherit has to be told first that it may not even create tables.
        assert remedies <= (1 if target.server.version >= 16 else 2)
    assert remedies
    assert cloud.platform.source.psql(OWNERS) == target.psql(OWNERS)


OWNERS = "SELECT relname, relowner::regrole FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"


def test_another_role_goes_on_with_the_work_of_the_first(cloud: Cloud) -> None:
    target = cloud.platform.target
    cloud.platform.source.psql("ALTER SCHEMA public OWNER TO pg_database_owner;" + OF_APP)
    assert cloud.migrate().failures == ()
    target.psql("CREATE ROLE mig2 LOGIN PASSWORD 'write'")
    try:
        cloud.platform.set(TARGET_URL=Role("mig2", "write").url(target))
        remedies = 0
        while told := cloud.migrate().failures:
            target.psql(" ".join(_statements("".join(told))))
            remedies += 1
            assert remedies < 4, told
        assert remedies
        assert validate(cloud.platform.migration()).failures == ()
        cloud.platform.set(TARGET_URL=cloud.mig.url(target))
        assert cloud.migrate().failures == ()
    finally:
        target.psql("DROP OWNED BY mig2; DROP ROLE mig2")


def test_roles_that_are_created_can_own_and_grant_at_once(cloud: Cloud) -> None:
    source = cloud.platform.source
    source.psql(
        "ALTER SCHEMA public OWNER TO pg_database_owner;"
        + OF_APP
        + "CREATE ROLE svc_new; ALTER TABLE u OWNER TO svc_new;"
        "GRANT USAGE ON SCHEMA public TO app, svc_new;"
        "GRANT SELECT ON t TO svc_new WITH GRANT OPTION; SET ROLE svc_new; GRANT SELECT ON t TO analyst; RESET ROLE;"
    )
    assert cloud.migrate(create_roles=True).failures == ()
    assert cloud.migrate().failures == ()
    assert cloud.differences == []


def test_best_effort_does_without_roles_that_the_target_lacks(cloud: Cloud) -> None:
    source = cloud.platform.source
    source.psql(
        "ALTER SCHEMA public OWNER TO pg_database_owner;"
        + OF_APP
        + "CREATE ROLE svc_new; ALTER TABLE u OWNER TO svc_new;"
        "GRANT SELECT ON t TO svc_new, analyst;"
    )
    (told,) = cloud.migrate().failures
    assert "owners: best_effort" in told
    done = cloud.migrate(owners="best_effort")
    assert done.failures == ()  # the comparison of the structure found none either
    assert "it is not given to svc_new" in str(done.notes)
    assert 'SELECT to "svc_new" by app is not granted' in str(done.notes)
    assert "analyst=r/app" in cloud.platform.target.psql(STATE)


def test_what_only_a_superuser_may_make_is_told_before_anything_is_touched(cloud: Cloud) -> None:
    cloud.platform.source.psql(
        "ALTER SCHEMA public OWNER TO pg_database_owner;"
        + OF_APP
        + "CREATE FUNCTION f(int) RETURNS int LANGUAGE internal"
        " STRICT AS 'int4abs'; CREATE FUNCTION g(int) RETURNS int LANGUAGE sql LEAKPROOF IMMUTABLE AS 'SELECT $1';"
    )
    (told,) = cloud.migrate().failures
    assert (
        "may not make what only a superuser may, as it has to for function public.f(integer), function public.g" in told
    )


def test_a_position_that_the_switch_does_not_have(shop: Platform) -> None:
    (told,) = shop.migrate_directly(owners="perhaps").failures
    assert "owners is 'perhaps', but must be true, false or best_effort" in told
