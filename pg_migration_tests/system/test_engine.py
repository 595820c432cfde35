"""The deployment on a real Docker engine: the commands of the documentation, accidents, and what is left after them."""

import json
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pg_migration_tests.system.engine.engine import Engine, NoEngineError, running

pytestmark = [pytest.mark.system, pytest.mark.deployment]

PATIENCE_SECONDS = 900
UP = "docker compose up -d --wait"
SERVICES = {"postgres-source", "postgres-target", "postgres-dagster", "code-location", "webserver", "daemon"}

# The webserver's port is published where the engine is.
POST = """
import sys, urllib.request
json = {"Content-Type": "application/json"}
asked = urllib.request.Request("http://localhost:3000/graphql", sys.stdin.buffer.read(), json)
sys.stdout.write(urllib.request.urlopen(asked, timeout=300).read().decode())
"""

TABLES = """
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, balance numeric);
INSERT INTO customers SELECT n, md5(n::text), n / 7.0 FROM generate_series(1, 20000) AS n;
CREATE TABLE orders (id bigint PRIMARY KEY, customer int REFERENCES customers, placed date);
INSERT INTO orders SELECT n, 1 + n % 20000, date '1990-01-01' + n % 9000 FROM generate_series(1, 50000) AS n;
CREATE TABLE "No key" (value text);
INSERT INTO "No key" SELECT 'value ' || n FROM generate_series(1, 1000) AS n;
CREATE TABLE naps (seconds int);
CREATE MATERIALIZED VIEW slept AS SELECT pg_sleep(seconds)::text FROM naps;
"""
CONTENT = """
SELECT 'customers', count(*), md5(string_agg(t::text, ',' ORDER BY t::text COLLATE "C")) FROM customers AS t UNION ALL
SELECT 'orders', count(*), md5(string_agg(t::text, ',' ORDER BY t::text COLLATE "C")) FROM orders AS t UNION ALL
SELECT 'No key', count(*), md5(string_agg(t::text, ',' ORDER BY t::text COLLATE "C")) FROM "No key" AS t ORDER BY 1
"""
SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'target_db' AND wait_event = 'PgSleep'"

REPOSITORIES = "{repositoriesOrError {... on RepositoryConnection {nodes {name location {name}}}}}"
RELOAD = """
mutation ($location: String!) {
  reloadRepositoryLocation(repositoryLocationName: $location) {
    ... on WorkspaceLocationEntry {locationOrLoadError {__typename}}
  }
}
"""
LAUNCH = """
mutation ($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, runConfigData: {}}) {
    __typename
    ... on LaunchRunSuccess {run {runId}}
  }
}
"""
RUNS = """
{runsOrError {... on Runs {results {
  runId status tags {key value} stats {... on RunStatsSnapshot {enqueuedTime}}
}}}}
"""


@dataclass(frozen=True)
class Site:
    """A deployment, seen by its users: Compose, the UI's API, psql in the containers of the servers."""

    engine: Engine

    def ask(self, query: str, **variables: object) -> Any:
        asked = json.dumps({"query": query, "variables": variables})
        answer = json.loads(self.engine.run(f"python3 -c {shlex.quote(POST)}", asked))
        assert "errors" not in answer, answer
        return answer["data"]

    def psql(self, side: str, command: str) -> str:
        service, database = f"postgres-{side}", f"{side}_db"
        options = f"--username postgres --dbname {database} --no-psqlrc --quiet --tuples-only --no-align"
        return self.engine.run(f"docker compose exec -T {service} psql --set ON_ERROR_STOP=1 {options}", command)

    def health(self) -> dict[str, str]:
        lines = self.engine.run("docker compose ps --all --format '{{.Service}} {{.Health}}'").splitlines()
        return {service: health for service, _, health in (line.partition(" ") for line in lines)}

    def reload(self) -> None:
        (repository,) = self.ask(REPOSITORIES)["repositoriesOrError"]["nodes"]
        loaded = self.ask(RELOAD, location=repository["location"]["name"])["reloadRepositoryLocation"]
        assert loaded["locationOrLoadError"] == {"__typename": "RepositoryLocation"}

    def launch(self) -> str:
        (repository,) = self.ask(REPOSITORIES)["repositoriesOrError"]["nodes"]
        selector = {
            "repositoryLocationName": repository["location"]["name"],
            "repositoryName": repository["name"],
            "jobName": "migrate",
        }
        launched = self.ask(LAUNCH, selector=selector)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess"
        run: str = launched["run"]["runId"]
        return run

    def runs(self) -> dict[str, Any]:
        return {run["runId"]: run for run in self.ask(RUNS)["runsOrError"]["results"]}

    def retries_of(self, run: str) -> list[Any]:
        parent = {"key": "dagster/parent_run_id", "value": run}
        return [found for found in self.runs().values() if parent in found["tags"]]

    def launch_one_that_sleeps(self) -> str:
        """A run in the midst of its work, which never ends by itself. Another one would not sleep."""
        self.psql("source", "INSERT INTO naps VALUES (86400)")
        run = self.launch()
        self.wait_for("the run that sleeps", lambda: self.psql("target", SLEEPERS) == "1\n")
        # DELETE: the run's snapshot has a lock that TRUNCATE would wait for.
        self.psql("source", "DELETE FROM naps")
        assert self.runs()[run]["status"] == "STARTED"
        return run

    def expect_success(self, run: str) -> None:
        self.wait_for(f"the end of {run}", lambda: self.runs()[run]["status"] in ("SUCCESS", "FAILURE", "CANCELED"))
        assert self.runs()[run]["status"] == "SUCCESS"
        copied = self.psql("target", CONTENT)
        assert copied == self.psql("source", CONTENT)
        assert copied.count("|") == 6

    def expect_failure_and_retry(self, run: str) -> None:
        self.wait_for(f"the failure of {run}", lambda: self.runs()[run]["status"] == "FAILURE")
        self.wait_for(f"a retry of {run}", lambda: self.retries_of(run))
        (retry,) = self.retries_of(run)
        self.expect_success(retry["runId"])

    def wait_for(self, what: str, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < end, f"{what}: not within {PATIENCE_SECONDS} s\n{self.logs()}"
            time.sleep(1)

    def logs(self) -> str:
        return self.engine.run("docker compose logs --no-color --tail 100 2>&1")


def say_in_env(engine: Engine, *lines: str) -> None:
    """Write .env as its example says, with passwords, and these lines more."""
    example = (engine.files / ".env.example").read_text()
    (engine.files / ".env").write_text("\n".join([example.replace("PASSWORD=\n", "PASSWORD=s3cret\n"), *lines, ""]))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    try:
        with running() as found:
            if found.run("docker volume ls --quiet --filter name=^pg_migration_"):
                pytest.skip("this engine has volumes of a deployment, which this test would delete")
            yield found
    except NoEngineError as why:
        pytest.skip(str(why))


@pytest.fixture(scope="module")
def site(engine: Engine) -> Iterator[Site]:
    """A deployment whose source has got tables."""
    refused = engine.attempt(UP)
    assert refused.returncode != 0
    assert "set it in .env" in refused.stderr
    say_in_env(engine)
    try:
        engine.run(UP)
        site = Site(engine)
        site.psql("source", TABLES)
        site.reload()
        yield site
    finally:
        engine.run("docker compose down --volumes --remove-orphans")


def test_up_waits_until_all_is_healthy(site: Site) -> None:
    assert site.health() == dict.fromkeys(SERVICES, "healthy")


def test_a_migration_goes_through_the_queue_and_copies_every_row(site: Site) -> None:
    run = site.launch()
    site.expect_success(run)
    assert site.runs()[run]["stats"]["enqueuedTime"]
    site.engine.run("docker compose cp code-location:/opt/dagster/home/pg_migration/reports .")
    assert (site.engine.files / "reports" / run / "report.html").exists()


@pytest.mark.parametrize(
    "accident",
    ["docker compose restart code-location", f"docker kill pg_migration-code-location-1 && {UP}"],
    ids=["restart", "kill"],
)
def test_a_run_that_dies_with_its_container_fails_and_is_started_again(site: Site, accident: str) -> None:
    run = site.launch_one_that_sleeps()
    site.engine.run(accident)
    site.expect_failure_and_retry(run)


def test_down_and_up_keep_records_and_rows(site: Site) -> None:
    run = site.launch()
    site.expect_success(run)
    runs, rows = site.runs(), site.psql("target", CONTENT)
    site.engine.run("docker compose down")
    assert site.engine.run("docker ps --all --quiet --filter label=com.docker.compose.project=pg_migration") == ""
    site.engine.run(UP)
    assert site.runs() == runs
    assert site.psql("target", CONTENT) == rows
    site.expect_success(site.launch())


def test_runs_in_containers_of_their_own(site: Site) -> None:
    """By two lines in .env, while the deployment is up; and back."""
    ours = "docker ps --quiet --filter label=dagster/run_id"
    before = set(site.runs())
    group = site.engine.run("stat --format %g /var/run/docker.sock").strip()
    compose_files = "docker-compose.yml:deploy/docker/docker-compose.launcher.yml"
    say_in_env(site.engine, f"COMPOSE_FILE={compose_files}", f"DOCKER_GID={group}")
    site.engine.run(UP)
    assert site.health() == dict.fromkeys(SERVICES, "healthy")
    assert set(site.runs()) == before

    run = site.launch_one_that_sleeps()
    (container,) = site.engine.run(f"{ours} --filter label=dagster/run_id={run}").split()
    # It needs no code location while it goes on. Nobody can start it again without one.
    site.engine.run("docker compose stop code-location")
    assert site.engine.run(ours).split() == [container]
    site.engine.run(f"docker kill {container}")
    site.wait_for(f"the failure of {run}", lambda: site.runs()[run]["status"] == "FAILURE")
    site.engine.run(UP)
    site.expect_failure_and_retry(run)
    (retry,) = site.retries_of(run)
    site.wait_for("the end of its container", lambda: site.engine.run(ours) == "")
    kept = "/opt/dagster/home/pg_migration/reports"
    assert "report.html" in site.engine.run(f"docker compose exec -T code-location ls {kept}/{retry['runId']}")

    run = site.launch_one_that_sleeps()
    site.engine.run(f"docker compose stop daemon && {ours} | xargs docker stop -t 60 && docker compose down")
    assert site.engine.run("docker network ls --quiet --filter name=pg_migration") == ""
    say_in_env(site.engine)
    site.engine.run(UP)
    site.expect_failure_and_retry(run)
