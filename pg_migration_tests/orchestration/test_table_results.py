"""One table's result reads the same wherever it is told."""

import pytest

from pg_migration.orchestration.metadata import markdown_text
from pg_migration.orchestration.notifications.run_report import report_of_run
from pg_migration.orchestration.table_results import TableResult, table_result
from pg_migration.postgres import figures
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.reporting import formats
from pg_migration_tests.orchestration.harness import Platform


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1023, "1,023 B"),
        (1024, "1.0 KiB"),
        (120_021, "117 KiB"),
        (5 * 2**30, "5.0 GiB"),
        (None, ""),
    ],
)
def test_sizes_are_in_one_set_of_units(number: int | None, told: str) -> None:
    assert figures.size(number) == formats.size(number) == told
    shown = TableResult(("public", "t"), "copied", 1, number, 1, 0.25, 4, {}).row
    assert markdown_text([shown]).splitlines()[-1].split("|")[7].strip() == told
    assert markdown_text([shown]).splitlines()[-1].split("|")[5].strip() == formats.duration(0.25) == "0.25 s"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], ""),
        (["a", "b"], "a, b"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        (map(str, range(2003)), "0, 1, 2 and 2,000 more"),
    ],
)
def test_of_many_names_the_last_are_counted(names: list[str], told: str) -> None:
    assert figures.listed(names, 3) == told
    assert figures.listed(["x y", "z"], 3, "; ") == "x y; z"


@pytest.mark.parametrize(
    ("checks", "told", "is_good"),
    [
        ({}, "", True),
        ({"row_count": True, "content": True}, "2 passed", True),
        ({"row_count": True, "content": False}, "1 passed; FAILED: content", False),
        ({"row_count": False}, "FAILED: row_count", False),
    ],
)
def test_checks_in_few_words(checks: dict[str, bool], told: str, is_good: bool) -> None:
    result = TableResult(("public", "t"), "copied", 1, 1, 1, 1.0, 1, checks)
    assert result.row["checks"] == told
    assert result.is_good is is_good


def test_summary_message_and_report_tell_the_same(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[MigrationRun, str]] = []

    def keep(run: MigrationRun, *rest: object) -> None:
        told.append((run, report_of_run(run, *rest[:2], []).text))  # type: ignore[arg-type]

    monkeypatch.setattr("pg_migration.orchestration.runs.end.notify_of", keep)
    done = shop.migrate()
    assert done.success, done.failures
    ((run, message),) = told
    orders = table_result(run, ("public", "orders"))
    (row,) = (row for row in done.metadata("summary")["tables"].splitlines() if "public.orders" in row)
    (line,) = (line for line in message.splitlines() if "| public.orders" in line)
    shown = [cell.strip() for cell in row.strip("| ").split("|")]
    assert set(shown) < {cell.strip() for cell in line.strip("| ").split("|")}
    assert {formats.size(orders.bytes), formats.duration(orders.seconds), "4,000", "copied"} < set(shown)
    assert run.outcomes.addresses[Side.TARGET] in message
