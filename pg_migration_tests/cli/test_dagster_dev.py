"""`dagster dev` as people use it, through the API that its pages use: launch `migrate`, read back what it did."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pg_migration.demo.servers import HOST, free_port
from pg_migration_tests.cli.conftest import PROGRAMS, ROOT, Terminal

Found = TypeVar("Found")

PATIENCE_SECONDS = 120
POLL_SECONDS = 0.5

LOCATIONS = """
query {
  workspaceOrError {
    ... on Workspace {
      locationEntries {
        loadStatus
        locationOrLoadError {
          __typename
          ... on PythonError { message }
          ... on RepositoryLocation { name repositories { name jobs { name } } }
        }
      }
    }
  }
}
"""

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""

STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"

ASSET = """
query ($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      groupName
      description
      partitionKeys
      dependencyKeys { path }
      assetMaterializations { runId partition metadataEntries { label ... on IntMetadataEntry { intValue } } }
      assetChecksOrError {
        ... on AssetChecks {
          checks {
            name
            blocking
            executionForLatestMaterialization { runId status evaluation { success description } }
          }
        }
      }
    }
  }
}
"""


@dataclass(frozen=True)
class Api:
    """The GraphQL API of a running UI."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def ask(self, query: str, **variables: object) -> Any:
        """The data that answers a query."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def wait(self, what: str, look: Callable[[], Found | None]) -> Found:
        """Look again and again until there is something to see."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (found := look()) is None:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"{what}: not within {PATIENCE_SECONDS} s\n{self.log.read_text()}"
            time.sleep(POLL_SECONDS)
        return found

    def location(self) -> Mapping[str, Any] | None:
        """The code location, as soon as it is loaded."""
        try:
            entries = self.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
        except (urllib.error.URLError, ConnectionError):
            return None
        loaded = [entry["locationOrLoadError"] for entry in entries if entry["loadStatus"] == "LOADED"]
        return loaded[0] if loaded and loaded[0] else None

    def ended(self, run: str) -> str | None:
        """The final status of a run, once it has one."""
        status: str = self.ask(STATUS, run=run)["runOrError"]["status"]
        return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None

    def asset(self, *path: str) -> Mapping[str, Any]:
        """What the page of an asset shows."""
        found: Mapping[str, Any] = self.ask(ASSET, key={"path": path})["assetNodeOrError"]
        return found


@pytest.fixture
def api(terminal: Terminal) -> Iterator[Api]:
    """`dagster dev`, ready to be asked."""
    port = free_port()
    log = terminal.home / "dev.log"
    command = [PROGRAMS / "dagster", "dev", "-m", "pg_migration.definitions", "-h", HOST, "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=terminal.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Api(f"http://{HOST}:{port}", process, log)
    finally:
        # Ctrl-C in a terminal reaches the whole group, as this does.
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_launch_migrate_and_read_back_what_it_did(api: Api, terminal: Terminal) -> None:
    location = api.wait("the code location", api.location)
    assert location["__typename"] == "RepositoryLocation", location
    (repository,) = location["repositories"]
    assert {"migrate", "validate"} <= {job["name"] for job in repository["jobs"]}

    orders = api.asset("public", "orders")
    assert orders["assetMaterializations"] == []
    assert {"path": ["target_ddl"]} in orders["dependencyKeys"]

    config = {"resources": {"migration": {"config": {"partition_threshold": 1000, "max_partitions": 3}}}}
    selector = {"repositoryLocationName": location["name"], "repositoryName": repository["name"], "jobName": "migrate"}
    launched = api.ask(LAUNCH, params={"selector": selector, "runConfigData": config})["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run = launched["run"]["runId"]
    assert api.wait("the run", lambda: api.ended(run)) == "SUCCESS"

    orders = api.asset("public", "orders")
    assert len(orders["partitionKeys"]) == 3
    made = orders["assetMaterializations"]
    assert {m["partition"] for m in made} == {*orders["partitionKeys"], None}
    assert {m["runId"] for m in made} == {run}
    (whole,) = (m for m in made if m["partition"] is None)
    assert {e["label"]: e["intValue"] for e in whole["metadataEntries"] if "intValue" in e}["dagster/row_count"] == 4000
    (check,) = (c for c in orders["assetChecksOrError"]["checks"] if c["name"] == "row_count")
    assert check["blocking"]
    executed = check["executionForLatestMaterialization"]
    assert (executed["runId"], executed["status"]) == (run, "SUCCEEDED")
    assert executed["evaluation"] == {"success": True, "description": "4,000 rows on both sides"}
    assert api.asset("public", "orders", "foreign_keys")["assetMaterializations"][0]["runId"] == run
    assert api.asset("summary")["assetMaterializations"][0]["runId"] == run

    assert terminal.target.psql("SELECT count(*), sum(customer) FROM orders") == "4000|202000"
    terminal.assert_secret(api.log.read_text())
