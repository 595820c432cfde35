"""The asset `validation`: the last verdict of every check, since when something differs, and what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import dagster as dg
import pytest

from pg_migration.orchestration import environment
from pg_migration.orchestration.assets.validation import build_validation
from pg_migration.orchestration.location.code_location import Location
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.postgres.catalog import ListedColumn, TableListing
from pg_migration_tests.orchestration.harness import shown as value_shown

CONTENT = dg.AssetCheckKey(dg.AssetKey(["public", "orders"]), "content")
STRUCTURE = dg.AssetCheckKey(dg.AssetKey("post_data"), "structure")

ID = ListedColumn("id", "bigint", True)
TABLES = (TableListing("public", "orders", "r", None, (ID,), ()),)
RELATIONS = Relations(Location(environment.pair(), {"public": "public"}, TABLES))
TRANSLATED = Relations(
    replace(
        RELATIONS.location,
        pair=replace(RELATIONS.pair, translation=lambda table, spec: spec.replace_attributes(key=f"{table.name}_raw")),
    )
)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def evaluate(instance: dg.DagsterInstance, check: dg.AssetCheckKey, *verdicts: bool) -> None:
    for passed in verdicts:
        said = "same" if passed else "1 row differs"
        found = dg.AssetCheckEvaluation(
            check_name=check.name, asset_key=check.asset_key, passed=passed, description=said
        )
        instance.report_runless_asset_event(found)


def shown(
    instance: dg.DagsterInstance,
    checks: Sequence[dg.AssetCheckKey] = (CONTENT, STRUCTURE),
    relations: Relations = RELATIONS,
) -> dict[str, Any]:
    """The metadata of the asset, made now."""
    done = dg.materialize(
        [build_validation(relations, checks, [])], instance=instance, tags={".dagster/repository": "shop@here"}
    )
    (made,) = done.asset_materializations_for_node("validation")
    return {name: value_shown(entry) for name, entry in made.metadata.items()}


@pytest.mark.parametrize(
    ("content", "structure", "said"),
    [
        ([], [], "not everything was compared: 0 checks passed, 2 checks never made"),
        ([True], [], "not everything was compared: 1 check passed, 1 check never made"),
        ([True], [True], "nothing differs: 2 checks passed"),
        ([False, True], [True], "nothing differs: 2 checks passed"),
        ([True, False], [True], "1 check did not pass"),
        ([False], [], "1 check did not pass, 1 check never made"),
    ],
)
def test_the_verdict(instance: dg.DagsterInstance, content: list[bool], structure: list[bool], said: str) -> None:
    evaluate(instance, CONTENT, *content)
    evaluate(instance, STRUCTURE, *structure)
    made = shown(instance)
    assert made["verdict"] == said
    assert ("what_differs" in made) == (made["differing_checks"] > 0)


def test_a_difference_is_there_since_the_first_check_that_found_it(instance: dg.DagsterInstance) -> None:
    evaluate(instance, CONTENT, False, True, False, False)
    evaluate(instance, STRUCTURE, True)
    history = instance.event_log_storage.get_asset_check_execution_history(CONTENT, limit=10)
    since = datetime.fromtimestamp(history[1].create_timestamp, timezone.utc)
    (line,) = shown(instance)["what_differs"].splitlines()[2:]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["public.orders", "content", "1 row differs", f"{since:%Y-%m-%d %H:%M} UTC"]


@pytest.mark.parametrize(("check", "job"), [(CONTENT, "repair"), (STRUCTURE, "migrate")])
def test_it_leads_to_the_job_that_mends_it(instance: dg.DagsterInstance, check: dg.AssetCheckKey, job: str) -> None:
    evaluate(instance, check, False)
    assert f"(../locations/shop@here/jobs/{job}/playground)" in shown(instance)["what_to_do"]


def test_a_translated_table_is_told_of_by_its_name_and_repaired(instance: dg.DagsterInstance) -> None:
    check = dg.AssetCheckKey(dg.AssetKey("orders_raw"), "content")
    evaluate(instance, check, False)
    made = shown(instance, [check], TRANSLATED)
    assert "| public.orders " in made["what_differs"]
    assert "/jobs/repair/playground)" in made["what_to_do"]


def test_a_check_that_a_run_planned_and_did_not_make_is_not_passed(instance: dg.DagsterInstance) -> None:
    @dg.asset_check(asset=CONTENT.asset_key, name=CONTENT.name)
    def content() -> dg.AssetCheckResult:
        raise ValueError

    evaluate(instance, STRUCTURE, True)
    evaluate(instance, CONTENT, True)
    defs = dg.Definitions(asset_checks=[content], jobs=[dg.define_asset_job("j", dg.AssetSelection.all_asset_checks())])
    job = defs.resolve_job_def("j")
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    unknown = "1 check not made by the last run that was to"
    assert shown(instance)["verdict"] == f"not everything was compared: 1 check passed, {unknown}"
    evaluate(instance, CONTENT, False)
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    assert shown(instance)["verdict"] == f"1 check did not pass, {unknown}"
