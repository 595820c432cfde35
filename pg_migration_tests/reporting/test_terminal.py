"""A report on terminals of several widths."""

import io
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from rich.console import Console

from pg_migration.postgres.catalog import Notice
from pg_migration.postgres.planning.forecast import Forecast, TableForecast, with_large_objects
from pg_migration.postgres.preflight import error, passed, warning
from pg_migration.postgres.preflight.objects import NOT_COPIED
from pg_migration.postgres.verification.row_differences import RowDifference
from pg_migration.reporting import formats, terminal
from pg_migration.reporting.model import CheckReport, Database, DifferencesReport, Report, TableReport

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
FAILURE = (
    "public.flights: 20 rows or more differ; the source did not change since the copy of 2026-01-01 00:00:00 UTC, so "
    "the target did. Next: pg_migration repair public.flights"
)
LONG = "accounting.measurements_of_every_sensor_since_2019"
EXCLUDED = Notice("table", "public.audit", "excluded by exclude_tables")
REPORT = Report(
    run_id="0a1b2c3d-0000-4000-8000-000000000000",
    job="validate",
    platform_version="1",
    started_at=BEGIN,
    finished_at=BEGIN + timedelta(seconds=5),
    succeeded=False,
    source=Database("postgresql://reader@old.example.org:5432/shop", "16.1", ("public",)),
    target=Database("postgresql://mig@new.example.org:5432/shop", "18.1", ("public",)),
    options={},
    failures=(FAILURE, "a line\nand\tanother that is so long that it has to be broken into several, on most terminals"),
    notes=("table public.audit: excluded by exclude_tables", "roles in the target: one: Make it", "something else"),
    left_out=(EXCLUDED,),
    findings=(
        passed("server versions", "16 to 18"),
        warning("roles in the target", "one", "Make it"),
        warning(NOT_COPIED, "table public.audit: excluded by exclude_tables", "Set it up by hand"),
        error(
            "locks on the source", "session 5 has locks on public.flights: the migration waits until it ends", "End it"
        ),
    ),
    plan=None,
    tables=(
        TableReport(
            "public", "flights", "public.flights", "copied", rows=336776, source_bytes=24222222, copy_seconds=2.0
        ),
        TableReport(*LONG.split("."), LONG, "not copied", source_bytes=10**12),
    ),
    checks=(CheckReport("public.flights", "content", False, False, "20 rows or more differ; the source", {}),),
    checks_planned=1,
    kinds=(),
    steps=(),
    work=(),
    differences=(
        DifferencesReport(
            "public.flights",
            (
                RowDifference("missing", "(7)"),
                RowDifference("extra", "(8)"),
                RowDifference("different", "(9)", ("carrier", "t")),
                RowDifference("different", "(10)"),
            ),
            more=True,
        ),
    ),
)


def shown(report: Report, width: int, watched: bool = True) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=watched, no_color=True, color_system=None, soft_wrap=False)
    terminal.show(report, console, "/somewhere/report.html")
    return text.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_word_is_broken(width: int) -> None:
    """What is longer than a line alone is longer than the terminal: it can be copied."""
    told = shown(REPORT, width)
    words = {word for text in (*REPORT.failures, FAILURE) for word in text.split()}
    assert words <= set(told.split())
    for line in told.splitlines():
        assert len(line.rstrip()) <= width or " " not in line.strip(), line


def test_a_file_has_a_line_for_each() -> None:
    assert f"- {FAILURE}\n" in shown(REPORT, 200, watched=False)


def test_everything_is_said_once() -> None:
    told = shown(REPORT, 160)
    for text in ("20 rows or more differ", "excluded by exclude_tables", "one ", "session 5", "something else"):
        assert told.count(text) == 1, text
    assert "1 of 4 passed" in told


def test_rows_that_differ() -> None:
    lines = shown(REPORT, 80).splitlines()
    begin = lines.index("rows of public.flights that differ:")
    assert lines[begin + 1 : begin + 6] == [
        "  (7)  only in the source",
        "  (8)  only in the target",
        "  (9)  differs in carrier, t",
        "  (10)  differs",
        "  and more",
    ]


def test_narrow_terminals_see_fewer_columns_and_names_without_their_middle() -> None:
    told = shown(REPORT, 60)
    assert "public.flights" in told
    assert "…" in told
    assert LONG not in told
    assert LONG in shown(REPORT, 160)
    assert "rows/s" not in told


def test_tables_that_a_run_did_not_come_to_are_not_listed() -> None:
    untouched = replace(REPORT, tables=REPORT.tables[1:])
    assert "not copied" not in shown(untouched, 160)
    assert "not copied" in shown(REPORT, 160)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_plan(width: int) -> None:
    tables = tuple(
        TableForecast(name, 3_000_000, 426 * 2**20, "binary", "place in file", ("all",), 32, False, seconds)
        for name, seconds in (("public.flights", 5.25), (LONG, 0.02))
    )
    forecast = Forecast(tables, 2, 6_000_000, 2**30, 64, 0.03, 30 * 2**20, measured=False)
    told = shown(replace(REPORT, job="plan", plan=forecast, tables=()), width)
    assert "public.flights" in told
    assert "3,000,000" in told
    assert "5.2 s" in told
    assert "< 0.1 s" in told
    assert "about < 0.1 s" not in " ".join(told.split())
    assert "large object" not in told
    told = shown(replace(REPORT, job="plan", plan=with_large_objects(forecast, 20_003, 2**30), tables=()), width)
    words = " ".join(told.split())
    assert "in 64 chunks, and at most 20,003 large objects, 1.0 GiB; with 2 workers about 17.1 s for the copy" in words


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, "< 0.1 s"), (0.26, "0.3 s"), (42.04, "42.0 s"), (90, "1 min 30 s")]
)
def test_what_is_only_expected_has_no_hundredths(seconds: float, told: str) -> None:
    assert formats.foreseen(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "1 s"), (9.4, "9 s"), (33, "35 s"), (58, "1 min"), (130, "2 min"), (1500, "25 min"), (3400, "1 h 00 min")],
)
def test_estimates_are_rough(seconds: float, told: str) -> None:
    assert formats.roughly(seconds) == told


def test_large_objects_are_told_where_there_are_some() -> None:
    told = "20 large objects, 640 B: 20 copied, 0 were the same"
    report = replace(REPORT, large_objects=told)
    assert told in shown(report, 80).splitlines()
    assert "large objects" not in shown(REPORT, 80)
