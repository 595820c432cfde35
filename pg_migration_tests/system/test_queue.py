"""Two pairs in one code location that write into one database: Dagster's queue runs one after the other."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from pg_migration_tests.cli.conftest import ROOT
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.harness import Database, databases
from pg_migration_tests.programs import SCRIPTS
from pg_migration_tests.system.test_dagster_dev import Api, dagster_dev

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
    shop, empty = (postgres16, shop_template), (postgres18, None)
    with databases({"SHOP_OLD_URL": shop, "CRM_OLD_URL": shop, "NEW_URL": empty}) as found:
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
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("PG_MIGRATION_", "DAGSTER_"))}
    environment |= {name: end.url for name, end in ends.items()}
    environment |= {"DAGSTER_HOME": str(home), "DAGSTER_TELEMETRY_DISABLED": "1", "PYTHONPATH": str(ROOT)}
    chosen, log = ["-f", "pairs.py"], tmp_path / "dev.log"
    with dagster_dev(SCRIPTS / "dagster", chosen, tmp_path, environment, log) as started:
        yield started


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
