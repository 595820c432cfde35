"""Embedded servers: start, stop, crash, reboot, and the places that root's servers can live in."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from pg_migration.devtools import servers
from pg_migration_tests.conftest import TEMPORARY, PostgresServer

pytestmark = pytest.mark.system

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def query(url: str, statement: str) -> object:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            (value,) = cursor.fetchone()
            return value
    finally:
        connection.close()


@contextmanager
def closed_folder(patch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder that nobody but its owner can enter, as root's home is, where temporary files are made."""
    patch.setattr(tempfile, "tempdir", str(TEMPORARY))  # what root's servers can reach
    path = Path(tempfile.mkdtemp(prefix="pg_migration_tests-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with closed_folder(monkeypatch) as path:
        yield path


@pytest.fixture(scope="module")
def cluster() -> Iterator[servers.Server]:
    """One for several tests, as it takes a second to make."""
    with pytest.MonkeyPatch.context() as patch, closed_folder(patch) as folder:
        account = servers.server_account()
        place = servers.workshop(folder / "servers", account)
        programs = servers.usable(servers.embedded(18), account, place)
        yield servers.Server(programs, place / "one", account, {"fsync": "off"})
        servers.demolish(folder / "servers")
        assert not place.exists()


@pytest.fixture
def server(cluster: servers.Server) -> Iterator[servers.Server]:
    """It does not run; before the first test it has no data either."""
    yield cluster
    cluster.stop("immediate")


def test_both_versions(postgres16: PostgresServer, postgres18: PostgresServer) -> None:
    assert int(str(query(postgres16.url(), "SHOW server_version_num"))) // 10000 == postgres16.version == 16
    assert int(str(query(postgres18.url(), "SHOW server_version_num"))) // 10000 == postgres18.version == 18


def test_start_twice_stop_twice(server: servers.Server) -> None:
    assert not server.is_running()
    server.start()
    port = server.port
    server.start()
    assert server.is_running()
    assert server.port == port
    server.stop()
    server.stop()
    assert not server.is_running()
    with pytest.raises(servers.ServerFailed, match="does not run"):
        server.url()


def test_only_the_password_opens_it(server: servers.Server) -> None:
    server.start()
    assert query(server.url(), "SHOW password_encryption") == "scram-sha-256"
    assert server.password not in repr(server)
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(server.url().replace(server.password, "wrong"))


def test_data_and_port_survive_a_crash(server: servers.Server) -> None:
    server.start()
    port = server.port
    query(server.url(), "CREATE TABLE kept (i int); COMMIT; SELECT 1")
    server.stop("immediate")
    server.start()
    assert server.port == port
    assert query(server.url(), "SELECT to_regclass('kept') IS NOT NULL") is True


def test_another_port_when_the_last_one_is_taken(server: servers.Server) -> None:
    server.start()
    port = server.port
    server.stop()
    with socket.create_server((servers.HOST, port)):
        server.start()
        assert server.port != port


def test_a_pid_file_from_before_the_reboot(server: servers.Server) -> None:
    server.start()
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    # The number belongs to this process now.
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
    assert not server.is_running()
    server.start()
    assert server.is_running()
    assert query(server.url(), "SELECT 1") == 1


def test_a_server_that_cannot_start_says_why(server: servers.Server) -> None:
    broken = servers.Server(server.installation, server.folder, server.account, {"shared_buffers": "nonsense"})
    with pytest.raises(servers.ServerFailed, match="invalid value for parameter"):
        broken.start()


@as_root
def test_root_works_through_a_folder_that_others_can_enter(folder: Path) -> None:
    account = servers.server_account()
    place = servers.workshop(folder / "servers", account)
    assert account.uid != 0
    assert (folder / "servers").is_symlink()
    assert servers.workshop(folder / "servers", account) == place
    place.rmdir()
    assert servers.workshop(folder / "servers", account).is_dir()
    servers.demolish(folder / "servers")
    assert list(folder.iterdir()) == []


@as_root
def test_temporary_files_that_others_cannot_reach(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(servers.ServerFailed, match="Set TMPDIR to a folder that everybody can enter"):
        servers.temporary_folder("servers", servers.server_account())
    assert list(folder.iterdir()) == []


@as_root
def test_root_copies_programs_that_others_cannot_reach(folder: Path, server: servers.Server) -> None:
    account = servers.server_account()
    wheel = servers.embedded(18).bindir.parents[1]
    for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        (folder / part.name).symlink_to(part)
    hidden = servers.Installation(folder / servers.embedded(18).bindir.relative_to(wheel.parent))
    place = servers.workshop(folder / "servers", account)
    found = servers.usable(hidden, account, place)
    assert place in found.bindir.parents
    assert servers.usable(hidden, account, place) == found
    by_the_copy = replace(server, installation=found)
    by_the_copy.start()
    assert query(by_the_copy.url(), "SELECT 1") == 1
    by_the_copy.stop("immediate")
    servers.demolish(folder / "servers")
