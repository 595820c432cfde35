"""A code server that was started while the source was empty, and a run that is launched from it later."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from pg_migration.devtools.servers import HOST, free_port
from pg_migration_tests.cli.conftest import Terminal
from pg_migration_tests.programs import SCRIPTS

pytestmark = [pytest.mark.system, pytest.mark.deployment]

PATIENCE_SECONDS = 600
TABLES = """
CREATE TABLE keyed (id integer PRIMARY KEY); INSERT INTO keyed SELECT generate_series(1, 1000);
CREATE TABLE keyless (n integer); INSERT INTO keyless SELECT generate_series(1, 1000)
"""


@pytest.fixture
def workspace(terminal: Terminal) -> Iterator[Path]:
    """The server's workspace. Runs are processes of the server's, which load the source anew."""
    terminal.source.psql("DROP TABLE orders, customers")
    (terminal.home / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\n"
        "run_coordinator: {module: dagster._core.run_coordinator, class: DefaultRunCoordinator}\n"
    )
    port, file = free_port(), terminal.home / "workspace.yaml"
    file.write_text(yaml.safe_dump({"load_from": [{"grpc_server": {"host": HOST, "port": port}}]}))
    with (terminal.home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [SCRIPTS / "dagster", "api", "grpc", "-m", "pg_migration.definitions", "-h", HOST, "-p", str(port)],
            env=terminal.environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        check = ("dagster", "api", "grpc-health-check", "-h", HOST, "-p", str(port))
        wait_until(lambda: terminal.run(*check).status == 0)
        yield file
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not look():
        assert time.monotonic() < end
        time.sleep(0.5)


def test_the_run_says_reload(terminal: Terminal, workspace: Path) -> None:
    terminal.source.psql(TABLES)
    before = terminal.target.dump()
    launched = terminal.run("dagster", "job", "launch", "-w", workspace, "-j", "migrate")
    assert launched.status == 0, launched.output
    with dg.DagsterInstance.from_config(str(terminal.home)) as instance:
        (run,) = instance.get_runs()
        wait_until(lambda: instance.get_runs()[0].is_finished)
        assert instance.get_runs()[0].status is dg.DagsterRunStatus.FAILURE
        failed = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        told = [entry.get_dagster_event().step_failure_data.user_failure_data for entry in failed]
    assert told
    assert all(failure is not None and "Reload the code location" in str(failure.description) for failure in told)
    assert terminal.target.dump() == before
