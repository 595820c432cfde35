"""Where commands have Dagster keep its records, and that its UI finds their runs there."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from pg_migration.devtools.servers import HOST, free_port
from pg_migration.orchestration import dagster_home
from pg_migration.orchestration.storage.event_log import LockingEventLog
from pg_migration_tests.cli.conftest import ROOT, Terminal
from pg_migration_tests.programs import SCRIPTS

LABEL = "__repository__@pg_migration.definitions"
PATIENCE_SECONDS = 600
LABELLED = """
query ($label: String!) {
  runsOrError(filter: {pipelineName: "preflight", tags: [{key: ".dagster/repository", value: $label}]}) {
    ... on Runs { results { status repositoryOrigin { repositoryName repositoryLocationName } } }
  }
}
"""


def runs(home: Path) -> dict[str, str | None]:
    """What Dagster itself reads in a home: the job of each run, and the code location that it is shown with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        instance = dg.DagsterInstance.from_config(str(home))
    with instance:
        found = {run.job_name: run.tags.get(".dagster/repository") for run in instance.get_runs()}
        origins = {run.job_name: run.remote_job_origin.repository_origin.get_label() for run in instance.get_runs()}
        assert all(run.tags["dagster/max_retries"] == "0" for run in instance.get_runs())
    assert found == origins
    return found


@pytest.fixture
def homeless(shared_terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    """A terminal of a user who has set nothing but the URLs."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return replace(shared_terminal, home=tmp_path)


def test_without_a_home_records_stay_in_the_users_cache(homeless: Terminal) -> None:
    done = homeless.command("preflight", DAGSTER_HOME="", PG_MIGRATION_REPORTS="off")
    assert done.status == 0, done.errors
    assert done.errors.startswith("pg_migration ui shows this run.\n")
    home = homeless.home / ".cache" / "pg_migration" / "dagster_home"
    assert runs(home) == {"preflight": LABEL}
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.event_log_storage, LockingEventLog)
        assert not instance.telemetry_enabled


def test_a_home_without_settings_gets_our_storage_and_no_file(homeless: Terminal) -> None:
    done = homeless.command("preflight", PG_MIGRATION_LOCATION="sales", PG_MIGRATION_REPORTS="off")
    assert done.status == 0
    assert done.errors.startswith("preflight: ")
    assert not (homeless.home / "dagster.yaml").exists()
    assert runs(homeless.home) == {"preflight": "__repository__@sales"}
    assert [*homeless.home.glob("history/runs/running")], "the locks of runs are the mark of our storage"
    assert not (homeless.home / ".cache").exists()


def test_a_home_with_settings_is_respected(homeless: Terminal) -> None:
    (homeless.home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    done = homeless.command("preflight", PG_MIGRATION_REPORTS="off")
    assert done.status == 0
    assert done.errors.startswith("preflight: "), "Dagster's own storage is written in our way"
    assert runs(homeless.home) == {"preflight": LABEL}


def test_a_storage_that_takes_long_is_told_of(homeless: Terminal) -> None:
    (homeless.home / "dagster.yaml").write_text(f"""
telemetry: {{enabled: false}}
event_log_storage:
  module: dagster._core.storage.event_log
  class: ConsolidatedSqliteEventLogStorage
  config: {{base_dir: {homeless.home}}}
""")
    done = homeless.command("preflight", PG_MIGRATION_REPORTS="off")
    assert done.status == 0
    assert done.errors.startswith("dagster.yaml names a storage that takes long")
    assert runs(homeless.home) == {"preflight": LABEL}


def test_runs_of_dagsters_own_command_are_shown_with_their_job(shared_terminal: Terminal) -> None:
    assert shared_terminal.execute("preflight").status == 0
    assert runs(shared_terminal.home) == {"preflight": LABEL}


def test_the_settings_are_those_of_the_project(tmp_path: Path) -> None:
    project, ours = yaml.safe_load((ROOT / "dagster.yaml").read_text()), dagster_home.settings(tmp_path)
    assert ours.pop("storage")["custom"].items() > {"class": "DeploymentStorage"}.items()
    assert {name: project[name] for name in ours} == ours
    dagster_home.prepare(tmp_path)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: true}\n")
    assert dagster_home.prepare(tmp_path) == tmp_path
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry: {enabled: true}\n"


@pytest.mark.system
@pytest.mark.deployment
def test_the_ui_shows_runs_from_the_command_line(homeless: Terminal) -> None:
    homeless = replace(homeless, programs=SCRIPTS)
    assert homeless.command("preflight", DAGSTER_HOME="").status == 0
    port = free_port()

    def ask(query: str, **variables: str) -> Any:
        request = urllib.request.Request(
            f"http://{HOST}:{port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request) as response:
                return json.load(response)["data"]
        except (urllib.error.URLError, ConnectionError):
            return None

    log = homeless.home / "ui.log"
    with log.open("wb") as output:
        shown = subprocess.Popen(
            [homeless.programs / "pg_migration", "ui", "--port", str(port)],
            cwd=homeless.home,
            env=homeless.environment(DAGSTER_HOME="", PG_MIGRATION_REPORTS=""),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        query = "{repositoriesOrError {... on RepositoryConnection {nodes {name location {name}}}}}"
        end = time.monotonic() + PATIENCE_SECONDS
        while not ((found := ask(query)) and found["repositoriesOrError"].get("nodes")):
            assert shown.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.5)
        (repository,) = found["repositoriesOrError"]["nodes"]
        label = f"{repository['name']}@{repository['location']['name']}"
        # The page of the job goes by the label, the timeline by the origin.
        origin = {"repositoryName": repository["name"], "repositoryLocationName": repository["location"]["name"]}
        shown_run = {"status": "SUCCESS", "repositoryOrigin": origin}
        assert ask(LABELLED, label=label) == {"runsOrError": {"results": [shown_run]}}
    finally:
        os.killpg(shown.pid, signal.SIGINT)
        shown.wait(timeout=PATIENCE_SECONDS)
