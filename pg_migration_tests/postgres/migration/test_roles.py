"""The roles that a database needs, made on another server, judged by what pg_dumpall says of both."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import psycopg2
import pytest
from click.testing import CliRunner

from pg_migration.cli.commands import main
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.roles import make_roles, roles_of
from pg_migration.postgres.roles.server_roles import OnSetting, Receiver, RolesPlan, ServerRoles, plan_roles
from pg_migration_tests.conftest import PostgresServer, run

PREFIX = "rolestest_"
OWNER, READER, GROUP, LOGIN, MANAGER, STRANGER = (
    f"{PREFIX}{name}" for name in ("owner", "reader", 'group "x', "login", "manager", "stranger")
)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


ROLES = f"""
    CREATE ROLE {OWNER} NOLOGIN CREATEDB;
    CREATE ROLE {READER} NOLOGIN NOINHERIT CONNECTION LIMIT 3 VALID UNTIL '2031-02-03 04:05:06+00';
    CREATE ROLE {quoted(GROUP)} NOLOGIN BYPASSRLS;
    CREATE ROLE {LOGIN} LOGIN PASSWORD 'it''s secret' REPLICATION;
    CREATE ROLE {MANAGER} LOGIN CREATEROLE;
    CREATE ROLE {STRANGER} LOGIN SUPERUSER;
    COMMENT ON ROLE {OWNER} IS 'owns the shop''s tables';
    ALTER ROLE {LOGIN} SET search_path = "a b", public;
    ALTER ROLE {LOGIN} SET work_mem = '7MB';
    ALTER ROLE {LOGIN} SET "my.own" = 'x, ''y''';
    GRANT {quoted(GROUP)} TO {OWNER} WITH ADMIN OPTION;
    GRANT {OWNER} TO {MANAGER} WITH ADMIN OPTION;
    GRANT {OWNER} TO {LOGIN} WITH INHERIT FALSE, SET TRUE GRANTED BY {MANAGER};
    GRANT pg_monitor TO {READER};
    GRANT SET, ALTER SYSTEM ON PARAMETER log_min_messages TO {OWNER};
    GRANT SET ON PARAMETER my.own TO {quoted(GROUP)} WITH GRANT OPTION;
    GRANT SET ON PARAMETER work_mem TO {STRANGER};
"""
SHOP = f"""
    CREATE TABLE shop (id int); ALTER TABLE shop OWNER TO {OWNER}; GRANT SELECT ON shop TO {READER};
    DO $$BEGIN EXECUTE format('ALTER ROLE {LOGIN} IN DATABASE %I SET work_mem = 1000', current_database()); END$$;
"""
NEEDED = {OWNER, READER, GROUP, LOGIN, MANAGER}


def dumped(server: PostgresServer, programs: PostgresServer) -> set[str]:
    """What pg_dumpall says of these roles."""
    text = run([programs.bindir / "pg_dumpall", "--roles-only", "-d", server.url()])
    return {line for line in text.splitlines() if PREFIX in line and not line.startswith("--")}


def forget(server: PostgresServer) -> None:
    names = server.psql(server.url(), f"SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE '{PREFIX}%'")
    if found := ", ".join(names.split("\n")).strip(", "):
        for grantee in found.split(", "):
            server.psql(server.url(), f"DROP OWNED BY {grantee} CASCADE")
        server.psql(server.url(), f"DROP ROLE {found}")


@pytest.fixture
def migration(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str
) -> Iterator[Migration]:
    for server in (postgres16, postgres18):
        forget(server)
    postgres16.psql(postgres16.url(), ROLES)
    postgres16.psql(source_db, SHOP)
    try:
        yield Migration.between(source_db, target_db)
    finally:
        postgres16.psql(source_db, f"DROP OWNED BY {OWNER}, {READER} CASCADE")
        for server in (postgres16, postgres18):
            forget(server)


def test_the_roles_are_made_as_they_were(
    migration: Migration, postgres16: PostgresServer, postgres18: PostgresServer
) -> None:
    plan, made = make_roles(migration)
    assert [one.error for one in made if one.error] == []
    assert plan.notes == ()
    wanted = {line for line in dumped(postgres16, postgres18) if STRANGER not in line}
    assert dumped(postgres18, postgres18) == wanted
    assert any("SCRAM-SHA-256$" in line for line in wanted)
    assert sum("ON PARAMETER" in line for line in wanted) == 2
    again, none = make_roles(migration)
    assert (again.statements, none) == ((), [])


def test_what_is_there_stays_as_it_is_and_gets_memberships(migration: Migration, postgres18: PostgresServer) -> None:
    postgres18.psql(postgres18.url(), f"CREATE ROLE {LOGIN} LOGIN PASSWORD 'another'; CREATE ROLE {OWNER}")
    before = {line for line in dumped(postgres18, postgres18) if "PASSWORD" in line}
    plan, made = make_roles(migration)
    assert [one.error for one in made if one.error] == []
    assert set(plan.notes) == {
        f"role {LOGIN} is there and stays as it is; the source's differs in replication",
        f"role {OWNER} is there and stays as it is; the source's differs in createdb",
    }
    after = dumped(postgres18, postgres18)
    assert before <= after
    assert not any("search_path" in line for line in after)
    assert any(line.startswith(f"GRANT {OWNER} TO {LOGIN}") for line in after)


def test_a_role_that_is_no_superuser_makes_what_it_may(
    migration: Migration, postgres18: PostgresServer, target_db: str
) -> None:
    clerk = f"{PREFIX}clerk"
    postgres18.psql(postgres18.url(), f"CREATE ROLE {clerk} LOGIN CREATEROLE PASSWORD 'clerk'")
    address = target_db.rpartition("@")[2]
    plan, made = make_roles(
        replace(migration, target=Endpoint.parse(Side.TARGET, f"postgresql://{clerk}:clerk@{address}", "URL"))
    )
    assert f"role {LOGIN} does not get replication: only a superuser may give that" in plan.notes
    refused = [one.statement.what for one in made if one.error]
    assert refused == [
        f"setting my.own of {LOGIN}",
        f"{READER} as a member of pg_monitor",
        f"ALTER SYSTEM on setting log_min_messages for {OWNER}",
        f"SET on setting log_min_messages for {OWNER}",
        f"SET on setting my.own for {GROUP}",
    ]
    created = postgres18.psql(postgres18.url(), f"SELECT rolname FROM pg_roles WHERE rolname LIKE '{PREFIX}%'")
    assert set(created.strip().split("\n")) == {*NEEDED, clerk}


def test_privileges_on_settings_for_everybody_and_for_an_old_server(postgres16: PostgresServer) -> None:
    needed = ServerRoles((), (), (OnSetting("my.own", None, "SET", False),), True)
    with closing(psycopg2.connect(postgres16.url())) as connection:
        (statement,) = plan_roles(needed, None, connection).statements
        assert statement.text == 'GRANT SET ON PARAMETER "my"."own" TO PUBLIC'
        plan = plan_roles(needed, Receiver(140000, True, frozenset(), {}, frozenset(), frozenset()), connection)
    assert plan == RolesPlan((), ("PUBLIC gets no SET on my.own: that came with 15",))


def test_without_passwords_none_is_told(migration: Migration) -> None:
    plan = roles_of(migration.source, "public", passwords=False)
    assert not any("PASSWORD" in statement.text for statement in plan.statements)
    assert plan.notes == ()
    told = roles_of(migration.source, "public")
    assert [s.what for s in told.statements if s.secret] == ["role postgres", f"role {LOGIN}"]


@pytest.mark.usefixtures("migration")
def test_passwords_that_can_not_be_read_are_told(postgres16: PostgresServer, source_db: str) -> None:
    reader = f"{PREFIX}looks"
    postgres16.psql(postgres16.url(), f"CREATE ROLE {reader} LOGIN PASSWORD 'looks'")
    url = f"postgresql://{reader}:looks@{source_db.rpartition('@')[2]}"
    plan = roles_of(Endpoint.parse(Side.SOURCE, url, "URL"), "public")
    assert not any("PASSWORD" in statement.text for statement in plan.statements)
    assert plan.notes == ("passwords can't be read by this role (pg_authid): roles that log in get none",)


@pytest.mark.usefixtures("migration")
def test_the_command_prints_and_applies(source_db: str, target_db: str, postgres18: PostgresServer) -> None:
    printed = CliRunner().invoke(main, ["roles", "--all", "--source", source_db])
    assert printed.exit_code == 0, printed.output
    assert f'CREATE ROLE "{OWNER}" WITH CREATEDB;' in printed.output.splitlines()
    applied = CliRunner().invoke(main, ["roles", "--apply", "--source", source_db, "--target", target_db])
    assert applied.exit_code == 0, applied.output
    assert f"made: role {OWNER}" in applied.output.splitlines()
    assert "SCRAM" not in applied.output
    again = CliRunner().invoke(main, ["roles", "--apply", "--source", source_db, "--target", target_db])
    assert again.output == "the target has every role that is needed\n"
    wrong = CliRunner().invoke(main, ["roles", "--apply", "--all", "--source", source_db])
    assert wrong.exit_code == 2
    postgres18.psql(postgres18.url(), f'ALTER ROLE {MANAGER} RENAME TO "{PREFIX}another"')
    lacking = CliRunner().invoke(main, ["roles", "--source", source_db, "--target", target_db])
    assert lacking.output.splitlines()[0] == f'CREATE ROLE "{MANAGER}" WITH CREATEROLE LOGIN;'


@pytest.mark.usefixtures("migration")
def test_a_name_with_a_line_break_ends_no_comment(
    source_db: str, target_db: str, postgres16: PostgresServer, postgres18: PostgresServer
) -> None:
    """What is printed is run by psql: behind a line break, a note would be a statement."""
    hostile = f'"{PREFIX}a\nCREATE TABLE injected ();--"'
    postgres16.psql(postgres16.url(), f"CREATE ROLE {hostile} CREATEDB")
    postgres18.psql(postgres18.url(), f"CREATE ROLE {hostile}")
    postgres16.psql(source_db, f"GRANT SELECT ON shop TO {hostile}")
    try:
        printed = CliRunner().invoke(main, ["roles", "--source", source_db, "--target", target_db])
        assert printed.exit_code == 0, printed.output
        assert "stays as it is" in printed.output
        postgres18.psql(target_db, printed.output)
        assert postgres18.psql(target_db, "SELECT to_regclass('injected') IS NULL").strip() == "t"
    finally:
        postgres16.psql(source_db, f"DROP OWNED BY {hostile}")
        for server in (postgres16, postgres18):
            server.psql(server.url(), f"DROP ROLE {hostile}")
