"""The report in the terminal."""

import textwrap
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from pg_migration.postgres.figures import counted
from pg_migration.postgres.planning.forecast import Forecast
from pg_migration.postgres.preflight import Finding, Severity
from pg_migration.postgres.preflight.objects import NOT_COPIED
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
    "carried": "green",
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
        console.print(_tables(report.tables, console), soft_wrap=True)
    # What is left out has lines of its own.
    left_out = {f"{item.kind} {item.name}: {item.reason}" for item in report.left_out}
    problems = [found for found in report.findings if found.severity is not Severity.PASSED]
    if left_out:
        problems = [found for found in problems if found.check != NOT_COPIED]
    if problems:
        # The worst last, where eyes are when a command has ended.
        _findings(console, sorted(problems, key=lambda found: found.severity is Severity.ERROR))
    if report.findings and not report.work:  # where rows were copied, what was in order beforehand is no news
        passed = sum(found.severity is Severity.PASSED for found in report.findings)
        _line(console, _text(f"{passed} of {len(report.findings)} passed"))
    if report.plan is not None:
        console.print(_plan(report.plan, console), soft_wrap=True)
        for table in report.plan.tables:
            if table.transform:
                _line(console, _text(f"{table.table}: {table.transform}"))
        _line(console, _text(formats.forecast(report.plan)))
    if report.checks_planned:
        _line(console, _text(report.checks_told))
    _checks(report, console)
    _few(console, report, [f"not migrated: {item.kind} {item.name}: {item.reason}" for item in report.left_out])
    told = {*left_out, *(f"{found.check}: {found}" for found in problems)}
    _few(console, report, [f"note: {note}" for note in report.notes if note not in told])
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
    if report.large_objects is not None:
        _line(console, _text(report.large_objects))


def _end(end: Database) -> str:
    version = f"PostgreSQL {end.version}" if end.version else "not reached"
    schemas = f", {', '.join(end.schemas)}" if end.schemas else ""
    return f"{end.where or 'unknown'} ({version}{schemas})"


def _tables(tables: Sequence[TableReport], console: Console) -> RenderableType:
    """The table of tables; a narrow terminal gets fewer columns, and long names less their middles."""
    width = console.width
    narrow, wide = width < NARROW, width >= WIDE
    titles = ["rows", "size", *(["time"] if narrow else ["copy", "indexes"]), *(["wire", "rows/s"] if wide else [])]
    rest = max(len(table.state) for table in tables) + sum(COLUMN for _ in titles)
    rows = []
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
        title = formats.cropped(formats.on_one_line(table.title), max(LEAST_NAME, width - rest))
        rows.append([title, formats.readable(table.state), *(cells[title] for title in titles)])
    return _columns(console, ["table", "state"], titles, rows, [_STYLES.get(table.state, "") for table in tables])


def _columns(
    console: Console, words: Sequence[str], figures: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str]
) -> RenderableType:
    """Columns of words, then of figures, with the second cell of each row in a style of its own.

    As rich draws them, which takes it a second for a thousand rows; it does where there is more than the lines have
    room for.
    """
    titles = [*words, *figures]
    widths = [max(map(cell_len, column)) for column in zip(titles, *rows, strict=True)]
    length = sum(widths) + 3 * (len(widths) - 1)
    if length + 2 > console.width:
        return _drawn(words, figures, rows, styles)
    drawn = Text("\n ")
    for line, style in zip([titles, *rows], ["", *styles], strict=True):
        for number, (cell, width) in enumerate(zip(line, widths, strict=True)):
            blanks = " " * (width - cell_len(cell))
            drawn.append(cell + blanks if number < len(words) else blanks + cell, "bold" if line is titles else "")
            if number == 1 and style:
                drawn.stylize(style, len(drawn) - width)
            drawn.append("   " if number < len(widths) - 1 else "\n ")
        if line is titles:
            drawn.append(("-" if console.options.ascii_only else "─") * length + "\n ")
    return drawn


def _drawn(words: Sequence[str], figures: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str]) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in words:
        drawn.add_column(title, no_wrap=True)
    for title in figures:
        drawn.add_column(title, justify="right", no_wrap=True)
    for (first, second, *others), style in zip(rows, styles, strict=True):
        drawn.add_row(Text(first), Text(second, style=style), *map(Text, others))
    return drawn


def _findings(console: Console, findings: Sequence[Finding]) -> None:
    """What was found, as a table; a narrow terminal gets a line for each, and another for what to do."""
    if console.width < WIDE:
        for found in findings:
            style = _STYLES.get(found.severity.value, "")
            _line(console, _text(f"{found.severity.value}: {found.check}: {found.verdict}", style), indent="  ")
            if found.advice:
                _line(console, _text(f"  what to do: {found.advice}"), indent="  ")
        return
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("looked at", "outcome", "verdict", "what to do"):
        drawn.add_column(title, overflow="fold")
    for found in findings:
        outcome = _text(found.severity.value, _STYLES.get(found.severity.value, ""))
        drawn.add_row(_text(found.check), outcome, _text(found.verdict), _text(found.advice))
    console.print(drawn)


def _plan(plan: Forecast, console: Console) -> RenderableType:
    """The table of what would be copied; columns as in `_tables`."""
    width = console.width
    words = ["format", "cut by"] if width >= WIDE else ["cut by"] if width >= NARROW else []
    figures = ["rows", "size", *(["ranges"] if width >= WIDE else []), *(["chunks"] if words else []), "time"]
    rest = COLUMN * len(figures) + sum(max(len(table.cut_by) for table in plan.tables) + 2 for _ in words)
    rows = []
    for table in plan.tables:
        cells = {
            "format": table.wire_format,
            "cut by": table.cut_by,
            "rows": formats.count(table.rows),
            "size": formats.size(table.bytes),
            "ranges": formats.count(len(table.ranges)),
            "chunks": formats.count(table.chunks),
            "time": formats.foreseen(table.seconds),
        }
        title = formats.cropped(formats.on_one_line(table.table), max(LEAST_NAME, width - rest))
        rows.append([title, *(formats.on_one_line(cells[title]) for title in [*words, *figures])])
    return _columns(console, ["table", *words], figures, rows, [""] * len(rows))


def _checks(report: Report, console: Console) -> None:
    """The checks that did not pass, less those whose verdict is among the failures that follow."""
    for check in report.checks:
        told = any(
            check.verdict in failure or failure in check.verdict or failure.startswith(f"{check.subject}: ")
            for failure in report.failures
        )
        if not check.passed and not told:
            line = f"{check.outcome}: {check.name} of {check.subject}: {check.verdict}"
            _line(console, _text(line, _STYLES.get(check.outcome, "")), indent="  ")


def _text(content: str, style: str = "") -> Text:
    """Text as it is: names may hold what rich takes for markup."""
    return Text(formats.readable(content), style=style)


def _line(console: Console, content: Text, indent: str = "") -> None:
    """Print text. On a terminal lines end between words; what has no blanks, a path say, stays whole to be copied."""
    if console.is_terminal:
        content.expand_tabs(console.tab_size)
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
