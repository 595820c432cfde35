"""Pairs of databases: what their definitions are called, and what can't be a pair."""

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pg_migration import Pair, build_migration, preflight
from pg_migration.orchestration import environment
from pg_migration.orchestration.build import build
from pg_migration.orchestration.jobs.prune import old_runs, prune_reports
from pg_migration.orchestration.location.code_location import Location
from pg_migration.orchestration.location.known_pairs import known_pairs, pair_of
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.pair import PairRefused
from pg_migration.orchestration.pair_names import pair_names
from pg_migration.orchestration.runs.resource import migration_of, resource_of
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.migration import Options
from pg_migration.postgres.migration.schemas import map_schemas
from pg_migration.postgres.preflight import Severity
from pg_migration_tests.orchestration.location.described import SCHEMAS, TABLES, described
from pg_migration_tests.orchestration.location.projects import forget_all

NAMES_OF_ONE_PAIR = Path(__file__).with_name("names_of_one_pair.json")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No pair is known to this process yet, and nothing of an earlier one is remembered."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    forget_all()


@pytest.fixture
def urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", "postgresql://reader@old/shop")
    monkeypatch.setenv("PG_MIGRATION_TARGET_URL", "postgresql://mig@new/shop")


@pytest.mark.usefixtures("urls")
def test_names_of_the_pair_from_the_environment_stay_what_they_are() -> None:
    """People have them in run configuration, in scripts, in other projects and in Dagster's records."""
    found = described(build(Location(environment.pair(), SCHEMAS, TABLES)))
    assert found == json.loads(NAMES_OF_ONE_PAIR.read_text(encoding="utf-8"))


@pytest.mark.usefixtures("urls")
def test_every_name_of_a_pair_begins_with_its_name() -> None:
    """Less what a location has once: two pairs can be merged, and people can tell what is whose."""
    alone = described(build(Location(environment.pair(), SCHEMAS, TABLES)))
    forget_all()
    pair = Pair(name="shop", source="PG_MIGRATION_SOURCE_URL", target="PG_MIGRATION_TARGET_URL")
    found = described(build(Location(pair, SCHEMAS, TABLES)))
    once = {"prune_old_runs", "weekly_prune", "failed_runs", "__ASSET_JOB", "io_manager"}
    assert set(found["assets"]) == {f"shop/{key}" for key in alone["assets"]}
    for kind in ("jobs", "schedules", "sensors", "resources"):
        assert set(found[kind]) - once == {f"shop__{name}" for name in set(alone[kind]) - once}
    groups = {asset["group"] for asset in found["assets"].values()}
    assert groups == {"shop__public", "shop__archive", "shop__before_rows", "shop__after_rows"}
    assert found["assets"]["shop/archive/log"]["partitions"] == "pk_ranges/shop/archive.log"
    assert found["jobs"]["shop__migrate"]["steps"] == [f"shop__{s}" for s in alone["jobs"]["migrate"]["steps"]]
    # Two pairs that read one source share its pool.
    assert found["jobs"]["shop__migrate"]["pools"] == alone["jobs"]["migrate"]["pools"]


@pytest.mark.usefixtures("urls")
def test_pairs_are_merged_with_each_other_and_with_what_a_host_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_TARGET", "postgresql://mig@new/crm")
    shop = Pair(name="shop", source="PG_MIGRATION_SOURCE_URL", target="PG_MIGRATION_TARGET_URL", source_schemas="*")
    crm = replace(shop, name="crm", target="CRM_TARGET")

    @dg.asset(deps=[dg.AssetKey(["shop", "public", "orders"])])
    def orders_a_day() -> None:
        """Of a host."""

    host = dg.define_asset_job("host", selection=[orders_a_day], executor_def=dg.multiprocess_executor)
    merged = dg.Definitions.merge(
        build_migration(shop, TABLES), build_migration(crm, TABLES), dg.Definitions([orders_a_day], jobs=[host])
    )
    dg.Definitions.validate_loadable(merged)
    repository = merged.get_repository_def()
    assert repository.get_job("host").executor_def.name == "multiprocess"
    assert not {n.name for n in repository.get_job("crm__migrate").graph.nodes} & {
        n.name for n in repository.get_job("shop__migrate").graph.nodes
    }
    with pytest.raises(dg.DagsterInvariantViolationError, match="shop__source"):
        dg.Definitions.merge(build_migration(shop, TABLES), build_migration(shop, TABLES))
    with pytest.raises(ConfigurationError, match="pair other and pair shop both write into public, sales of new:5432"):
        build_migration(replace(shop, name="other"), TABLES)


def test_run_configuration_of_one_option_keeps_the_defaults_of_the_others() -> None:
    """Dagster makes a resource anew from its class, so its values have to be those of a class of the pair."""
    defaults = {"workers": 3, "owners": "best_effort", "exclude_tables": ["tmp_*"], "check_content": False}
    pair = Pair(name="shop", source="A", target="B", defaults=defaults)
    seen: list[Options] = []

    @dg.op(required_resource_keys={pair.resource})
    def look(context: dg.OpExecutionContext) -> None:
        seen.append(migration_of(context, pair).options)

    @dg.job(resource_defs={pair.resource: resource_of(Relations(Location(pair, {}, ())))})
    def job() -> None:
        look()

    with dg.DagsterInstance.ephemeral() as instance:
        for config in ({}, {"chunk_size": 5}, {"workers": 7}):
            run_config = {"resources": {pair.resource: {"config": config}}}
            assert job.execute_in_process(run_config, instance=instance).success
            assert seen.pop() == Options.model_validate({**defaults, **config})
        unconfigured = job.execute_in_process(instance=instance)
        assert unconfigured.success
        assert seen.pop() == Options.model_validate(defaults)


@pytest.mark.parametrize(
    ("given", "attribute", "said"),
    [
        ({"name": "a__b"}, "name", "can't be called 'a__b'"),
        ({"name": "a_"}, "name", "does not end with an underscore"),
        ({"name": "x" * 31}, "name", "at most 30"),
        ({"name": "ä"}, "name", "lower-case"),
        (
            {"source": "postgresql://ann:sesame@h/d"},
            "source",
            "an environment variable, such as SHOP_SOURCE_URL",
        ),
        ({"target": "dbname=d password=sesame"}, "target", "such as SHOP_TARGET_URL"),
        ({"target": ""}, "target", "name of an environment variable"),
        ({"replication": "postgresql://ann:sesame@h/d"}, "replication", "such as SHOP_REPLICATION_URL"),
        ({"way_back": "host=h password=sesame"}, "way_back", "such as SHOP_WAY_BACK_URL"),
        ({"defaults": {"worker": 1}}, "defaults", "no option is called so"),
        ({"defaults": {"workers": "many"}}, "defaults", "workers: Input should be a valid integer"),
        ({"defaults": {"copy_format": "csv"}}, "defaults", "copy_format"),
        ({"defaults": {"spread_over": -1}}, "defaults", "spread_over is -1, but must be at least 0"),
        ({"schedule": {"migrat": "* * * * *"}}, "schedule", "can't schedule migrat"),
        ({"source_schemas": ["a", "b"], "target_schemas": ["a"]}, "source_schemas", "must pair up"),
        ({"source_schemas": "*", "target_schemas": "a"}, "source_schemas", "can't get other names"),
        ({"source_schemas": ["a", "a"]}, "source_schemas", "repeated name"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_what_no_pair_can_be(given: dict[str, Any], attribute: str, said: str) -> None:
    with pytest.raises(PairRefused, match=re.escape(said)) as refused:
        Pair(**{"name": "shop", "source": "A", "target": "B", **given}).check()
    assert refused.value.attribute == attribute
    assert "sesame" not in str(refused.value)


@pytest.mark.usefixtures("urls")
def test_servers_reach_each_other_by_the_urls_of_the_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the pair from the environment need not be set; a variable that somebody has named has to be."""
    told = environment.pair().migration(Options())
    assert (told.replication_url, told.way_back_url) == ("", "")
    ends = {"source": "PG_MIGRATION_SOURCE_URL", "target": "PG_MIGRATION_TARGET_URL"}
    shop = Pair(name="shop", replication="SHOP_OLD", way_back="SHOP_NEW", **ends)
    with pytest.raises(ConfigurationError, match="SHOP_OLD is not set, which pair shop has as replication"):
        shop.migration(Options())
    monkeypatch.setenv("SHOP_OLD", "postgresql://rep:sesame@old.internal/shop")
    monkeypatch.setenv("SHOP_NEW", "postgresql://rep:sesame@new.internal/shop")
    told = shop.migration(Options())
    assert told.replication_url == "postgresql://rep:sesame@old.internal/shop"
    assert told.way_back_url == "postgresql://rep:sesame@new.internal/shop"
    assert "sesame" not in repr(told)
    monkeypatch.setenv("PG_MIGRATION_REPLICATION_URL", "postgresql://rep@old.internal/shop")
    monkeypatch.setenv("PG_MIGRATION_ON_CUTOVER", "turn everything")
    assert environment.pair().migration(Options()).replication_url == "postgresql://rep@old.internal/shop"
    assert environment.pair().on_cutover == "turn everything"


def test_a_pair_whose_variables_are_missing_loads_and_says_so() -> None:
    pair = Pair(name="shop", source="SHOP_OLD_URL", target="SHOP_NEW_URL")
    (found,) = preflight(pair)
    assert found.severity is Severity.ERROR
    assert "SHOP_OLD_URL is not set" in str(found)
    assert "SHOP_NEW_URL is not set" in str(found)
    source = build_migration(pair).resolve_asset_graph().get(dg.AssetKey(["shop", "source_schema"]))
    assert "SHOP_OLD_URL is not set" in (source.description or "")


def test_schemas_with_odd_names() -> None:
    pair = Pair(source="A", target="B", source_schemas=['My "Shop", main', "b"], target_schemas=["a", "b,c"])
    assert map_schemas(*pair.schemas) == {'My "Shop", main': "a", "b": "b,c"}


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["shop", "Shop", "SHOP!"], ["shop", "shop_2", "shop_3"]),
        (["my-shop", "my__shop", "my shop"], ["my_shop", "my_shop_2", "my_shop_3"]),
        (["2024", "", "表", "_"], ["db_2024", "db", "db_2", "db_3"]),
        (["x" * 40, "x" * 41], ["x" * 30, "x" * 28 + "_2"]),
    ],
)
def test_every_database_gets_a_name_that_a_pair_can_have(texts: list[str], names: list[str]) -> None:
    assert list(pair_names(texts).values()) == names
    for name in names:
        assert Pair(name=name, source="A", target="B").name == name


@pytest.mark.usefixtures("urls")
@pytest.mark.filterwarnings("ignore:.*beta")
def test_an_asset_of_a_host_follows_the_summary_by_itself() -> None:
    pair = Pair(name="shop", source="PG_MIGRATION_SOURCE_URL", target="PG_MIGRATION_TARGET_URL", source_schemas="*")

    @dg.asset(deps=[dg.AssetKey(["shop", "summary"])], automation_condition=dg.AutomationCondition.eager())
    def orders_a_day() -> None:
        """Of a host."""

    merged = dg.Definitions.merge(dg.Definitions([orders_a_day]), build_migration(pair, TABLES))
    with dg.DagsterInstance.ephemeral() as instance:
        before = dg.evaluate_automation_conditions(merged, instance)
        instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "summary"]))
        after = dg.evaluate_automation_conditions(merged, instance, cursor=before.cursor)
    assert (before.total_requested, after.total_requested) == (0, 1)


@pytest.mark.usefixtures("urls")
def test_runs_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a location has once (pruning, messages of failures) leaves the runs of a host alone."""
    monkeypatch.setenv("CRM_TARGET", "postgresql://mig@new/crm")
    shop = Pair(name="shop", source="PG_MIGRATION_SOURCE_URL", target="PG_MIGRATION_TARGET_URL", source_schemas="*")
    crm = replace(shop, name="crm", target="CRM_TARGET")
    dg.Definitions.merge(build_migration(shop, TABLES), build_migration(crm, TABLES))
    orders, others = dg.AssetKey(["shop", "public", "orders"]), dg.AssetKey(["shop", "made_by_dbt"])

    def run(job: str, *assets: dg.AssetKey, check: dg.AssetKey | None = None) -> dg.DagsterRun:
        checks = frozenset() if check is None else frozenset({dg.AssetCheckKey(check, "content")})
        return dg.DagsterRun(job, asset_selection=frozenset(assets) or None, asset_check_selection=checks or None)

    implicit = "__ASSET_JOB"
    whose = [
        (run("shop__migrate"), "shop", False),
        (run("crm__validate"), "crm", False),
        (run("shop__dbt"), None, False),
        (run("migrate"), None, False),
        (run(implicit, orders), "shop", True),
        (run(implicit, check=orders), "shop", True),
        (run(implicit, others), None, False),
        (run(implicit, orders, others), "shop", False),
    ]
    for found, name, alone in whose:
        assert getattr(pair_of(found), "name", None) == name
        assert any(known.is_only_of_this(found) for known in known_pairs()) == alone


@pytest.mark.usefixtures("urls")
def test_old_runs_and_reports_of_all_pairs_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRM_TARGET", "postgresql://mig@new/crm")
    monkeypatch.setenv("PG_MIGRATION_REPORTS", str(tmp_path / "reports"))
    shop = Pair(name="shop", source="PG_MIGRATION_SOURCE_URL", target="PG_MIGRATION_TARGET_URL", source_schemas="*")
    crm = replace(shop, name="crm", target="CRM_TARGET")
    dg.Definitions.merge(build_migration(shop, TABLES), build_migration(crm, TABLES))
    with dg.DagsterInstance.ephemeral() as instance:
        runs = {}
        for job in ("shop__migrate", "crm__migrate", "host", "shop__migrate", "crm__migrate"):
            made = instance.add_run(dg.DagsterRun(job, status=dg.DagsterRunStatus.SUCCESS))
            runs.setdefault(job, made.run_id)
            pair = job.partition("__")[0]
            place = tmp_path / "reports" / pair / made.run_id
            place.mkdir(parents=True)
            (place / "report.json").write_text("{}")
        later = datetime.now(timezone.utc) + timedelta(days=1)
        old = old_runs(instance, later, None)
        assert sorted(old) == sorted([runs["shop__migrate"], runs["crm__migrate"]])  # the last of each job stays
        for run_id in old:
            instance.delete_run(run_id)
        prune_reports(instance, later, set(old), pytest.fail)
    left = {path.name for path in (tmp_path / "reports").glob("*/*")}
    assert len(left) == 3
    assert not left & set(old)
