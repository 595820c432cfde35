"""A project of Dagster with two pairs, used with `dg` as its documentation says."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.harness import Database, databases
from pg_migration_tests.orchestration.location.projects import SHOP_AND_CRM, make_project
from pg_migration_tests.programs import SCRIPTS

pytestmark = pytest.mark.deployment


@pytest.fixture(scope="module")
def ends(
    postgres16: PostgresServer, postgres18: PostgresServer, shop_template: str
) -> Iterator[Mapping[str, Database]]:
    """Two shops on 16, and two empty databases on 18."""
    shop, empty = (postgres16, shop_template), (postgres18, None)
    wanted = {"SHOP_OLD_URL": shop, "CRM_OLD_URL": shop, "SHOP_NEW_URL": empty, "CRM_NEW_URL": empty}
    with databases(wanted) as found:
        found["SHOP_OLD_URL"].psql("CREATE SCHEMA sales; CREATE TABLE sales.log (id integer PRIMARY KEY)")
        yield found


@pytest.fixture
def project(ends: Mapping[str, Database], tmp_path: Path) -> Path:
    """The folder of a project, whose .env has the URLs."""
    (tmp_path / "home").mkdir()
    folder = tmp_path / "project"
    folder.mkdir()
    make_project(folder, SHOP_AND_CRM)
    (folder / ".env").write_text("".join(f"{name}={end.url}\n" for name, end in ends.items()))
    return folder


def dg(project: Path, *arguments: str) -> tuple[int, str]:
    """Run `dg` in a project."""
    return run_in(project, "dg", *arguments)


def run_in(project: Path, program: str, *arguments: str) -> tuple[int, str]:
    """Run a program in a folder; its status and all that it says, without colours."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("PG_MIGRATION_", "DAGSTER_"))}
    done = subprocess.run(
        [SCRIPTS / program, *arguments],
        cwd=project,
        env={
            **environment,
            "DAGSTER_HOME": str(project.parent / "home"),
            "DAGSTER_TELEMETRY_DISABLED": "1",
            "PYTHONPATH": str(project),  # or the project is installed
            "PATH": f"{SCRIPTS}:{environment['PATH']}",
            "COLUMNS": "200",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def test_a_project_is_checked_listed_and_launched(project: Path, ends: Mapping[str, Database]) -> None:
    status, told = dg(project, "list", "components")
    assert (status, "pg_migration.MigrationComponent" in told) == (0, True), told
    status, told = dg(project, "utils", "refresh-defs-state")
    assert status == 0, told
    for end in ("SHOP_OLD_URL", "CRM_OLD_URL"):
        assert ends[end].url not in told
    status, told = dg(project, "check", "defs")
    assert status == 0, told
    status, told = dg(project, "list", "defs")
    assert status == 0, told
    for name in ("shop/public/orders", "shop/archive/log", "crm/public/orders", "shop__migrate", "crm__validate"):
        assert name in told
    status, told = dg(project, "launch", "--job", "shop__migrate")
    assert status == 0, told
    counts = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM archive.log)"
    assert ends["SHOP_NEW_URL"].psql(counts) == "4000|0"
    assert ends["CRM_NEW_URL"].psql("SELECT to_regclass('orders') IS NULL") == "t"
    status, told = dg(project, "launch", "--assets", "key:crm/target_ddl")
    assert status == 0, told
    assert ends["CRM_NEW_URL"].psql("SELECT count(*) FROM orders") == "0"


HOST = """
import os
from pathlib import Path

import dagster as dg
from pg_migration import Pair, build_migration


def process() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"process": os.getpid()})


@dg.asset(deps=[dg.AssetKey(["shop", "public", "orders"])])
def orders_a_day():
    return process()


@dg.asset
def another():
    return process()


defs = dg.Definitions.merge(
    dg.Definitions([orders_a_day, another], jobs=[dg.define_asset_job("host", [orders_a_day, another])]),
    build_migration(Pair(name="shop", source="SHOP_OLD_URL", target="SHOP_NEW_URL")),
)
"""


def test_a_pair_is_a_guest_in_a_project_of_somebody_else(ends: Mapping[str, Database], tmp_path: Path) -> None:
    """The host's steps go on having a process each, as where there is no guest; those of the pair share one."""
    (tmp_path / "home").mkdir()
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "host.py").write_text(HOST)
    (folder / ".env").write_text("".join(f"{name}={end.url}\n" for name, end in ends.items()))
    status, told = run_in(folder, "dagster", "definitions", "validate", "-f", "host.py")
    assert status == 0, told
    processes = {}
    for arguments in (
        ["job", "execute", "-f", "host.py", "-j", "shop__migrate"],
        ["job", "execute", "-f", "host.py", "-j", "host"],
        ["asset", "materialize", "-f", "host.py", "--select", "key:shop/source_schema or key:shop/target_ddl"],
    ):
        status, told = run_in(folder, "dagster", *arguments)
        assert status == 0, told
        processes[arguments[-1]] = len(set(re.findall(r" - (\d+) - \w+ - STEP_START", told)))
    assert list(processes.values()) == [1, 2, 1]
    assert ends["SHOP_NEW_URL"].psql("SELECT count(*) FROM orders") in ("4000", "0")


def test_what_is_scaffolded_works(project: Path) -> None:
    status, told = dg(project, "scaffold", "defs", "pg_migration.MigrationComponent", "my-wiki")
    assert status == 0, told
    assert "name: my_wiki" in (project / "moves" / "defs" / "my-wiki" / "defs.yaml").read_text()
    status, told = dg(project, "check", "defs")
    assert status == 0, told


def test_a_misspelt_attribute_is_told_with_its_place(project: Path) -> None:
    """`dg check yaml` looks at the last document of each type alone, `dg check defs` at all."""
    pairs = project / "moves" / "defs" / "pairs_0" / "defs.yaml"
    pairs.write_text(SHOP_AND_CRM.partition("---\n")[0].replace("source_schemas", "source_schemes"))
    status, told = dg(project, "check", "yaml")
    assert status == 1
    assert re.search(r"defs\.yaml:6 .*source_schemes", told), told
    pairs.write_text(SHOP_AND_CRM.replace("workers", "worker"))
    status, told = dg(project, "check", "defs")
    assert status == 1
    assert re.search(r"defaults\.worker at .*defs\.yaml:8", told), told
