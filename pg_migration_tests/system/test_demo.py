"""The demo from outside: its commands on a little data; and whole, the way of `make demo` in a clean folder too."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from pg_migration.devtools.demo import flights
from pg_migration.devtools.demo.__main__ import DATABASE, Demo, main
from pg_migration.devtools.servers import server_account
from pg_migration_tests.conftest import TEMPORARY, PostgresServer
from pg_migration_tests.devtools.few_flights import FLIGHTS, use_few_flights
from pg_migration_tests.programs import PYTHON

pytestmark = pytest.mark.system

ROOT = Path(__file__).parent.parent.parent
ROWS = {"flights": 336_776, "weather": 26_115, "planes": 3_322, "airports": 1_458, "airlines": 16}
PATIENCE_SECONDS = 600


def table(output: str) -> dict[str, list[str]]:
    """The closing table: by relation its other columns."""
    lines = output.split("\nrelation", 1)[1].splitlines()[1:]
    return {line.split()[0]: line.split()[1:] for line in lines[: len(ROWS)]}


def assert_everything_arrived(output: str, flights: int = ROWS["flights"]) -> None:
    shown = table(output)
    assert set(shown) == set(ROWS)
    for relation, (source, target, partitions, *copy, rate, passed, verdict) in shown.items():
        assert source == target == f"{flights if relation == 'flights' else ROWS[relation]:,}"
        assert (int(partitions) > 1) == (relation == "flights" and flights > 100_000)
        assert float(copy[0]) >= 0
        assert copy[-1] == "s"
        assert int(rate.replace(",", "")) > 0
        assert verdict == "passed"
        assert int(passed) >= 1


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder that only its owner can enter, so that root's servers lie elsewhere."""
    with TemporaryDirectory(dir=TEMPORARY) as folder:
        yield Path(folder)


@pytest.mark.deployment
def test_make_demo_in_a_clean_folder(place: Path) -> None:
    """From nothing but a Python and make; then again, which would only run it: another test sees what that does."""
    clone = place / "a clone"
    kept = (".venv", ".demo", ".engine", ".env", ".*cache", "__pycache__", "*.egg-info")
    untracked = shutil.ignore_patterns(".git", *kept)
    shutil.copytree(ROOT, clone, ignore=untracked)
    # A make that runs these tests hands its own flags and level down, with which another make names its folders.
    foreign = ("PG", "DAGSTER_", "COVERAGE_", "MAKE", "MFLAGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}

    def make(*targets: str) -> str:
        done = subprocess.run(
            ["make", *targets, f"PYTHON={sys.executable}"],
            cwd=clone,
            env={**kept, "TMPDIR": str(TEMPORARY), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    try:
        first = make("demo")
        assert "pip install" in first
        assert_everything_arrived(first)
        assert list((clone / ".venv").glob("lib/*/site-packages/dagster/__pycache__/*.pyc"))
        assert make("--dry-run", "demo") == ".venv/bin/python -m pg_migration.devtools.demo run\n"
    finally:
        servers = (clone / ".demo" / "servers").resolve()
        make("clean")
    assert not servers.exists()
    assert not (clone / ".demo").exists()
    assert not (clone / ".venv").exists()


def test_a_checkout_that_cannot_be_written(servers_folder: Path) -> None:
    checkout, account = servers_folder / "read only", server_account()
    checkout.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    checkout.chmod(0o555)
    done = subprocess.run(
        ["make", "demo"],
        cwd=checkout,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        user=account.uid,
    )
    assert done.returncode != 0
    assert f"{checkout} can't be written" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.fixture
def folder(place: Path) -> Iterator[Path]:
    folder = place / ".demo"
    yield folder
    assert demo("clean", folder).returncode == 0
    assert not folder.exists()


def demo(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pg_migration.devtools.demo", command, "--folder", folder],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(TEMPORARY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.longer
def test_a_little_data(
    folder: Path, programs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """First without the package that has the data."""
    monkeypatch.setattr(sys, "executable", str(programs / PYTHON))
    monkeypatch.setattr(tempfile, "tempdir", str(TEMPORARY))
    monkeypatch.setenv("PG_MIGRATION_REPORTS", "off")
    monkeypatch.chdir(ROOT)

    def told(command: str, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["demo", command, "--folder", str(folder)])
        assert main() == status
        output, errors = capfd.readouterr()
        return errors if status else output

    assert told("status") == ""
    with monkeypatch.context() as without:
        without.setattr(flights, "PACKAGE", "no-such-package")
        missing = "the package no-such-package is missing: pip install 'pg_migration[demo]'\n"
        assert told("run", 1) == missing
    use_few_flights(monkeypatch, folder.parent)
    first = told("run")
    assert_everything_arrived(first, FLIGHTS)
    assert (folder / "servers" / "source" / "password").read_text() not in first
    assert re.findall(r"^(\w+): PostgreSQL (\d+) at 127", told("status"), re.MULTILINE) == [
        ("source", "16"),
        ("target", "18"),
    ]
    told("stop")
    assert told("status").count("stopped") == 2


@pytest.mark.deployment
def test_run_status_stop_and_run_again(folder: Path) -> None:
    assert demo("status", folder).stdout == ""
    first = demo("run", folder)
    assert first.returncode == 0, first.stdout
    assert_everything_arrived(first.stdout)
    password = (folder / "servers" / "source" / "password").read_text()
    assert password not in first.stdout
    assert re.findall(r"^(\w+): PostgreSQL (\d+) at 127", demo("status", folder).stdout, re.MULTILINE) == [
        ("source", "16"),
        ("target", "18"),
    ]
    assert demo("stop", folder).returncode == 0
    assert demo("status", folder).stdout.count("stopped") == 2
    again = demo("run", folder)
    assert again.returncode == 0, again.stdout
    assert_everything_arrived(again.stdout)

    target = Demo(folder).servers()["target"].url(DATABASE)
    PostgresServer(Demo(folder).servers()["target"]).psql(target, "ALTER TABLE flights DROP COLUMN minute")
    conflict = demo("run", folder)
    assert conflict.returncode == 1
    assert "drop_existing_tables" in conflict.stdout
    assert table(conflict.stdout)["flights"][-2:] == ["none", "ran"]


def served(log: str) -> list[dict[str, Any]] | None:
    """The assets that the server shows, as soon as it does: it says that it serves before it listens."""
    if (told := re.search(r"Serving dagster-webserver on (http://\S+)", log)) is None:
        return None
    query = {"query": "{assetsOrError {... on AssetConnection {nodes {key {path}}}}}"}
    request = urllib.request.Request(
        f"{told[1]}/graphql", json.dumps(query).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request) as response:
            nodes: list[dict[str, Any]] = json.load(response)["data"]["assetsOrError"]["nodes"]
    except urllib.error.URLError:
        return None
    return nodes


@pytest.mark.deployment
def test_ui(folder: Path) -> None:
    log = folder.with_name("ui.log")
    command = [sys.executable, "-m", "pg_migration.devtools.demo", "ui", "--folder", folder]
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "TMPDIR": str(TEMPORARY)}, stdout=output, stderr=output
        )
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while (nodes := served(log.read_text())) is None:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.5)
        assert ["public", "flights"] in [node["key"]["path"] for node in nodes]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=PATIENCE_SECONDS)
