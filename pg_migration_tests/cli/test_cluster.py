"""A whole server: a project with a pair for each database, and all of them moved by one command."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg2
import pytest
from click.testing import CliRunner

from pg_migration.cli.commands import main
from pg_migration.orchestration.project import Project
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.databases.server_databases import (
    ServerDatabase,
    create_statement,
    databases_of,
    make_like,
)
from pg_migration.postgres.errors import MigrationError
from pg_migration_tests.cli.conftest import ROOT, Ended, Terminal
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.location.projects import importable

NAMES = ("shop", "Shop", "odd \"name' %s", "closed")
ROLES = ("pair_owner", "pair reader")


@pytest.fixture(scope="module")
def servers(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """With some databases and roles on the first, none of which the second has."""
    old, new = postgres16, postgres18
    with ExitStack() as stack:
        old.psql(old.url(), f"CREATE ROLE {ROLES[0]} LOGIN PASSWORD 's'; CREATE ROLE \"{ROLES[1]}\"")
        stack.callback(drop_roles, old, new)
        for number, name in enumerate(NAMES):
            options = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'" if number == 1 else ""
            url = old.create_database(name, options)
            stack.callback(drop, old, new, name)
            old.psql(
                url,
                f"CREATE TABLE t (id integer PRIMARY KEY, v text); ALTER TABLE t OWNER TO {ROLES[0]};"
                f"INSERT INTO t SELECT n, 'row' FROM generate_series(1, {100 + number}) AS n;"
                f'GRANT SELECT ON t TO "{ROLES[1]}"; CREATE SCHEMA more; CREATE TABLE more.u (id integer)',
            )
        old.psql(old.url(), "UPDATE pg_database SET datallowconn = false WHERE datname = 'closed'")
        yield old, new


def drop(old: PostgresServer, new: PostgresServer, name: str) -> None:
    quoted = name.replace('"', '""')
    for server in (old, new):
        server.psql(server.url(), f'DROP DATABASE IF EXISTS "{quoted}" WITH (FORCE)')


def drop_roles(old: PostgresServer, new: PostgresServer) -> None:
    for server in (old, new):
        server.psql(server.url(), f'DROP ROLE IF EXISTS {ROLES[0]}; DROP ROLE IF EXISTS "{ROLES[1]}"')


def ours(names: list[str]) -> list[str]:
    """Without databases that other tests have made on these servers."""
    return [name for name in names if name in NAMES]


def test_the_databases_of_a_server(servers: tuple[PostgresServer, PostgresServer]) -> None:
    found = {one.name: one for one in databases_of(Endpoint.parse(Side.SOURCE, servers[0].url(), "SOURCE"))}
    assert ours(list(found)) == sorted(NAMES[:3])  # none that takes no connections
    assert not {"template0", "template1", "postgres"} & set(found)  # postgres is empty
    assert (found["Shop"].encoding, found["Shop"].collate) == ("LATIN1", "C")


def test_a_database_is_made_as_it_is_in_the_source(servers: tuple[PostgresServer, PostgresServer]) -> None:
    ends = [
        Endpoint.parse(side, server.url(), side.name).at("Shop") for side, server in zip(Side, servers, strict=True)
    ]
    made = make_like(*ends)
    assert made is not None
    assert made.startswith("CREATE DATABASE \"Shop\" TEMPLATE template0 ENCODING 'LATIN1'")
    assert make_like(*ends) is None  # which is there now
    looks = "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database WHERE datname = 'Shop'"
    assert servers[0].psql(servers[0].url(), looks) == servers[1].psql(servers[1].url(), looks)
    with pytest.raises(MigrationError, match="template"):
        make_like(ends[0].at("template1"), ends[1].at("another"))
    servers[1].psql(servers[1].url(), "CREATE ROLE pair_poor LOGIN PASSWORD 'p'")
    try:
        poor = Endpoint.parse(Side.TARGET, re.sub("//.*@", "//pair_poor:p@", servers[1].url()), "T").at("another")
        with pytest.raises(MigrationError, match=r"permission denied.*CREATE DATABASE") as refused:
            make_like(ends[0], poor)
        assert "//pair_poor@" in str(refused.value)
    finally:
        servers[1].psql(servers[1].url(), "DROP ROLE pair_poor")
        servers[1].psql(servers[1].url(), 'DROP DATABASE "Shop"')


@pytest.mark.parametrize(
    ("provider", "locale", "rules", "told"),
    [
        ("libc", None, None, "LOCALE_PROVIDER 'libc' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"),
        ("icu", "de", "&a < g", "LC_CTYPE 'C.UTF-8' ICU_LOCALE 'de' ICU_RULES '&a < g'"),
        ("builtin", "C.UTF-8", None, "LC_CTYPE 'C.UTF-8' BUILTIN_LOCALE 'C.UTF-8'"),
    ],
)
def test_the_statement_has_what_can_be_chosen_at_first_only(
    target_db: str, provider: str, locale: str | None, rules: str | None, told: str
) -> None:
    connection = psycopg2.connect(target_db)
    try:
        like = ServerDatabase("d", "UTF8", "C", "C.UTF-8", provider, locale, rules)
        assert create_statement(like, 'a"b', connection).endswith(told)
        assert create_statement(like, 'a"b', connection).startswith('CREATE DATABASE "a""b" TEMPLATE template0')
    finally:
        connection.close()


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[CliRunner]:
    """The command in this process, in an empty folder."""
    for name in [name for name in os.environ if name.startswith("PG_MIGRATION_")]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with importable(tmp_path):
        yield CliRunner()


def test_a_project_for_a_server(
    servers: tuple[PostgresServer, PostgresServer], typed: CliRunner, tmp_path: Path
) -> None:
    old, new = (server.url() for server in servers)
    (tmp_path / ".env").write_text("OTHER=1")
    (tmp_path / ".env").chmod(0o644)
    ended = typed.invoke(main, ["init", "--cluster", old, new])
    assert ended.exit_code == 0, ended.output
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    passwords = [psycopg2.extensions.parse_dsn(url)["password"] for url in (old, new)]
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != ".env":
            assert not any(password in path.read_text() for password in passwords), path
    assert not any(password in ended.output for password in passwords)
    variables = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert variables.pop("OTHER") == "1"
    project = Project.around(tmp_path)
    assert project is not None
    named = {
        Endpoint.parse(Side.SOURCE, variables[pair.source], "S").database: name
        for name, pair in project.pairs().items()
    }
    assert {database: named[database] for database in NAMES[:3]} == {
        "Shop": "shop",
        "shop": "shop_2",
        "odd \"name' %s": "odd_name_s",
    }
    again = typed.invoke(main, ["init", "--cluster", old, new])
    assert again.exit_code == 2
    assert "already" in again.output


def test_commands_say_what_is_wrong_with_pairs(typed: CliRunner, tmp_path: Path) -> None:
    told = typed.invoke(main, ["run", "--pair", "shop"])
    assert (told.exit_code, "belongs to no Dagster project" in told.output) == (2, True)
    assert typed.invoke(main, ["init", "postgresql://a@127.0.0.1:1/x", "postgresql://b@127.0.0.1:1/x"]).exit_code == 0
    for arguments, said in (
        (["run", "--pair", "shop"], "no pair 'shop', but x"),
        (["run", "--pair", "x", "--all"], "--all is about every pair"),
        (["compare", "--pair", "x", "--source", "host=h"], "can't be combined"),
        (["prepare"], "give --pair or --all"),
        (["preflight", "--pair", "x", "--workers", "0"], "workers is 0"),
    ):
        told = typed.invoke(main, arguments)
        assert (told.exit_code, said in " ".join(told.output.split())) == (2, True), told.output
    below = tmp_path / "moves" / "defs"
    os.chdir(below)  # the project's .env counts there, too
    told = typed.invoke(main, ["status", "--all", "--json"])
    os.chdir(tmp_path)
    assert told.exit_code == 1
    assert "can't connect to the target" in json.loads(told.stdout)[0]["problem"]
    pairs = tmp_path / "moves" / "defs" / "databases" / "defs.yaml"
    document = pairs.read_text()
    twice = (
        document.replace("'*'", "public") + "---\n" + document.replace("'*'", "public").replace("name: x", "name: y")
    )
    pairs.write_text(twice)
    told = typed.invoke(main, ["run", "--all"])
    assert (told.exit_code, "pair y and pair x both write into public of 127.0.0.1:1/x" in told.output) == (2, True)
    pairs.unlink()
    for command in ("run", "status", "prepare"):
        told = typed.invoke(main, [command, "--all"])
        assert (told.exit_code, "the project has no pair" in told.output) == (2, True), told.output
    pairs.write_text(document.replace("source_schemas", "source_schema"))
    told = typed.invoke(main, ["run", "--all"])
    assert told.exit_code == 2
    assert re.search(r"attributes\.source_schema at .*defs\.yaml:9", told.output), told.output


@pytest.mark.deployment
def test_a_whole_server_moves(
    servers: tuple[PostgresServer, PostgresServer], terminal: Terminal, tmp_path: Path
) -> None:
    """Roles and databases first, then all side by side; one that fails takes no other along, and the status says it."""
    old, new = servers
    folder = tmp_path / "cluster"
    folder.mkdir()

    def command(*arguments: str) -> Ended:
        return at(terminal, folder, *arguments)

    assert command("init", "--cluster", old.url(), new.url()).status == 0
    only_ours(folder)
    moved = command("run", "--all", "--at-once", "2", "--json")
    assert moved.status == 0, moved.errors
    told = json.loads(moved.output)
    assert told["succeeded"] is True
    assert {one["pair"]: one["report"]["succeeded"] for one in told["pairs"]} == {
        "shop": True,
        "shop_2": True,
        "odd_name_s": True,
    }
    for number, name in enumerate(NAMES[:3]):
        url = new.url(name)
        assert new.psql(url, "SELECT count(*) FROM t") == f"{100 + number}\n"
        assert new.dump_schema(url, None, "--exclude-schema=_pg_migration") == old.dump_schema(old.url(name))
    new.psql(new.url("shop"), "DELETE FROM t WHERE id = 1")
    checked = command("validate", "--all")
    assert checked.status == 1
    lines = {line.split()[0]: line for line in checked.output.splitlines() if line}
    assert "FAILED" in lines["shop_2"]
    assert "public.t" in lines["shop_2"]
    assert "succeeded" in lines["shop"]
    assert "2 of 3 pairs succeeded" in checked.output
    assert command("status", "--all").output.count("succeeded") == 3
    assert command("report", "--pair", "shop_2").status == 1
    assert command("report", "--pair", "shop").status == 0
    assert command("run", "--pair", "shop_2").status == 0
    assert command("validate", "--all").status == 0


def at(terminal: Terminal, folder: Path, *arguments: str) -> Ended:
    environment = {
        name: value
        for name, value in terminal.environment(PG_MIGRATION_REPORTS="").items()
        if not name.endswith("_URL")
    }
    done = subprocess.run(
        [terminal.starting.programs / "pg_migration", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def only_ours(folder: Path) -> None:
    """Take databases of other tests out of the project."""
    pairs = folder / "moves" / "defs" / "databases" / "defs.yaml"
    documents = pairs.read_text().split("---\n")
    kept = [text for text in documents if re.search(r"name: (shop|shop_2|odd_name_s)\n", text)]
    pairs.write_text("---\n".join(kept))
