"""Whether the process of a run lives is known to others, whatever it dies of."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import dagster as dg
import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from pg_migration.orchestration import run_launcher
from pg_migration.orchestration.dagster_internals.launching import WorkerStatus
from pg_migration.orchestration.storage import run_locks
from pg_migration.orchestration.storage.run_locks import AdvisoryLocks, FileLocks
from pg_migration_tests.conftest import PostgresServer, fresh_database
from pg_migration_tests.programs import called

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 600
# Runs one after the other, each of which lasts until somebody writes a line, in a process of their own.
PROGRAM = """
import sys, dagster as dg

@dg.op
def wait() -> None:
    sys.stdin.readline()

@dg.job
def waiting() -> None:
    wait()

with dg.DagsterInstance.get() as instance:
    for run_id in sys.argv[1:]:
        waiting.execute_in_process(instance=instance, run_id=run_id)
"""


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def instance(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres18: PostgresServer
) -> Iterator[dg.DagsterInstance]:
    """An instance with the project's own settings."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(ROOT / "dagster.yaml", home)
    with contextmanager(fresh_database)(postgres18) as database, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        patch.delenv("DAGSTER_POSTGRES_HOST", raising=False)
        if request.param == "postgresql":
            known = parse_dsn(database)
            named = {"HOST": "host", "PORT": "port", "DB": "dbname", "USER": "user", "PASSWORD": "password"}
            for variable, key in named.items():
                patch.setenv(f"DAGSTER_POSTGRES_{variable}", known[key])
        with dg.DagsterInstance.get() as instance:
            yield instance


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus | None:
    found = instance.get_run_by_id(run_id)
    return found and found.status


def health(instance: dg.DagsterInstance, run_id: str) -> WorkerStatus:
    """What Dagster's monitoring of runs is told."""
    assert instance.run_launcher.supports_check_run_worker_health
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return instance.run_launcher.check_run_worker_health(found).status


def test_a_process_that_is_gone_is_missed(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, programs: Path, tmp_path: Path
) -> None:
    ended, killed = str(uuid4()), str(uuid4())
    (tmp_path / "program.py").write_text(PROGRAM)
    command = f"exec {called(programs, tmp_path / 'program.py')} {ended} {killed}"
    child = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, text=True)
    assert child.stdin is not None
    with child.stdin:  # the end of which would end the run as well
        try:
            for run_id in (ended, killed):
                wait_for(
                    lambda run=run_id: child.poll() is None and status(instance, run) is dg.DagsterRunStatus.STARTED
                )
                assert health(instance, run_id) is WorkerStatus.RUNNING
                if run_id == ended:
                    child.stdin.write("go on\n")
                    child.stdin.flush()
        finally:
            child.kill()
            child.wait()
        # It may come back, as after a restart of Dagster's database.
        assert health(instance, killed) is WorkerStatus.RUNNING
        monkeypatch.setattr(run_launcher, "FREE_FOR_SECONDS", 0.0)
        wait_for(lambda: health(instance, killed) is WorkerStatus.FAILED)
    assert status(instance, ended) is dg.DagsterRunStatus.SUCCESS
    assert [path.name for path in Path(instance.root_directory).rglob("running/*")] in ([], [killed])
    instance.delete_run(killed)
    assert not list(Path(instance.root_directory).rglob("running/*"))


def test_a_run_of_which_nobody_knows_is_let_be(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(dg.GraphDefinition("empty").to_job(), status=dg.DagsterRunStatus.STARTED)
    assert health(instance, run.run_id) is WorkerStatus.RUNNING


def test_a_lock_comes_back_with_the_database(target_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_locks, "KEEP_SECONDS", 0.05)
    ours, others = AdvisoryLocks(target_db), AdvisoryLocks(target_db)
    assert ours.hold("a")
    assert ours.hold("b")
    with closing(psycopg2.connect(target_db)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    wait_for(lambda: others.is_held("a") and others.is_held("b"))
    ours.release("a")
    assert [others.is_held(run) for run in "ab"] == [False, True]
    ours.release("b")
    assert not others.is_held("b")


def test_a_run_goes_on_without_a_lock(tmp_path: Path) -> None:
    assert not AdvisoryLocks("postgresql://localhost:1/none").hold("a")
    (tmp_path / "file").touch()
    assert not FileLocks(tmp_path / "file").hold("a")
