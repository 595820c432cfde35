"""Connection poolers between us and a server: those that keep a session for a client do, the others are refused."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from pg_migration.devtools.servers import free_port, server_account
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.migration import preflight, validate
from pg_migration.postgres.preflight import Severity
from pg_migration_tests.conftest import SHOP, PostgresServer
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Platform

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
Pooler = Callable[..., str]

# What applications find in their sessions: nothing that a migration sets may be there. (The name is the pooler's.)
SETTINGS = """
SELECT name, setting FROM pg_settings
 WHERE name <> 'application_name'
   AND (source NOT IN ('default', 'configuration file', 'command line', 'override', 'environment variable', 'client')
        OR name IN ('search_path', 'synchronous_commit', 'row_security'))
"""
REFUSAL = "is reached through a connection pooler that keeps no session for a client"


def answers(url: str) -> bool:
    """Whether somebody can connect."""
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True


@pytest.fixture
def pooler() -> Iterator[Pooler]:
    """Starts PgBouncer in front of a database; the URL through it."""
    if PROGRAM is None:
        pytest.skip("no pgbouncer is installed")
    processes = []

    def start(database: Database, mode: str, **options: object) -> str:
        known, port = parse_dsn(database.url), free_port()
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "pool_mode": mode,
            "auth_type": "any",
            "ignore_startup_parameters": "extra_float_digits",
            **options,
        }
        target = f"host={known['host']} port={known['port']} user={known['user']} password='{known['password']}'"
        configuration = f"[databases]\n{known['dbname']} = {target} dbname={known['dbname']}\n[pgbouncer]\n" + "".join(
            f"{name} = {value}\n" for name, value in lines.items()
        )
        # It refuses to be root, and can't read what lies in the folders of tests, which only their owner may enter.
        account = server_account()
        identity: Any = {"user": account.uid, "group": account.gid, "extra_groups": []} if os.geteuid() == 0 else {}
        script = 'f=$(mktemp) && printf %s "$1" > "$f" && exec "$2" -q "$f"'
        process = subprocess.Popen(["/bin/sh", "-c", script, "sh", configuration, PROGRAM], cwd="/", **identity)
        processes.append(process)
        url = f"postgresql://{known['user']}:{known['password']}@127.0.0.1:{port}/{known['dbname']}"
        deadline = time.monotonic() + 30
        while not answers(url):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return url

    yield start
    for process in processes:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def ends(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[tuple[Database, Database]]:
    """The shop's tables and an empty target, for all tests here whose runs are refused."""
    source, target = (Database(server, server.create_database()) for server in (postgres16, postgres18))
    source.psql(SHOP)
    yield source, target
    for database in (source, target):
        database.server.drop_database(database.url)


@pytest.fixture
def refused(ends: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Platform]:
    yield from serve(*ends, monkeypatch, tmp_path)


def errors(platform: Platform) -> list[str]:
    """What preflight says that a migration would be refused for."""
    return [str(found) for found in preflight(platform.migration()) if found.severity is Severity.ERROR]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("transaction", {}),
        ("transaction", {"default_pool_size": 1}),
        ("transaction", {"server_round_robin": 1, "min_pool_size": 10}),
        ("statement", {}),
    ],
)
def test_a_pool_of_transactions_is_refused(
    refused: Platform, pooler: Pooler, side: str, mode: str, options: dict[str, object]
) -> None:
    end: Database = getattr(refused, side)
    url = pooler(end, mode, **options)
    with closing(psycopg2.connect(url)) as application:
        application.autocommit = True
        with application.cursor() as cursor:
            cursor.execute(SETTINGS)
            was = cursor.fetchall()
            refused.set(**{f"{side.upper()}_URL": url})
            for job in (lambda: refused.migrate_directly().failures, lambda: errors(refused)):
                failures = job()
                assert any(REFUSAL in failure and side in failure for failure in failures), failures
                for _ in range(30):  # whichever session this is
                    cursor.execute(SETTINGS)
                    assert cursor.fetchall() == was
    assert refused.target.psql("SELECT count(*) FROM pg_namespace WHERE nspname = '_pg_migration'") == "0"
    assert end.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"


def test_a_pool_of_sessions_is_as_good_as_the_server(shop: Platform, pooler: Pooler) -> None:
    options = {"default_pool_size": 40}
    shop.set(SOURCE_URL=pooler(shop.source, "session", **options), TARGET_URL=pooler(shop.target, "session", **options))
    assert shop.migrate_directly().succeeded
    assert validate(shop.migration()).failures == ()
    assert errors(shop) == []


def test_a_pool_with_too_few_sessions_is_refused(
    refused: Platform, pooler: Pooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of waiting for a session that never comes, as long as the pooler has patience."""
    monkeypatch.setattr("pg_migration.postgres.connection.poolers.PATIENCE_SECONDS", 1.0)
    url = pooler(refused.target, "session", default_pool_size=1)
    refused.set(TARGET_URL=url)
    (told,) = refused.migrate_directly().failures
    assert REFUSAL in told
    assert "waits for a session, which does not come" in told


def test_a_server_itself_costs_no_second_connection(source_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr("pg_migration.postgres.connection.poolers._is_shared", lambda *_: asked.append(1))
    with Connections() as connections:
        connections.open(Endpoint.parse(Side.SOURCE, source_db, "URL"))
    assert not asked
