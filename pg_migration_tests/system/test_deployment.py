"""The container deployment: what its files promise, and its commands, run against real servers.

The commands run as plain processes, here; test_engine.py has them in containers.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from psycopg2.extensions import parse_dsn

from pg_migration.devtools import servers
from pg_migration.devtools.servers import HOST, free_port
from pg_migration.orchestration.environment import pair
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import MigrationError
from pg_migration_tests.conftest import POSTGRES_15, PostgresServer, run
from pg_migration_tests.programs import SCRIPTS

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
PASSWORDS = {"SOURCE_PASSWORD": "s", "TARGET_PASSWORD": "t", "DAGSTER_POSTGRES_PASSWORD": "d"}
DATABASES = ("postgres-source", "postgres-target", "postgres-dagster")
DAGSTER = ("code-location", "webserver", "daemon")
PATIENCE_SECONDS = 600


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Fill in ${NAME}, ${NAME:-default}, ${NAME:+instead} and ${NAME:?message}, as `docker compose` does."""

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if operator == ":?":
            return variables[name]
        if operator == ":+":
            return rest if variables.get(name) else ""
        return variables.get(name) or rest or ""

    return re.sub(r"\$\{(\w+)(:[-?+])?([^}]*)\}", value, text)


def environment(service: str, variables: Mapping[str, str]) -> dict[str, str]:
    return {name: interpolate(value, variables) for name, value in SERVICES[service]["environment"].items()}


def test_services_ports_and_databases() -> None:
    assert set(SERVICES) == {*DATABASES, *DAGSTER}
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        "postgres-source": ["127.0.0.1:5434:5432"],
        "postgres-target": ["127.0.0.1:5435:5432"],
        "webserver": ["127.0.0.1:3000:3000"],
    }
    names = [environment(name, PASSWORDS)["POSTGRES_DB"] for name in DATABASES]
    assert names == ["source_db", "target_db", "dagster"]


def test_every_service_is_watched_restarted_and_keeps_its_data() -> None:
    for service in SERVICES.values():
        assert service["healthcheck"]["test"]
        assert service["restart"] == "unless-stopped"
        assert {volume.split(":")[0] for volume in service["volumes"] if volume[0] != "$"} <= COMPOSE["volumes"].keys()
    assert len({SERVICES[name]["volumes"][0].split(":")[0] for name in DATABASES}) == len(DATABASES)


def test_passwords_come_from_env_alone() -> None:
    for name in ("docker-compose.yml", "dagster.yaml", "workspace.yaml", ".env.example", "Dockerfile"):
        text = (ROOT / name).read_text()
        for match in re.finditer(r"password['\"]?[ \t]*[:=][ \t]*(\S+)", text, re.IGNORECASE):
            assert match[1].strip("'").startswith(("${", "{env:")), f"{name}: {match[0]}"
    asked = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert asked == PASSWORDS.keys()
    example = (ROOT / ".env.example").read_text()
    assert asked == set(re.findall(r"^(\w+)=$", example, re.MULTILINE))
    assert "/.env" in (ROOT / ".gitignore").read_text().split()


def test_what_can_be_chosen_in_the_env_file_reaches_the_containers() -> None:
    named = set(re.findall(r"^#?([A-Z]\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    used = set(re.findall(r"\$\{([A-Z]\w+)", (ROOT / "docker-compose.yml").read_text()))
    of_the_launcher = {"COMPOSE_FILE", "DOCKER_GID"}
    assert named - of_the_launcher <= used


def test_urls_for_the_code_location() -> None:
    urls = environment("code-location", PASSWORDS)
    assert parse_dsn(urls["PG_MIGRATION_SOURCE_URL"]) == {
        "host": "postgres-source",
        "port": "5432",
        "dbname": "source_db",
        "user": "postgres",
        "password": "s",
        "sslmode": "prefer",
    }
    assert parse_dsn(urls["PG_MIGRATION_TARGET_URL"])["dbname"] == "target_db"
    # Nobody else needs to know them.
    for other in ("webserver", "daemon"):
        assert not any(name.startswith("PG_MIGRATION") for name in SERVICES[other]["environment"])


def authority(folder: Path, name: str) -> Path:
    """The certificate of a new certificate authority; its key is beside it."""
    certificate = folder / f"{name}.crt"
    openssl("req", "-x509", "-keyout", folder / f"{name}.key", "-out", certificate, "-subj", f"/CN={name}")
    return certificate


def openssl(command: str, *arguments: str | Path) -> None:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]  # quicker to make than RSA's
    run(["openssl", command, *(key if command == "req" else []), *arguments])


@pytest.fixture(scope="module")
def tls_server(servers_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[servers.Server, Path]]:
    """A server for the name localhost, and the authority that says so."""
    if not (POSTGRES_15.bindir / "postgres").exists() or shutil.which("openssl") is None:
        pytest.skip("needs the system's PostgreSQL 15 and openssl")
    private = tmp_path_factory.mktemp("tls")
    ours = authority(private, "ours")
    folder, account = servers_folder / "tls", servers.server_account()
    folder.mkdir()
    key, certificate, request = folder / "key", folder / "certificate", private / "request"
    openssl("req", "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    openssl(
        *("x509", "-req", "-in", request, "-CA", ours, "-CAkey", ours.with_suffix(".key"), "-CAcreateserial"),
        *("-out", certificate),
    )
    for path in (folder, key, certificate):
        os.chown(path, account.uid, account.gid)
    key.chmod(0o600)
    tls = {"ssl": "on", "ssl_key_file": str(key), "ssl_cert_file": str(certificate)}
    server = servers.Server(POSTGRES_15, folder, account, tls)
    server.start()
    yield server, ours
    server.stop("immediate")


@pytest.mark.parametrize("side", ["SOURCE", "TARGET"])
@pytest.mark.parametrize(
    ("trusted", "host", "refusal"),
    [
        ("ours", "localhost", None),
        ("ours", HOST, "does not match host name"),
        ("another", "localhost", "certificate verify failed"),
        (None, "localhost", r"root\.crt"),
    ],
)
def test_a_certificate_authority_of_ones_own(
    tls_server: tuple[servers.Server, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    side: str,
    trusted: str | None,
    host: str,
    refusal: str | None,
) -> None:
    server, ours = tls_server
    monkeypatch.setenv("HOME", str(tmp_path))  # where libpq looks for root.crt when nobody names another
    variables = {
        **PASSWORDS,
        f"{side}_HOST": host,
        f"{side}_PORT": str(server.port),
        f"{side}_DATABASE": "postgres",
        f"{side}_PASSWORD": server.password,
        f"{side}_SSLMODE": "verify-full",
    }
    if trusted is not None:
        variables[f"{side}_SSLROOTCERT"] = str(ours if trusted == "ours" else authority(tmp_path, trusted))
    url = environment("code-location", variables)[f"PG_MIGRATION_{side}_URL"]
    for volume in SERVICES["code-location"]["volumes"]:
        path, _, inside = interpolate(volume, variables).removesuffix(":ro").partition(":")
        url = url.replace(inside, path)  # as the mount does
    monkeypatch.setenv(f"PG_MIGRATION_{side}_URL", url)
    with Connections("test") as connections:
        if refusal is not None:
            with pytest.raises(MigrationError, match=refusal):
                connections.open(pair().endpoint(Side(side.lower())))
            return
        connection = connections.open(pair().endpoint(Side(side.lower())))
        assert fetch(connection, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]


def test_workspace_and_image_match_the_services() -> None:
    (location,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    server = location["grpc_server"]
    assert server["host"] in SERVICES
    assert f"--port {server['port']}" in SERVICES[server["host"]]["command"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert shlex.split(SERVICES["code-location"]["command"]) == json.loads(dockerfile.rpartition("CMD ")[2])
    ignored = (ROOT / ".dockerignore").read_text()
    for copied in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE):
        for path in copied.split():
            assert (ROOT / path).exists()
            assert f"!{path.split('/')[0]}\n" in ignored


def settings_of(path: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return read


def test_run_containers_get_what_a_run_needs() -> None:
    plain, launching = settings_of("dagster.yaml"), settings_of("deploy/docker/dagster.yaml")
    launcher = launching.pop("run_launcher")["config"]
    assert launching == {name: value for name, value in plain.items() if name != "run_launcher"}
    override = settings_of("deploy/docker/docker-compose.launcher.yml")
    known = {**SERVICES["daemon"]["environment"], **override["services"]["daemon"]["environment"]}
    assert set(launcher["env_vars"]) == set(SERVICES["code-location"]["environment"]) == set(known)
    for name, value in override["services"]["daemon"]["environment"].items():
        assert value == SERVICES["code-location"]["environment"][name]
    assert launcher["image"] == SERVICES["code-location"]["image"]
    # The names that Compose gives.
    assert launcher["network"] == f"{COMPOSE['name']}_default"
    assert launcher["container_kwargs"]["volumes_from"] == [f"{COMPOSE['name']}-code-location-1"]
    assert SERVICES["code-location"]["build"]["args"]["EXTRAS"] == "docker"
    switch = dict(re.findall(r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert switch["COMPOSE_FILE"].split(":") == ["docker-compose.yml", "deploy/docker/docker-compose.launcher.yml"]
    text = (ROOT / "deploy/docker/docker-compose.launcher.yml").read_text()
    assert set(re.findall(r"\$\{(\w+):\?", text)) - PASSWORDS.keys() == {"DOCKER_GID"} <= switch.keys()


@pytest.mark.parametrize("more", [[], ["deploy/docker/docker-compose.launcher.yml"]], ids=["plain", "launcher"])
def test_every_image_is_built_once(more: list[str]) -> None:
    """Compose exports what each service builds; the second export of one tag can fail."""
    merged: dict[str, dict[str, Any]] = {}
    for path in ["docker-compose.yml", *more]:
        for name, service in settings_of(path)["services"].items():
            merged.setdefault(name, {}).update(service)
    built = Counter(service["image"] for service in merged.values() if "build" in service)
    assert built == {merged["code-location"]["image"]: 1}
    assert {merged[name]["image"] for name in DAGSTER} == set(built)
    # A registry may have an image of that name, too, and not this one.
    assert {merged[name]["pull_policy"] for name in DAGSTER} == {"never"}


# Tells pip about the project without its build system, which pip would have to fetch.
BACKEND = """
from pathlib import Path

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    made = Path(folder) / "pg_migration-0.dist-info"
    made.mkdir()
    extras = "".join(f"Provides-Extra: {name}\\n" for name in EXTRAS)
    (made / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: pg_migration\\nVersion: 0\\n{extras}")
    return made.name

def build_wheel(*_):
    raise NotImplementedError
"""


EXTRAS = ["", "docker", "kubernetes", "docker,kubernetes"]


def pip_lines() -> list[str]:
    """The shell commands in the Dockerfile that call pip."""
    lines = re.findall(r"^RUN (.*\bpip install\b.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(lines) == 2
    return lines


def build(line: str, pip: Path, script: str, folder: Path, extras: str) -> "subprocess.CompletedProcess[str]":
    """Run one of them as a build would, with another pip."""
    pip.parent.mkdir(exist_ok=True)
    pip.write_text(f"#!/bin/sh\n{script}\n")
    pip.chmod(0o755)
    variables = {"PATH": f"{pip.parent}:{os.environ['PATH']}", "EXTRAS": extras}
    return subprocess.run(
        ["/bin/sh", "-c", line], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("extras", EXTRAS)
def test_the_dockerfile_names_the_extras(tmp_path: Path, extras: str) -> None:
    """To the first pip, which installs the dependencies: in brackets, and no brackets around nothing."""
    for line, named in zip(pip_lines(), (extras, ""), strict=True):
        done = build(line, tmp_path / "bin" / "pip", """printf '%s\\n' "$@\"""", tmp_path, extras)
        assert done.returncode == 0, done.stderr
        (wanted,) = (word for word in done.stdout.split() if word.startswith("."))
        assert wanted == (f".[{named}]" if named else ".")


@pytest.mark.deployment
@pytest.mark.parametrize("extras", EXTRAS)
def test_pip_understands_the_dockerfile(tmp_path: Path, extras: str) -> None:
    """Every command of pip's in it, run by a shell as a build would, up to where pip would download something."""
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    known = re.findall(
        r"^(\w+) = \[$", (ROOT / "pyproject.toml").read_text().partition("optional-dep")[2], re.MULTILINE
    )
    (tmp_path / "backend.py").write_text(f"EXTRAS = {known!r}\n{BACKEND}")
    pip = f'exec {shlex.quote(sys.executable)} -m pip "$@" --dry-run --no-deps --no-index'
    for line in pip_lines():
        done = build(line, tmp_path / "bin" / "pip", pip, tmp_path, extras)
        assert done.returncode == 0, done.stderr
        assert "Would install pg_migration-0" in done.stdout.replace("pg-migration", "pg_migration")
        assert "does not provide the extra" not in done.stderr


def test_kubernetes_has_the_limits_of_the_other_deployments() -> None:
    values, limits = settings_of("deploy/kubernetes/values.yaml"), settings_of("dagster.yaml")["concurrency"]
    assert values["concurrency"]["runs"]["tagConcurrencyLimits"] == limits["runs"]["tag_concurrency_limits"]
    assert values["concurrency"]["pools"]["defaultLimit"] == limits["pools"]["default_limit"]
    assert values["concurrency"]["pools"]["granularity"] == limits["pools"]["granularity"]
    queue = values["dagsterDaemon"]["runCoordinator"]["config"]["customRunCoordinator"]
    assert queue == settings_of("dagster.yaml")["run_coordinator"]
    (location,) = values["dagster-user-deployments"]["deployments"]
    command = SERVICES["code-location"]["command"].split()
    assert location["codeServerArgs"] == command[command.index("--module-name") :]
    assert location["includeConfigInLaunchedRuns"] == {"enabled": True}
    assert f"DAGSTER_HOME={values['global']['dagsterHome']} " in (ROOT / "Dockerfile").read_text()


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="no docker-compose client")
def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text().replace("PASSWORD=", "PASSWORD=x"))
    command = ["docker-compose", "--project-directory", ROOT, "--file", ROOT / "docker-compose.yml"]
    shown = yaml.safe_load(run([*command, "--env-file", tmp_path / ".env", "config"]))
    assert set(shown["services"]) == set(SERVICES)
    (tmp_path / ".env").write_text("")
    with pytest.raises(AssertionError, match=r"set it in \.env"):
        run([*command, "--env-file", tmp_path / ".env", "config"])


@contextmanager
def process(
    command: list[str], variables: Mapping[str, str], log: Path, killed: bool = False
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program of this Python's environment for as long as the block; the end by SIGTERM must be orderly.

    ``killed``: it dies with all processes that it has started, as in a container.
    """
    program = Path(sys.executable).parent / command[0]
    with log.open("ab") as output:
        child = subprocess.Popen(
            [program, *command[1:]],
            env={**os.environ, **variables},
            stdout=output,
            stderr=output,
            start_new_session=killed,
        )
    try:
        yield child
        assert child.poll() is None, log.read_text()
        if killed:
            os.killpg(child.pid, signal.SIGKILL)
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            raise


def wait_for(what: str, condition: Callable[[], object], log: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {PATIENCE_SECONDS} s\n{log.read_text()}"
        time.sleep(0.5)


class Deployment:
    """The services of docker-compose.yml on ports of this machine."""

    def __init__(self, folder: Path, postgres: PostgresServer, *urls: str) -> None:
        source, target, storage = urls
        self.folder = folder
        self.home = folder / "dagster_home"
        self.home.mkdir()
        shutil.copy(ROOT / "dagster.yaml", self.home)
        self.ports = {"4000": str(free_port()), "3000": str(free_port())}
        self.workspace = folder / "workspace.yaml"
        text = (ROOT / "workspace.yaml").read_text()
        self.workspace.write_text(text.replace("code-location", HOST).replace("4000", self.ports["4000"]))
        self.variables = {
            "DAGSTER_HOME": str(self.home),
            # The image has the package installed.
            "PYTHONPATH": str(ROOT),
            "DAGSTER_POSTGRES_HOST": HOST,
            "DAGSTER_POSTGRES_PORT": parse_dsn(storage)["port"],
            "DAGSTER_POSTGRES_DB": parse_dsn(storage)["dbname"],
            "DAGSTER_POSTGRES_USER": parse_dsn(storage)["user"],
            "DAGSTER_POSTGRES_PASSWORD": parse_dsn(storage)["password"],
        }
        self.endpoints = {}
        for side, url in (("SOURCE", source), ("TARGET", target)):
            known = parse_dsn(url)
            names = {"HOST": "host", "PORT": "port", "DATABASE": "dbname", "USER": "user", "PASSWORD": "password"}
            self.endpoints.update({f"{side}_{name}": known[key] for name, key in names.items()})
        self.postgres = postgres

    def variables_of(self, service: str) -> dict[str, str]:
        return {**environment(service, {**PASSWORDS, **self.endpoints}), **self.variables}

    def here(self, command: list[str]) -> list[str]:
        """A command of the file, with this machine's addresses."""
        replaced = {**self.ports, "0.0.0.0": HOST, "workspace.yaml": str(self.workspace)}
        words = [replaced.get(word, word) for word in command]
        for port in self.ports:
            words = [word.replace(f"127.0.0.1:{port}", f"{HOST}:{self.ports[port]}") for word in words]
        return words

    @contextmanager
    def service(self, name: str, programs: Path, killed: bool = False) -> Iterator[None]:
        """A service, healthy; ``programs`` are those that look whether it is. ``killed``: as `process` has it."""
        command = self.here(shlex.split(SERVICES[name]["command"]))
        log = self.folder / f"{name}.log"
        with process(command, self.variables_of(name), log, killed) as child:
            wait_for(f"health of {name}", lambda: child.poll() is not None or self.is_healthy(name, programs), log)
            yield

    def is_healthy(self, name: str, programs: Path) -> bool:
        kind, program, *arguments = self.here(SERVICES[name]["healthcheck"]["test"])
        assert kind == "CMD"
        command = [(programs if (programs / program).exists() else SCRIPTS) / program, *arguments]
        variables = {**os.environ, **self.variables_of(name)}
        return subprocess.run(command, env=variables, capture_output=True, check=False).returncode == 0

    def ask(self, query: str, **variables: object) -> Any:
        request = urllib.request.Request(
            f"http://{HOST}:{self.ports['3000']}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]


@pytest.fixture
def deployment(
    tmp_path: Path,
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    source_db: str,
    target_db: str,
) -> Iterator[Deployment]:
    storage = postgres18.create_database()
    postgres16.psql(source_db, "CREATE TABLE answers (id int PRIMARY KEY); INSERT INTO answers VALUES (42), (43)")
    yield Deployment(tmp_path, postgres18, source_db, target_db, storage)
    postgres18.drop_database(storage)


def test_storage_is_postgresql(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in deployment.variables.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(deployment.home)) as instance:
        instance.add_dynamic_partitions("pk_ranges/public.t", ["..10", "11.."])
        instance.report_runless_asset_event(dg.AssetMaterialization("t", partition="..10"))
    url = deployment.postgres.url(deployment.variables["DAGSTER_POSTGRES_DB"])
    assert deployment.postgres.psql(url, "SELECT partition FROM dynamic_partitions ORDER BY id") == "..10\n11..\n"
    assert deployment.postgres.psql(url, "SELECT partition FROM event_logs") == "..10\n"


def test_records_of_the_helm_chart_are_reached_by_the_driver_of_the_image(deployment: Deployment) -> None:
    """The chart writes such a dagster.yaml of its values; its SQLAlchemy chooses a driver when they name none."""
    scheme = settings_of("deploy/kubernetes/values.yaml")["postgresql"]["postgresqlScheme"]
    assert scheme == "postgresql+psycopg2"
    database = {
        "username": deployment.variables["DAGSTER_POSTGRES_USER"],
        "password": deployment.variables["DAGSTER_POSTGRES_PASSWORD"],
        "hostname": HOST,
        "db_name": deployment.variables["DAGSTER_POSTGRES_DB"],
        "port": int(deployment.variables["DAGSTER_POSTGRES_PORT"]),
        "scheme": scheme,
    }
    (deployment.home / "dagster.yaml").write_text(yaml.safe_dump({"storage": {"postgres": {"postgres_db": database}}}))
    with dg.DagsterInstance.from_config(str(deployment.home)) as instance:
        assert instance.get_runs_count() == 0


LAUNCH = """
mutation ($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, runConfigData: {}}) {
    __typename
    ... on LaunchRunSuccess {run {runId}}
  }
}
"""
OUTCOME = "query ($id: ID!) {runOrError(runId: $id) {... on Run {status startTime endTime}}}"


@pytest.mark.deployment
def test_runs_go_through_webserver_daemon_and_code_location(
    deployment: Deployment, programs: Path, target_db: str
) -> None:
    """Two that are started together come one after the other: the second would be refused while the first writes."""
    with ExitStack() as stack:
        for name in DAGSTER:
            stack.enter_context(deployment.service(name, programs))
        locations = "{repositoriesOrError {... on RepositoryConnection {nodes {name location {name} jobs {name}}}}}"
        (repository,) = deployment.ask(locations)["repositoriesOrError"]["nodes"]
        assert repository["location"]["name"] == "pg_migration"
        assert {job["name"] for job in repository["jobs"]} >= {"migrate", "validate", "preflight"}
        selector = {
            "repositoryLocationName": "pg_migration",
            "repositoryName": repository["name"],
            "jobName": "migrate",
        }
        launched = [deployment.ask(LAUNCH, selector=selector)["launchRun"] for _ in range(2)]
        assert [run["__typename"] for run in launched] == ["LaunchRunSuccess"] * 2

        def outcomes() -> list[dict[str, Any]]:
            found = [deployment.ask(OUTCOME, id=run["run"]["runId"])["runOrError"] for run in launched]
            return found if all(run["status"] in ("SUCCESS", "FAILURE", "CANCELED") for run in found) else []

        wait_for("end of the runs", outcomes, deployment.folder / "code-location.log")
        first, second = sorted(outcomes(), key=lambda run: float(run["startTime"]))
    assert [first["status"], second["status"]] == ["SUCCESS", "SUCCESS"]
    assert first["endTime"] <= second["startTime"]
    assert deployment.postgres.psql(target_db, "SELECT sum(id) FROM answers") == "85\n"


SLOW = """
CREATE TABLE naps (seconds int);
CREATE MATERIALIZED VIEW slept AS SELECT pg_sleep(seconds)::text FROM naps;
INSERT INTO naps VALUES (600);
"""
ALL_RUNS = "{runsOrError {... on Runs {results {runId jobName status}}}}"


@pytest.mark.deployment
def test_a_run_that_dies_with_its_container_fails_and_is_started_again(
    deployment: Deployment, postgres16: PostgresServer, programs: Path, source_db: str, target_db: str
) -> None:
    postgres16.psql(source_db, SLOW)
    log = deployment.folder / "daemon.log"

    def statuses() -> list[str]:
        return [run["status"] for run in deployment.ask(ALL_RUNS)["runsOrError"]["results"]]

    def asleep() -> bool:
        found = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        return deployment.postgres.psql(target_db, found) == "1\n"

    with ExitStack() as stack:
        with deployment.service("code-location", programs, killed=True):
            for name in ("webserver", "daemon"):
                stack.enter_context(deployment.service(name, programs))
            (repository,) = deployment.ask("{repositoriesOrError {... on RepositoryConnection {nodes {name}}}}")[
                "repositoriesOrError"
            ]["nodes"]
            selector = {
                "repositoryLocationName": "pg_migration",
                "repositoryName": repository["name"],
                "jobName": "migrate",
            }
            deployment.ask(LAUNCH, selector=selector)
            wait_for("the run that sleeps", asleep, log)
            assert statuses() == ["STARTED"]
        postgres16.psql(source_db, "TRUNCATE naps")
        with deployment.service("code-location", programs):
            wait_for("another run", lambda: sorted(statuses()) == ["FAILURE", "SUCCESS"], log)
    assert deployment.postgres.psql(target_db, "SELECT sum(id) FROM answers") == "85\n"
