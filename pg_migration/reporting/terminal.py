"""The report in the terminal."""

import textwrap
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pg_migration.postgres.figures import counted
from pg_migration.postgres.planning.forecast import Forecast
from pg_migration.postgres.preflight import Finding, Severity
from pg_migration.reporting import formats
from pg_migration.reporting.model import Database, Report, TableReport

NARROW, WIDE = 80, 110
COLUMN, LEAST_NAME = 12, 16  # characters: a column of figures, the name of a table
MAX_LINES = 20

_STYLES = {
    "failed": "bold red",
    "not copied": "bold red",
    "copied": "green",
    "continued": "green",
    "warning": "yellow",
    "error": "bold red",
    "passed": "green",
}


def show(report: Report, console: Console, place: str | None = None) -> None:
    """Print what matters of a report: how it ended, what failed, every table, the checks that did not pass.

    Args:
        console: where to.
        place: where the page is, to be told last.
    """
    for caution in report.cautions:
        _line(console, _text(caution, "yellow"))
    _head(report, console)
    if any(table.state != "not copied" for table in report.tables):  # else the run did not come so far
        console.print(_tables(report.tables, console.width))
    if problems := [found for found in report.findings if found.severity is not Severity.PASSED]:
        # The worst last, where eyes are when a command has ended.
        console.print(_findings(sorted(problems, key=lambda found: found.severity is Severity.ERROR)))
    if report.findings and not report.work:  # where rows were copied, what was in order beforehand is no news
        _line(console, _text(f"{len(report.findings) - len(problems)} of {len(report.findings)} passed"))
    if report.plan is not None:
        console.print(_plan(report.plan))
        _line(console, _text(formats.forecast(report.plan)))
    if report.checks_planned:
        _line(console, _text(report.checks_told))
    _checks(report, console)
    _few(console, report, [f"not migrated: {item.kind} {item.name}: {item.reason}" for item in report.left_out])
    _few(console, report, [f"note: {note}" for note in report.notes])
    if report.failures:
        _line(console, Text(counted(len(report.failures), "failure"), style="bold red"))
        for failure in report.failures:
            _line(console, _text(f"- {failure}", "red"), indent="  ")
    for found in report.differences:
        _line(console, _text(f"rows of {found.table} that differ:"))
        for row in found.rows:
            _line(console, _text(f"  {formats.difference(row)}"), indent="    ")
        if found.more:
            _line(console, _text("  and more"))
    if place is not None:
        _line(console, _text(f"report: {place}"))


def _few(console: Console, report: Report, lines: Sequence[str]) -> None:
    """Print lines, and of many the first; failures and checks are told in full."""
    for line in lines[:MAX_LINES]:
        _line(console, _text(line))
    if len(lines) > MAX_LINES:
        what, rest = lines[0].partition(":")[0], len(lines) - MAX_LINES
        _line(console, _text(f"{what}: {rest:,} more, which 'pg_migration report {report.run_id} --json' lists"))


def _head(report: Report, console: Console) -> None:
    style = "bold green" if report.succeeded else "bold red"
    head = Text(f"{report.job} {'succeeded' if report.succeeded else 'FAILED'}", style=style)
    took = f"  {report.started_at:%Y-%m-%d %H:%M:%S} UTC, {formats.duration(report.seconds)}, run {report.run_id}"
    head.append(took, style="default not bold")
    _line(console, head)
    _line(console, _text(f"from {_end(report.source)}"))
    _line(console, _text(f"to   {_end(report.target)}"))
    if report.work:
        told = f"{formats.count(report.total_rows)} rows, {formats.size(report.total_bytes)} on the wire"
        if report.copy_seconds:
            told += (
                f", copied in {formats.duration(report.copy_seconds)}: "
                f"{formats.size(report.total_bytes / report.copy_seconds)}/s"
            )
        _line(console, _text(told))


def _end(end: Database) -> str:
    version = f"PostgreSQL {end.version}" if end.version else "not reached"
    schemas = f", {', '.join(end.schemas)}" if end.schemas else ""
    return f"{end.where or 'unknown'} ({version}{schemas})"


def _tables(tables: Sequence[TableReport], width: int) -> Table:
    """The table of tables; a narrow terminal gets fewer columns, and long names less their middles."""
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("table", no_wrap=True)
    drawn.add_column("state", no_wrap=True)
    narrow, wide = width < NARROW, width >= WIDE
    titles = ["rows", "size", *(["time"] if narrow else ["copy", "indexes"]), *(["wire", "rows/s"] if wide else [])]
    for title in titles:
        drawn.add_column(title, justify="right", no_wrap=True)
    rest = max(len(table.state) for table in tables) + sum(COLUMN for _ in titles)
    for table in tables:
        times = [seconds for seconds in (table.copy_seconds, table.build_seconds) if seconds is not None]
        cells = {
            "rows": formats.count(table.rows),
            "size": formats.size(table.source_bytes),
            "copy": formats.duration(table.copy_seconds),
            "indexes": formats.duration(table.build_seconds),
            "time": formats.duration(sum(times)) if times else "",
            "wire": formats.size(table.bytes),
            "rows/s": formats.count(table.rows_per_second),
        }
        state = _text(table.state, _STYLES.get(table.state, ""))
        title = formats.cropped(formats.on_one_line(table.title), max(LEAST_NAME, width - rest))
        drawn.add_row(title, state, *(cells[title] for title in titles))
    return drawn


def _findings(findings: Iterable[Finding]) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("looked at", "outcome", "verdict", "what to do"):
        drawn.add_column(title, overflow="fold")
    for found in findings:
        outcome = _text(found.severity.value, _STYLES.get(found.severity.value, ""))
        drawn.add_row(_text(found.check), outcome, _text(found.verdict), _text(found.advice))
    return drawn


def _plan(plan: Forecast) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("table", "format", "cut by"):
        drawn.add_column(title, overflow="fold")
    for title in ("rows", "size", "ranges", "chunks", "time"):
        drawn.add_column(title, justify="right", no_wrap=True)
    for table in plan.tables:
        drawn.add_row(
            _text(table.table),
            _text(table.wire_format),
            _text(table.cut_by),
            formats.count(table.rows),
            formats.size(table.bytes),
            formats.count(len(table.ranges)),
            formats.count(table.chunks),
            formats.duration(table.seconds),
        )
    return drawn


def _checks(report: Report, console: Console) -> None:
    """The checks that did not pass, less those whose verdict is among the failures that follow."""
    for check in report.checks:
        told = any(check.verdict in failure or failure.startswith(f"{check.subject}: ") for failure in report.failures)
        if not check.passed and not told:
            line = f"{check.outcome}: {check.name} of {check.subject}: {check.verdict}"
            _line(console, _text(line, _STYLES.get(check.outcome, "")), indent="  ")


def _text(content: str, style: str = "") -> Text:
    """Text as it is: names may hold what rich takes for markup."""
    return Text(formats.readable(content), style=style)


def _line(console: Console, content: Text, indent: str = "") -> None:
    """Print text. On a terminal lines end between words; what has no blanks, a path say, stays whole to be copied."""
    if console.is_terminal:
        lines = content.split("\n", allow_blank=True)
        content = Text("\n").join(_wrapped(line, console.width, indent) for line in lines)
    console.print(content, soft_wrap=True)


def _wrapped(content: Text, width: int, indent: str) -> Text:
    """One line as several, indented from the second on."""
    plain, end = content.plain, 0
    lines: list[Text] = []
    for line in textwrap.wrap(
        plain,
        width,
        subsequent_indent=indent,
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        words = line.removeprefix(indent) if lines else line
        begin = plain.index(words, end)
        end = begin + len(words)
        lines.append((Text(indent) if lines else Text()) + content[begin:end])
    return Text("\n").join(lines)
