"""The report that every run leaves: true, complete, one page that needs nothing else, and safe to open."""

import base64
import hashlib
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rich.cells import cell_len

from pg_migration.cli.report import print_report
from pg_migration.orchestration import environment
from pg_migration.orchestration.reports.write import report_address
from pg_migration.postgres.catalog import Notice
from pg_migration.postgres.verification.row_differences import RowDifference
from pg_migration.reporting import store
from pg_migration.reporting.html import charts
from pg_migration.reporting.html.page import render
from pg_migration.reporting.model import DifferencesReport, Report
from pg_migration_tests.conftest import SHOP, PostgresServer
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Platform, Run

HOSTILE = '"Order"; </td><script>alert(1)</script> $x$ \x01 & 注文'
STRANGE = f"""
CREATE TABLE "{HOSTILE.replace('"', '""')}" (id integer PRIMARY KEY, note text);
INSERT INTO "{HOSTILE.replace('"', '""')}" SELECT n, repeat('x', 50) FROM generate_series(1, 2000) AS n;
CREATE TABLE debris (id integer);
CREATE VIEW late AS SELECT * FROM orders WHERE placed > date '2024-06-01';
ANALYZE;
"""
CONFIG = {"exclude_tables": ["debris"], "chunk_size": 500, "partition_threshold": 1000, "max_partitions": 3}


@dataclass(frozen=True)
class Filed:
    """A run and the report that it left."""

    platform: Platform
    run: Run
    folder: Path

    @property
    def place(self) -> Path:
        return self.folder / self.run.result.run_id

    @property
    def report(self) -> Report:
        found = store.read(self.folder, self.run.result.run_id)
        assert found is not None
        return found

    @property
    def page(self) -> str:
        return (self.place / store.PAGE).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def filed(
    postgres16: PostgresServer, postgres18: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Filed]:
    """One migration with a name that nobody should have chosen."""
    source, target = (Database(server, server.create_database()) for server in (postgres16, postgres18))
    source.psql(SHOP + STRANGE)
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for platform in serve(source, target, monkeypatch, home):
            platform.set(REPORTS=None)
            run = platform.migrate(**CONFIG)
            assert run.success
            yield Filed(platform, run, home / "pg_migration" / "reports")
    for database in (source, target):
        database.server.drop_database(database.url)


def test_it_is_linked_from_the_summary(filed: Filed) -> None:
    assert filed.run.metadata("summary")["report"] == str(filed.place / store.PAGE)


def test_its_link_is_an_address_where_a_web_server_shows_the_folder(filed: Filed) -> None:
    page = filed.place / store.PAGE
    filed.platform.set(REPORTS_URL="https://reports.example/shop/")
    try:
        assert (
            report_address(environment.pair(), page) == f"https://reports.example/shop/{page.parent.name}/{store.PAGE}"
        )
    finally:
        filed.platform.set(REPORTS_URL=None)
    assert report_address(environment.pair(), page) is None


def test_its_data_is_what_the_ledger_has(filed: Filed) -> None:
    report = filed.report
    assert report.succeeded
    assert not report.failures
    ledger = filed.platform.target.psql(
        "SELECT json_agg(t) FROM (SELECT table_name, sum(row_count)::int AS rows, sum(byte_count)::int AS bytes, "
        "count(*)::int AS chunks FROM _pg_migration.chunk GROUP BY 1) AS t"
    )
    expected = {t["table_name"]: (t["rows"], t["bytes"], t["chunks"]) for t in json.loads(ledger)}
    assert {t.name: (t.rows, t.bytes, t.chunks) for t in report.copied} == expected
    assert set(expected) == {"customers", "orders", HOSTILE}
    copies = [done for done in report.work if done.activity == "copy"]
    moved = {
        name: (
            sum(done.rows for done in copies if done.table == f"public.{name}"),
            sum(done.bytes for done in copies if done.table == f"public.{name}"),
            sum(done.table == f"public.{name}" for done in copies),
        )
        for name in expected
    }
    assert moved == expected
    assert report.total_rows == 6100


def test_it_tells_of_everything(filed: Filed) -> None:
    report = filed.report
    states = {table.name: table.state for table in report.tables}
    assert states == {"customers": "copied", "debris": "excluded", "orders": "copied", HOSTILE: "copied"}
    assert report.source.version is not None
    assert report.source.version.startswith("16.")
    assert report.target.version is not None
    assert report.target.version.startswith("18.")
    assert report.source.schemas == report.target.schemas == ("public",)
    assert report.options.items() >= CONFIG.items()
    checked = {(check.subject, check.name): check.outcome for check in report.checks}
    assert checked["public.orders", "row_count"] == checked["public.orders", "content"] == "passed"
    kinds = {kind.kind: kind for kind in report.kinds}
    assert (kinds["view"].in_source, kinds["view"].made, kinds["view"].failed) == (1, 1, 0)
    assert (kinds["index"].in_source, kinds["index"].made) == (1, 1)
    assert [step.name for step in report.steps][:4] == [
        "source_schema",
        "source_schema_known_tables",
        "target_ddl",
        "tables",
    ]


def test_its_timeline_shows_who_did_what_when(filed: Filed) -> None:
    report = filed.report
    assert {done.worker for done in report.work} <= set(range(1, report.options["workers"] + 1))
    assert all(report.started_at <= d.started_at <= d.finished_at <= report.finished_at for d in report.work)
    assert all(done.succeeded for done in report.work)
    for worker in {done.worker for done in report.work}:
        own = [done for done in report.work if done.worker == worker]
        assert all(before.finished_at <= after.started_at for before, after in itertools.pairwise(own))
    built = {(done.activity, done.detail) for done in report.work if done.table == "public.orders"}
    assert built >= {("index", "orders_placed"), ("primary key", "orders_pkey"), ("analyze", "")}
    edges, rates = charts.throughput(report)
    moved = sum(rate * (end - begin) for rate, begin, end in zip(rates, edges, edges[1:], strict=False))
    assert moved == pytest.approx(report.total_bytes)


def test_its_tables_are_csv_too(filed: Filed) -> None:
    import pandas as pd  # half a second, which other tests need not wait for

    tables = pd.read_csv(filed.place / store.TABLES)
    assert dict(zip(tables["name"], tables["state"], strict=True))[HOSTILE] == "copied"
    assert int(tables["rows"].sum()) == 6100
    assert tables.loc[tables["name"] == "orders", "rows_per_second"].item() > 0
    assert len(pd.read_csv(filed.place / store.CHECKS)) == len(filed.report.checks)
    timeline = pd.read_csv(filed.place / store.WORK)
    assert timeline["bytes"].sum() == filed.report.total_bytes


class _Reader(HTMLParser):
    """What a browser would make of a page: the texts, and what it would fetch or run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_its_page_fetches_nothing_and_runs_nothing(filed: Filed) -> None:
    read = _Reader(filed.page)
    assert "script" not in read.tags
    outside = {address for address in read.addresses if not address.startswith("#")}
    assert outside == {store.DATA, store.TABLES, store.CHECKS, store.WORK}
    assert all((filed.place / name).is_file() for name in outside)
    assert not re.search("https?:", filed.page)
    assert "script-src 'none'" in filed.page
    assert "@import" not in filed.page
    assert "url(" not in filed.page.replace("url(#", "")


def test_a_page_of_many_tables_has_fields_to_filter_them_and_runs_nothing_else(filed: Filed) -> None:
    told = "20 large objects, 640 B: 20 copied, 0 were the same"
    many = replace(filed.report, tables=filed.report.tables * 10, checks=filed.report.checks * 10, large_objects=told)
    page = render(many)
    assert "<b>20 large objects, 640 B</b>20 copied, 0 were the same" in page
    assert "large objects" not in filed.page
    assert page.count('class="filter"') == 2
    (script,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{known}'" in page


def test_its_page_shows_every_name_as_it_is(filed: Filed) -> None:
    read = _Reader(filed.page)
    cells = [text.strip() for text in read.texts]
    assert f"public.{HOSTILE}".replace("\x01", "\\x01") in cells
    assert "\x01" not in filed.page
    assert {"public.orders", "public.debris", "excluded", "row_count", "4,000 rows on both sides"} <= set(cells)
    assert any("PostgreSQL 18." in text for text in read.texts)
    assert read.tags.count("svg") == 3
    assert "worker 1" in cells


def test_a_run_of_very_many_chunks_makes_no_heavier_page(filed: Filed) -> None:
    report = filed.report
    step = (report.finished_at - report.started_at) / 2000
    work = [
        replace(
            report.work[n % len(report.work)],
            worker=1,
            table=f"public.t{n % 7}",
            started_at=report.started_at + n * step,
            finished_at=report.started_at + (n + 1) * step,
            succeeded=n != 1234,
        )
        for n in range(2000)
    ]
    timeline = charts.draw(replace(report, work=tuple(work)))[0]
    assert sum(shape.path.count("M") for shape in timeline.shapes) < 1000
    assert any(charts.FAILED in shape.look for shape in timeline.shapes)


def test_it_holds_no_password(filed: Filed) -> None:
    for path in filed.place.iterdir():
        for url in (filed.platform.source.url, filed.platform.target.url):
            assert str(urlsplit(url).password) not in path.read_text(encoding="utf-8"), path


def test_validating_leaves_a_report_too(filed: Filed) -> None:
    found = Filed(filed.platform, filed.platform.validate(exclude_tables=["debris"]), filed.folder).report
    assert (found.job, found.succeeded, found.tables, found.work) == ("validate", True, (), ())
    assert ("public.orders", "content") in {(check.subject, check.name) for check in found.checks}


def test_one_table_alone_leaves_a_report_of_it(filed: Filed) -> None:
    report = Filed(filed.platform, filed.platform.materialize("public/customers", **CONFIG), filed.folder).report
    assert report.succeeded
    assert [(table.title, table.state, table.rows) for table in report.tables] == [("public.customers", "copied", 100)]


def test_a_failed_run_leaves_one_that_begins_with_what_failed(filed: Filed) -> None:
    shop = filed.platform
    shop.after("tables", lambda: shop.target.psql("DELETE FROM orders WHERE id = 7"))
    run = shop.migrate(**CONFIG)
    shop.after("tables", lambda: None)
    assert not run.success
    failed = Filed(shop, run, filed.folder)
    report = failed.report
    assert not report.succeeded
    told = (
        "public.orders: 4,000 rows in the source, 3,999 in the target, 1 row differs. "
        "Next: pg_migration repair public.orders"
    )
    assert report.failures[0] == told
    assert sum("public.orders: " in failure for failure in report.failures) == 1
    assert report.differences == (DifferencesReport("public.orders", (RowDifference("missing", "(7)"),), more=False),)
    assert report.checks[0].subject == "public.orders"
    assert report.checks[0].outcome == "failed"
    texts = [text.strip() for text in _Reader(failed.page).texts]
    assert texts.index(told) < texts.index("Tables")
    assert "failed" in texts[: texts.index(told)]
    good = f"{sum(check.passed for check in report.checks)} passed"
    assert texts.index(report.checks[0].verdict) < texts.index(good), "what is well comes last, and may be folded"


def test_a_report_that_cannot_be_written_is_a_note(filed: Filed, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    filed.platform.set(REPORTS=str(tmp_path / "file"))
    try:
        run = filed.platform.materialize("summary", **CONFIG)  # which files it
    finally:
        filed.platform.set(REPORTS=None)
    assert run.success
    shown = run.metadata("summary")
    assert "report" not in shown
    assert "the report could not be written: [Errno 20] Not a directory" in shown["notes"]


def test_a_page_that_cannot_be_written_is_not_told_of(
    filed: Filed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the disk has room for the data alone: no draft of the page is left, and nobody is sent there."""
    (tmp_path / filed.report.run_id / store.PAGE).mkdir(parents=True)
    report = replace(filed.report, work=())  # of which pictures are made
    with pytest.raises(OSError, match=store.PAGE):
        store.write(report, tmp_path)
    assert store.read(tmp_path, report.run_id) == report
    assert not list(tmp_path.rglob(f"*{store.DRAFT}"))
    print_report(filed.report, tmp_path, as_json=False)
    assert "report:" not in capsys.readouterr().out
    print_report(filed.report, filed.folder, as_json=False)
    assert f"report: {filed.place / store.PAGE}\n" in capsys.readouterr().out


def test_a_report_is_written_without_libraries_that_take_long_to_import(filed: Filed, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from pg_migration.reporting import store; "
        "folder = Path(sys.argv[1]); assert store.write(store.read(folder, sys.argv[2]), Path(sys.argv[3])).exists(); "
        "print(*({'matplotlib', 'numpy', 'pandas'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", program, str(filed.folder), filed.run.result.run_id, str(tmp_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "\n"


@pytest.mark.parametrize("seconds", [0.0004, 3.7, 299, 5000, 123456])
def test_pictures_of_runs_of_any_length_have_an_axis_that_can_be_read(filed: Filed, seconds: float) -> None:
    begun = filed.report.started_at
    factor = seconds / filed.report.seconds
    work = tuple(
        replace(
            done,
            started_at=begun + (done.started_at - begun) * factor,
            finished_at=begun + (done.finished_at - begun) * factor,
        )
        for done in filed.report.work
    )
    report = replace(filed.report, finished_at=begun + timedelta(seconds=seconds), work=work, steps=())
    for chart in charts.draw(report):
        marks = [text for text in chart.texts if text.anchor == "middle" and re.fullmatch(r"[\d,.e-]+", text.text)]
        assert 3 <= len(marks) <= 12, chart.title
        assert len({text.text for text in marks}) == len(marks)
        feet = sorted(text.x for text in marks)
        assert min(after - before for before, after in itertools.pairwise(feet)) > charts.TEXT * 3
        assert all(0 <= text.x <= charts.WIDTH and 0 < text.y < chart.height for text in chart.texts)
    assert "nan" not in render(report)


def test_names_in_pictures_stand_beside_each_other(filed: Filed) -> None:
    """As far as can be told without a browser: labels end where bars begin, in rows that are higher than letters."""
    named = [HOSTILE * 3, "W" * 63, "\u6ce8" * 63, "t", "a long name, but not more than that"]
    tables = tuple(replace(filed.report.copied[0], name=name) for name in named)
    (longest,) = (c for c in charts.draw(replace(filed.report, tables=tables)) if c.name == "longest")
    labels = [text for text in longest.texts if text.anchor == "end"]
    assert [label.whole for label in labels] == [table.title for table in tables]
    assert len({label.x for label in labels}) == 1
    assert all(cell_len(label.text) <= charts.LONGEST_LABEL for label in labels)
    assert min(after.y - before.y for before, after in itertools.pairwise(labels)) > charts.TEXT
    page = render(replace(filed.report, tables=tables))
    assert "<script>alert" not in page
    assert _Reader(page).tags.count("svg") == 3


def test_of_many_notes_the_terminal_shows_the_first(
    filed: Filed, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    report = replace(
        filed.report,
        notes=tuple(f"number {n} of them" for n in range(1, 1025)),
        left_out=(Notice("rule", "[bold]r", "it is odd"),),
        cautions=("no table matches",),
    )
    print_report(report, tmp_path, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "no table matches"
    assert "not migrated: rule [bold]r: it is odd" in lines
    told = [line for line in lines if line.startswith("note: ")]
    assert told[:20] == [f"note: number {n} of them" for n in range(1, 21)]
    assert told[20:] == [f"note: 1,004 more, which 'pg_migration report {report.run_id} --json' lists"]
    print_report(report, tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out)["notes"][-1] == "number 1024 of them"
