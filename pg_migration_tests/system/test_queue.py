"""Two pairs in one code location that write into one database: Dagster's queue runs one after the other."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest

from pg_migration.devtools.servers import HOST, free_port
from pg_migration_tests.cli.conftest import ROOT
from pg_migration_tests.conftest import PostgresServer, fresh_database
from pg_migration_tests.orchestration.harness import Database
from pg_migration_tests.programs import SCRIPTS
from pg_migration_tests.system.test_dagster_dev import PATIENCE_SECONDS, Api

pytestmark = [pytest.mark.system, pytest.mark.longer]

PAIRS = """
import dagster as dg
from pg_migration import Pair, build_migration

shop = Pair(name="shop", source="SHOP_OLD_URL", target="NEW_URL")
crm = Pair(name="crm", source="CRM_OLD_URL", target="NEW_URL", target_schemas="crm")
defs = dg.Definitions.merge(build_migration(shop), build_migration(crm))
"""


@pytest.fixture
def ends(
    postgres16: PostgresServer, postgres18: PostgresServer, shop_template: str
) -> Iterator[Mapping[str, Database]]:
    """Two shops on 16, and one empty database on 18."""
    with ExitStack() as stack:
        found = {}
        for variable, server, template in (
            ("SHOP_OLD_URL", postgres16, shop_template),
            ("CRM_OLD_URL", postgres16, shop_template),
            ("NEW_URL", postgres18, None),
        ):
            databases = fresh_database(server, template)
            found[variable] = Database(server, next(databases))
            stack.callback(next, databases, None)
        yield found


@pytest.fixture
def api(ends: Mapping[str, Database], tmp_path: Path) -> Iterator[Api]:
    """`dagster dev` over both pairs, with the settings that the project is delivered with."""
    home = tmp_path / "home"
    home.mkdir()
    coordinator = "  class: QueuedRunCoordinator\n  config:\n"
    quick = f"{coordinator}    dequeue_interval_seconds: 1\n"
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text().replace(coordinator, quick))
    (tmp_path / "pairs.py").write_text(PAIRS)
    port, log = free_port(), tmp_path / "dev.log"
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("PG_MIGRATION_", "DAGSTER_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [SCRIPTS / "dagster", "dev", "-f", "pairs.py", "-h", HOST, "-p", str(port)],
            cwd=tmp_path,
            env={
                **environment,
                **{name: end.url for name, end in ends.items()},
                "DAGSTER_HOME": str(home),
                "DAGSTER_TELEMETRY_DISABLED": "1",
                "PYTHONPATH": str(ROOT),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Api(f"http://{HOST}:{port}", process, log)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_runs_of_two_pairs_into_one_target_wait_for_each_other(api: Api, ends: Mapping[str, Database]) -> None:
    """The first one waits for a lock; the second one stays in the queue, past which the daemon starts a third."""
    with closing(psycopg2.connect(ends["SHOP_OLD_URL"].url)) as holder:
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        first = api.launch("shop__migrate", resource="shop__migration")
        api.wait("the first run", lambda: api.status(first) == "STARTED" or None)
        second = api.launch("crm__migrate", resource="crm__migration")
        third = api.launch("crm__plan", resource="crm__migration")
        assert api.wait("a run without a target", lambda: api.ended(third)) == "SUCCESS", api.log.read_text()
        assert (api.status(first), api.status(second)) == ("STARTED", "QUEUED")
        assert ends["NEW_URL"].psql("SELECT to_regclass('crm.orders') IS NULL") == "t"
        holder.rollback()
    for run in (first, second):
        assert api.wait("the others", lambda run=run: api.ended(run)) == "SUCCESS", api.log.read_text()
    for schema in ("public", "crm"):
        assert ends["NEW_URL"].psql(f"SELECT count(*) FROM {schema}.orders") == "4000"
