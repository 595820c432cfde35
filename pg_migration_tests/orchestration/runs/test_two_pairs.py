"""Two pairs in one code location, which share a target: each has its own rows, ranges, reports and bookkeeping."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from pg_migration import Pair, build_migration
from pg_migration.postgres.catalog import TableListing
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.orchestration.harness import Database, Run, databases, shown
from pg_migration_tests.orchestration.location.projects import forget_all

SHOP = Pair(name="shop", source="SHOP_OLD", target="NEW", defaults={"partition_threshold": 1000, "max_partitions": 2})


@pytest.fixture
def ends(
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    shop_template: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Mapping[str, Database]]:
    """Two copies of the shop on 16, the second one with other rows, and one target on 18."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("PG_MIGRATION_REPORTS", raising=False)
    forget_all()
    shop, empty = (postgres16, shop_template), (postgres18, None)
    with databases({"SHOP_OLD": shop, "CRM_OLD": shop, "NEW": empty}) as found:
        for name, end in found.items():
            monkeypatch.setenv(name, end.url)
        found["CRM_OLD"].psql("UPDATE customers SET name = 'client ' || id; DELETE FROM orders WHERE id % 2 = 0")
        yield found
    forget_all()


Runner = Callable[..., Run]


def in_lake(table: TableListing, spec: dg.AssetSpec) -> dg.AssetSpec:
    """Keys of a host's own, of one part: not where a pair has its tables."""
    return spec.replace_attributes(key=f"lake_{table.schema}_{table.name}", group_name="lake")


CRM = Pair(name="crm", source="CRM_OLD", target="NEW", target_schemas="crm", translation=in_lake)


@pytest.fixture
def run(ends: Mapping[str, Database]) -> Iterator[Runner]:
    """Runs a job of the location that has both."""
    definitions = dg.Definitions.merge(build_migration(SHOP), build_migration(CRM))
    assert ends
    with dg.DagsterInstance.ephemeral() as instance:

        def execute(job: str, **config: Any) -> Run:
            resource = f"{job.partition('__')[0]}__migration"
            result = definitions.resolve_job_def(job).execute_in_process(
                instance=instance,
                run_id=str(uuid4()),
                run_config={"resources": {resource: {"config": config}}},
                raise_on_error=False,
            )
            return Run(instance, result)

        yield execute


@pytest.mark.longer
def test_two_pairs_share_a_target(run: Runner, ends: Mapping[str, Database], tmp_path: Path) -> None:
    target, first = ends["NEW"], {}
    for job in ("shop__migrate", "crm__migrate", "shop__migrate"):
        done = run(job, chunk_size=500)
        assert done.success, done.failures
        first.setdefault(job, done.result.run_id)
    for schema, source in (("public", "SHOP_OLD"), ("crm", "CRM_OLD")):
        for question in ("count(*), sum(id) FROM {}orders", "max(name) FROM {}customers"):
            assert target.psql(f"SELECT {question.format(schema + '.')}") == ends[source].psql(
                f"SELECT {question.format('')}"
            )
    # The shop's defaults cut a table of 4,000 rows, and the run's own option did not take them away.
    assert len(done.instance.get_dynamic_partitions("pk_ranges/shop/public.orders")) == 2
    assert len(done.instance.get_dynamic_partitions("pk_ranges/crm/crm.orders")) == 1

    reports = tmp_path / "pg_migration" / "reports"
    assert {path.name for path in reports.iterdir()} == {"shop", "crm"}
    assert (reports / "crm" / first["crm__migrate"] / "report.html").is_file()
    assert (reports / "shop" / first["shop__migrate"] / "report.html").is_file()

    for job in ("shop__validate", "crm__validate"):
        for against in ("source", "ledger"):
            done = run(job, against=against)
            assert done.success, done.failures
    # What a source takes back goes with it, and nothing of the other's.
    ends["CRM_OLD"].psql("DELETE FROM orders WHERE id = 7; DROP INDEX orders_placed")
    done = run("crm__validate")
    assert not done.success
    lake = dg.AssetKey("lake_crm_orders")
    failed = [found for found in done.result.get_asset_check_evaluations() if not found.passed]
    assert {(found.asset_key, found.check_name) for found in failed} >= {(lake, "row_count"), (lake, "content")}
    (told,) = done.result.asset_materializations_for_node("crm__validation")
    assert "| crm.orders " in shown(told.metadata["what_differs"])
    assert "jobs/crm__repair/" in str(told.metadata["what_to_do"].value)
    done = run("crm__repair")
    assert done.success, done.failures
    assert done.instance.get_latest_materialization_event(lake).run_id == done.result.run_id
    assert run("crm__migrate").success
    report = next((reports / "crm" / first["crm__migrate"]).glob("*.json")).read_text(encoding="utf-8")
    assert '"crm.orders"' in report
    assert "lake_crm_orders" not in report
    left = "SELECT schemaname FROM pg_indexes WHERE indexname = 'orders_placed'"
    assert target.psql(left) == "public"
