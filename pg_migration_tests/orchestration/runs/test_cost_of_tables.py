"""What a table more costs Dagster, in events and in statements, whichever storage the instance has."""

from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from pg_migration.orchestration.storage import event_log
from pg_migration.orchestration.storage.event_log import BATCH_SIZE_VARIABLE
from pg_migration.orchestration.storage.stock import store_batches_at_once
from pg_migration_tests.orchestration.harness import Platform
from pg_migration_tests.orchestration.statements import counting

CONFIGURATIONS = {
    "Dagster's storage": "telemetry: {enabled: false}",
    "our storage": """
telemetry: {enabled: false}
storage:
  custom:
    module: pg_migration.orchestration.storage
    class: DeploymentStorage
    config: {}
""",
}
MORE = 12


def make_tables(platform: Platform, numbers: range) -> None:
    platform.source.psql(
        "".join(f"CREATE TABLE t{n} (id integer PRIMARY KEY, other integer REFERENCES t0);" for n in numbers)
    )
    platform.reload()


@pytest.mark.parametrize(
    "configuration",
    [
        pytest.param(CONFIGURATIONS["Dagster's storage"], marks=pytest.mark.longer),
        CONFIGURATIONS["our storage"],
    ],
    ids=CONFIGURATIONS,
)
def test_a_table_more_is_six_events_and_hardly_a_statement(
    configuration: str, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(configuration)
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "1000")
    monkeypatch.setattr(event_log, "GATHER_SECONDS", 3600.0)  # a busy machine has more moments
    store_batches_at_once()
    platform.source.psql("CREATE TABLE t0 (id integer PRIMARY KEY)")
    make_tables(platform, range(1, 3))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        platform.__dict__["instance"] = instance
        assert platform.migrate().success

        def cost() -> tuple[Counter[str], int]:
            with counting() as counted:
                run = platform.migrate(overwrite_existing_rows=True)
            assert run.success
            kinds = (e.dagster_event.event_type_value if e.dagster_event else "a line of the log" for e in run.entries)
            return Counter(kinds), len(counted)

        few, few_statements = cost()
        make_tables(platform, range(3, 3 + MORE))
        many, many_statements = cost()
    # How far the run was, and a line of the log about it, as often as there was time for it.
    told = few.pop("ASSET_OBSERVATION", 0), many.pop("ASSET_OBSERVATION", 0)
    lines = many.pop("a line of the log") - few.pop("a line of the log")
    assert lines <= max(0, told[1] - told[0])
    assert many - few == {
        "ASSET_MATERIALIZATION_PLANNED": MORE,
        "ASSET_CHECK_EVALUATION_PLANNED": 2 * MORE,
        "ASSET_MATERIALIZATION": MORE,
        "ASSET_CHECK_EVALUATION": 2 * MORE,
    }
    assert many_statements - few_statements < MORE, (few_statements, many_statements)
