"""What Dagster's Helm chart makes of deploy/kubernetes/values.yaml, without a cluster."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._config import process_config
from psycopg2.extensions import parse_dsn

from pg_migration_tests.conftest import PostgresServer

pytestmark = [pytest.mark.system, pytest.mark.deployment]

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
REPOSITORY = "https://dagster-io.github.io/helm"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """By kind and name, what the chart of this Dagster makes of them; DAGSTER_HELM_CHART names another chart."""
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("needs helm")
    chart = os.environ.get("DAGSTER_HELM_CHART")
    if chart is None:
        folder = tmp_path_factory.mktemp("chart")
        source = ["--repo", REPOSITORY, "--version", dg.__version__, "--destination", folder]
        pulled = subprocess.run([helm, "pull", "dagster", *source], capture_output=True, text=True, check=False)
        if pulled.returncode != 0:
            pytest.skip(f"Dagster's Helm chart can't be had here: {pulled.stderr.strip()}")
        (archive,) = folder.iterdir()
        chart = str(archive)
    command = [helm, "template", "dagster", chart, "--values", KUBERNETES / "values.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    manifests = [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}


@pytest.fixture(scope="module")
def settings(rendered: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """The dagster.yaml of all pods."""
    read: dict[str, Any] = yaml.safe_load(rendered["ConfigMap", "dagster-instance"]["data"]["dagster.yaml"])
    return read


@pytest.fixture
def code_location(rendered: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    (name,) = [name for kind, name in rendered if kind == "Deployment" and name.endswith("-pg-migration")]
    pod: dict[str, Any] = rendered["Deployment", name]["spec"]["template"]["spec"]
    return pod


def test_dagster_takes_the_settings_and_reaches_its_records(
    settings: dict[str, Any], postgres18: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres18.create_database()
    server = parse_dsn(url)
    for storage in ("run_storage", "event_log_storage", "schedule_storage"):
        database = settings[storage]["config"]["postgres_db"]
        assert database["password"] == {"env": "DAGSTER_PG_PASSWORD"}
        here = {"hostname": server["host"], "port": int(server["port"]), "db_name": server["dbname"]}
        database.update({**here, "username": server["user"]})
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", server["password"])
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.get_runs_count() == 0
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_poll_interval_seconds == ours["run_monitoring"]["poll_interval_seconds"]
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 0
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.tag_concurrency_limits == ours["concurrency"]["runs"]["tag_concurrency_limits"]
        assert queue.max_user_code_failure_retries == ours["run_coordinator"]["config"]["max_user_code_failure_retries"]
        assert not instance.telemetry_enabled
    postgres18.drop_database(url)


def test_the_run_launcher_takes_its_settings(settings: dict[str, Any]) -> None:
    launcher = pytest.importorskip("dagster_k8s").K8sRunLauncher
    assert (settings["run_launcher"]["module"], settings["run_launcher"]["class"]) == ("dagster_k8s", "K8sRunLauncher")
    taken = process_config(launcher.config_type(), settings["run_launcher"]["config"])
    assert taken.success, taken.errors


def test_code_location_and_runs_share_secrets_and_reports(
    settings: dict[str, Any], code_location: dict[str, Any]
) -> None:
    (container,) = code_location["containers"]
    assert container["args"][:3] == ["dagster", "code-server", "start"]
    assert {"secretRef": {"name": "pg-migration"}} in container["envFrom"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    runs = json.loads(variables["DAGSTER_CONTAINER_CONTEXT"])["k8s"]
    assert runs["env_secrets"] == ["pg-migration"]
    assert runs["volumes"] == code_location["volumes"]
    assert runs["volume_mounts"] == container["volumeMounts"]

    (volume,) = code_location["volumes"]
    claim = yaml.safe_load((KUBERNETES / "reports.yaml").read_text())
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    home = re.findall(r"DAGSTER_HOME=(\S+)", dockerfile)[0]
    assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": f"{home}/pg_migration"}]
    assert settings["run_launcher"]["config"]["dagster_home"] == home
    # Who may write there.
    group = int(re.findall(r"groupadd .*--gid (\d+) dagster", dockerfile)[0])
    pods_of_runs = settings["run_launcher"]["config"]["run_k8s_config"]["pod_spec_config"]
    assert code_location["securityContext"]["fsGroup"] == pods_of_runs["securityContext"]["fsGroup"] == group
