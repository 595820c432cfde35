"""What a terminal shows of a migration that is under way."""

import io
import re

import dagster as dg
import pytest
from rich.cells import cell_len
from rich.console import Console

from pg_migration.cli.live_view import draw
from pg_migration.cli.progress import Bars, Lines, follower
from pg_migration.definitions import defs
from pg_migration.postgres.transfer.progress import Progress, TableStatus, Total, WorkerStatus
from pg_migration.reporting import formats

LONG = "accounting.measurements_of_every_sensor_since_2019"
COPYING = Progress(
    "copying",
    (TableStatus("public.flights", 50, 100, 1024, 2.0),),
    (
        WorkerStatus(1, "public.flights", "copying", "..7000", 2.0, 0.5, 12.5 * 2**20),
        WorkerStatus(2, LONG, "building primary key", "measurements_of_every_sensor_since_2019_pkey", 9.0, 0.999),
        WorkerStatus(3, "public.\u65e5\u672c\u8a9e\u306e\u8868\n", "building unique key", "k", 9.0),
    ),
    Total(6, 4, 50, 100, 0.63, 130.0, 12.5 * 2**20),
)
COMPARING = Progress(
    "comparing",
    (),
    (
        *(WorkerStatus(n, "public.flights", "comparing", "source", 1.0, 0.2) for n in (1, 2)),
        *(WorkerStatus(n, "public.flights", "comparing", "target", 1.0, 0.2) for n in (3, 4)),
        WorkerStatus(5, "public.planes", "comparing", "target", 1.0, 0.0),
    ),
    Total(6, 5, 50, 100, 0.93, None),
)


def plain(progress: Progress, width: int, workers: int = 8, ascii_only: bool = False) -> list[str]:
    return [line.plain for line in draw(progress, width, workers, ascii_only)]


@pytest.mark.parametrize("width", [20, 40, 49, 50, 60, 79, 80, 100, 160])
@pytest.mark.parametrize("progress", [COPYING, COMPARING])
def test_no_line_is_broken(progress: Progress, width: int) -> None:
    lines = plain(progress, width)
    assert all(cell_len(line) <= width for line in lines)
    assert not any("\n" in line for line in lines)
    assert lines[-1].split()[1:4] == [str(progress.total.finished), "of", "6"]


def test_at_60_columns() -> None:
    assert [line.rstrip() for line in plain(COPYING, 60)] == [
        "  public.flights      copying               50 %  12.5 MiB/s",
        "  accountin…ince_2019 building primary key  99 %",
        "  public.日本語の表\\n building unique key",
        "copied 4 of 6 tables ━━━━━━━━━━━━━━━  63 %  about 2 min left",
    ]


def test_at_120_columns() -> None:
    lines = plain(COPYING, 120)
    assert lines[0].split() == ["public.flights", "copying", "..7000", "50", "%", "12.5", "MiB/s"]
    assert "building primary key measurements_of_every_sensor_since_2019_pkey" not in lines[1]  # it has no room
    assert lines[2].rstrip().endswith("building unique key k")
    assert lines[-1].endswith("  63 %  12.5 MiB/s  about 2 min left")
    assert "building primary key measurements_of_every_sensor_since_2019_pkey" in plain(COPYING, 200)[1]


def test_a_terminal_without_such_letters() -> None:
    lines = plain(COPYING, 60, ascii_only=True)
    assert "accounti...nce_2019" in lines[1]
    assert lines[-1].isascii()
    assert "####" in lines[-1]


def test_both_sides_of_a_table_are_one_line() -> None:
    lines = plain(COMPARING, 80)
    assert [line.split()[0] for line in lines] == ["public.flights", "public.planes", "compared"]
    assert "left" not in lines[-1]
    assert len(plain(COMPARING, 80, workers=1)) == 2


@pytest.mark.parametrize(
    ("name", "width", "shown"), [("abc", 3, "abc"), ("abcdef", 5, "ab…ef"), ("日本語", 5, "日…語"), ("abc", 0, "…")]
)
def test_cropped_in_the_middle(name: str, width: int, shown: str) -> None:
    assert formats.cropped(name, width) == shown


def test_lines_tell_now_and_then() -> None:
    console = Console(file=io.StringIO(), width=200)
    lines = Lines(console, every=3600)
    lines.load(COPYING)
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
    lines = Lines(console, every=0)
    lines.load(COPYING)
    lines.load(COMPARING)
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "public.flights: 50 of about 100 rows (50%), 25 rows/s, 1.0 KiB, about 2 s left",
        "4 of 6 tables, 63 %, about 2 min left",
        "compared 5 of 6 tables, 93 %",
    ]


def test_who_watches_sees_bars() -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(follower(io.StringIO()), Lines)
    assert isinstance(follower(Screen(), lines=True), Lines)


def test_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = io.StringIO()
    bars = Bars(Console(file=screen, width=60, force_terminal=True, soft_wrap=True))
    with bars:
        bars.load(COPYING)
        bars._live.refresh()
        bars.say("one two three four five six seven eight nine ten eleven twelve thirteen")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "about 2 min left" in shown
    assert "one two three four five six seven eight nine ten eleven \ntwelve thirteen" in shown


def test_every_step_has_words_for_people() -> None:
    names = {
        node.name
        for job in defs.get_repository_def().get_all_jobs()
        if isinstance(job, dg.JobDefinition) and not job.name.startswith("__")
        for node in job.nodes
    }
    assert {"source_schema", "database_checks"} <= names  # those of tables need a source
    assert not any("_" in formats.step(name) for name in names)
    assert formats.step("table_checks") == "comparison of the rows"
