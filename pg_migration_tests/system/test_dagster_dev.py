"""`dagster dev` as people use it: its pages in a browser, and the API that they use.

All tests here share one, as it takes a while to start.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
import pytest

from pg_migration.devtools.servers import HOST, free_port
from pg_migration.reporting import store
from pg_migration_tests.cli.conftest import ROOT, Terminal
from pg_migration_tests.conftest import SHOP, PostgresServer
from pg_migration_tests.orchestration.harness import Database

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.system, pytest.mark.deployment]

Found = TypeVar("Found")

MODULE = "pg_migration.definitions"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]

PATIENCE_SECONDS = 600
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

BACKFILLS = """
query { partitionBackfillsOrError { ... on PartitionBackfills { results { id status } } } }
"""

# Dagster's daemon looks at backfills every 30 seconds, which can't be configured. Python imports a module of this name
# first, whatever it is to run.
QUICK_DAEMON = """
import sys

if "dagster._daemon" in sys.orig_argv:
    from dagster._daemon import controller

    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 1
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

    def launch(self, job: str, config: Mapping[str, object] | None = None, resource: str = "migration") -> str:
        """Launch a job with this configuration of the resource `migration`, or that of a pair; the run's id."""
        location = self.wait("the code location", self.location)
        selector = {
            "repositoryLocationName": location["name"],
            "repositoryName": location["repositories"][0]["name"],
            "jobName": job,
        }
        settings = {"resources": {resource: {"config": config or {}}}}
        launched = self.ask(LAUNCH, params={"selector": selector, "runConfigData": settings})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run: str = launched["run"]["runId"]
        return run

    def status(self, run: str) -> str:
        """The status of a run."""
        status: str = self.ask(STATUS, run=run)["runOrError"]["status"]
        return status

    def ended(self, run: str) -> str | None:
        """The final status of a run, once it has one."""
        status = self.status(run)
        return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None

    def backfill(self) -> tuple[str, str] | None:
        """The name and the final status of the only backfill, once it has one."""
        ((found),) = self.ask(BACKFILLS)["partitionBackfillsOrError"]["results"] or (None,)
        return (found["id"], found["status"]) if found and found["status"] not in ("REQUESTED", "FAILING") else None

    def asset(self, *path: str) -> Mapping[str, Any]:
        """What the page of an asset shows."""
        found: Mapping[str, Any] = self.ask(ASSET, key={"path": path})["assetNodeOrError"]
        return found


@pytest.fixture(scope="module")
def told() -> Iterator[list[str]]:
    """What came to the webhook whose port is the first of it."""
    messages: list[str] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Webhook) as web:
        messages.append(str(web.server_port))
        threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05}).start()
        yield messages
        web.shutdown()


@contextmanager
def dagster_dev(
    program: Path, chosen: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path
) -> Iterator[Api]:
    """`dagster dev` in a folder over what was chosen, which writes into a log; it is ended after the block."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "dev", *chosen, "-h", HOST, "-p", str(port)],
            cwd=folder,
            env=dict(environment),
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
            process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def api(terminal: Terminal, told: list[str]) -> Iterator[Api]:
    """`dagster dev`, ready to be asked; its runs leave reports and notify."""
    startup = terminal.home / "startup"
    startup.mkdir()
    (startup / "sitecustomize.py").write_text(QUICK_DAEMON)
    environment = terminal.environment(
        PG_MIGRATION_REPORTS="",
        PG_MIGRATION_SLACK_WEBHOOK_URL=f"http://{HOST}:{told.pop()}/",
        PYTHONPATH=os.pathsep.join([str(startup), str(ROOT)]),
    )
    program, log = terminal.programs / "dagster", terminal.home / "dev.log"
    with dagster_dev(program, ["-m", MODULE], ROOT, environment, log) as started:
        yield started


@pytest.fixture(scope="module")
def terminal(
    postgres16: PostgresServer, postgres18: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    """As the one of all tests of commands, for all of this module."""
    source, target = (Database(server, server.create_database()) for server in (postgres16, postgres18))
    made = Terminal(source, target, tmp_path_factory.mktemp("home"))
    coordinator = "  class: QueuedRunCoordinator\n"
    quick = f"{coordinator}  config: {{dequeue_interval_seconds: 1}}\n"
    (made.home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text().replace(coordinator, quick))
    made.source.psql(SHOP)
    yield made
    postgres16.drop_database(source.url)
    postgres18.drop_database(target.url)


@pytest.fixture
def page(api: Api) -> Iterator["Page"]:
    """A window of a browser; what goes wrong in it is seen within seconds."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no Chromium here: none of {', '.join(BROWSERS)} is in PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=BROWSER_OPTIONS)
        window = chromium.new_page(base_url=api.url, viewport={"width": 1500, "height": 900})
        window.set_default_timeout(PATIENCE_SECONDS * 1000)
        yield window
        chromium.close()


def test_materialize_all_from_an_empty_instance(api: Api, terminal: Terminal, page: "Page") -> None:
    """The first thing that many people press. It has to be the first test, too."""
    location = api.wait("the code location", api.location)
    assert location["__typename"] == "RepositoryLocation", location
    tables = ("customers", "orders")
    api.wait("the key ranges", lambda: all(api.asset("public", name)["partitionKeys"] for name in tables) or None)
    assert api.asset("public", "orders")["assetMaterializations"] == []
    page.goto("/asset-groups")
    groups = [page.get_by_text(name, exact=True).last for name in ("before_rows", "public", "after_rows")]
    for group in groups:
        group.wait_for()
    places = [(group.bounding_box() or {})["x"] for group in groups]
    assert places == sorted(places)  # the graph is in the order of a run
    page.get_by_role("button", name="Materialize all").click()
    page.get_by_role("button", name="Launch backfill").click()
    name, status = api.wait("the backfill", api.backfill)
    assert status == "COMPLETED_SUCCESS", api.log.read_text()
    for table in tables:
        rows = f"SELECT * FROM {table} ORDER BY id"
        assert terminal.target.psql(rows) == terminal.source.psql(rows)
    assert terminal.target.psql("SELECT conname FROM pg_constraint WHERE contype = 'f'") == "orders_customer_fkey"
    page.goto(f"/runs/b/{name}")
    page.get_by_text("100% completed").nth(5).wait_for()
    page.goto("/assets/post_data?view=checks")
    page.get_by_text("structure").first.click()
    page.get_by_text("the same structure").wait_for()
    page.goto("/assets/public/orders?view=checks")
    page.get_by_text("content").first.click()
    page.get_by_text("the same rows on both sides").wait_for()


@contextmanager
def changing(source: Database) -> Iterator[None]:
    """Somebody who gives all orders another date again and again, each time in one transaction."""
    stop = threading.Event()

    def change() -> None:
        with psycopg2.connect(source.url) as connection, connection.cursor() as cursor:
            while not stop.wait(0.5):
                cursor.execute("UPDATE orders SET placed = placed + 1")
                connection.commit()

    source.psql("UPDATE orders SET placed = '2024-01-01'")
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(change)
        try:
            yield
        finally:
            stop.set()
            writer.result()


def test_three_runs_share_one_snapshot_of_a_changing_source(api: Api, terminal: Terminal, told: list[str]) -> None:
    location = api.wait("the code location", api.location)
    assert location["__typename"] == "RepositoryLocation", location
    (repository,) = location["repositories"]
    assert {"migrate", "validate"} <= {job["name"] for job in repository["jobs"]}

    assert {"path": ["target_ddl"]} in api.asset("public", "orders")["dependencyKeys"]

    reports = terminal.home / "pg_migration" / "reports"
    earlier, notified = set(store.runs(reports)), len(told)
    config = {"partition_threshold": 1000, "max_partitions": 3, "spread_over": 3}
    with changing(terminal.source):
        run = api.launch("migrate", config)
        assert api.wait("the run", lambda: api.ended(run)) == "SUCCESS", api.log.read_text()
    copied_by = (
        "SELECT copied_by, count(DISTINCT range_key) FROM _pg_migration.chunk WHERE table_name = 'orders' GROUP BY 1"
    )
    parts = dict(line.split("|") for line in terminal.target.psql(copied_by).splitlines())
    assert list(parts.values()) == ["1", "1", "1"]
    range_of = "SELECT copied_by, range_key FROM _pg_migration.chunk WHERE table_name = 'orders'"
    ranges = dict(line.split("|") for line in terminal.target.psql(range_of).splitlines())
    assert run not in parts
    assert {api.ended(part) for part in parts} == {"SUCCESS"}
    assert terminal.target.psql("SELECT count(*), sum(customer), count(DISTINCT placed) FROM orders") == "4000|202000|1"

    orders = api.asset("public", "orders")
    assert len(orders["partitionKeys"]) == 3
    made = [m for m in orders["assetMaterializations"] if m["runId"] in {run, *parts}]
    assert {m["partition"] for m in made} == {*orders["partitionKeys"], None}
    assert {m["runId"] for m in made} == {run, *parts}
    (whole,) = (m for m in made if m["partition"] is None)
    assert {e["label"]: e["intValue"] for e in whole["metadataEntries"] if "intValue" in e}["dagster/row_count"] == 4000
    (check,) = (c for c in orders["assetChecksOrError"]["checks"] if c["name"] == "row_count")
    assert check["blocking"]
    executed = check["executionForLatestMaterialization"]
    assert (executed["runId"], executed["status"]) == (run, "SUCCEEDED")
    assert executed["evaluation"] == {"success": True, "description": "4,000 rows on both sides"}
    assert api.asset("public", "foreign_keys")["assetMaterializations"][0]["runId"] == run
    assert api.asset("summary")["assetMaterializations"][0]["runId"] == run

    assert set(store.runs(reports)) - earlier == {run}
    report = store.read(reports, run)
    assert report is not None
    (table,) = (table for table in report.tables if table.name == "orders")
    assert (table.state, table.rows, table.moved_rows) == ("copied", 4000, 4000)
    copies = [work for work in report.work if work.table == table.title and work.activity == "copy"]
    assert {(work.run, work.detail) for work in copies} == set(ranges.items())
    assert len({work.worker for work in copies}) == 3
    assert all(report.started_at <= work.started_at <= work.finished_at <= report.finished_at for work in report.work)
    (message,) = told[notified:]
    assert "migrate succeeded" in message
    assert run in message
    terminal.assert_secret(api.log.read_text())


def test_in_the_ui(api: Api, terminal: Terminal, page: "Page") -> None:
    """From the graph to the evidence, as people click."""
    api.wait("the code location", api.location)
    job = f"/locations/{MODULE}/jobs/migrate"

    page.goto(job)
    page.get_by_role("link", name="Launchpad").click()
    for setting in ("partition_threshold", "workers"):
        page.locator(".CodeMirror").get_by_text(setting).first.wait_for()
    page.get_by_text("Launch Run").click()
    page.get_by_text("RUN_SUCCESS").wait_for()
    assert terminal.target.psql("SELECT count(*) FROM orders") == "4000"

    page.goto("/assets/summary")
    page.get_by_text("public.orders").first.wait_for()
    page.get_by_text("2 passed").first.wait_for()

    terminal.target.psql("DELETE FROM orders WHERE id = 77")
    run = api.launch("validate")
    assert api.wait("the run", lambda: api.ended(run)) == "FAILURE"
    page.goto("/assets/public/orders?view=checks")
    page.get_by_text("row_count").first.click()
    page.get_by_text("4,000 rows in the source, 3,999 in the target").wait_for()

    page.goto("/assets/public/orders")
    page.get_by_text("Rows of table public.orders.").wait_for()
    page.get_by_text("non-nullable").first.wait_for()
    page.get_by_text("rows_per_second").wait_for()
    page.goto("/assets/public/orders?view=partitions")
    page.get_by_text("1 Partitions Selected").or_(page.get_by_text("1 Partition Selected")).wait_for()

    page.goto(f"/locations/{MODULE}/schedules/nightly_migrate")
    page.get_by_text("At 02:00 AM").first.wait_for()
