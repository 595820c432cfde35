"""What a terminal shows of a migration that is under way: a line for each worker, and one for all of it."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from pg_migration.postgres.planning.key_ranges import ALL
from pg_migration.postgres.transfer.progress import Progress, Total, WorkerStatus, percent
from pg_migration.reporting import formats

# Narrower terminals see what a worker does, but not to what; the narrowest no speed either.
NARROW, NARROWEST = 80, 50
ACTIVITY = 20  # columns, for "building primary key"
LEAST_BAR, MOST_BAR = 6, 30

_DONE = {"copying": "copied", "comparing": "compared"}


def draw(progress: Progress, width: int, workers: int, ascii_only: bool = False) -> list[Text]:
    """The lines for a terminal of so many columns, none of which it has to break.

    Args:
        workers: how many lines there are at most, besides the last.
    """
    lines = [_worker(status, width, ascii_only) for status in _together(progress.workers)[:workers]]
    return [*lines, _total(progress, width, ascii_only)]


def _together(workers: Sequence[WorkerStatus]) -> list[WorkerStatus]:
    """What they do; a table that several compare is told once, as both of its sides are read at the same time."""
    found = {(w.table if w.activity == "comparing" else w.worker): w for w in reversed(workers)}
    return list(reversed(found.values()))


def _worker(status: WorkerStatus, width: int, ascii_only: bool) -> Text:
    share = f"{percent(status.share)} %" if status.share is not None else ""
    speed = f"{formats.size(status.bytes_per_second)}/s" if status.bytes_per_second else ""
    figures = f" {share:>5}" if width < NARROWEST else f" {share:>5} {speed:>11}"
    room = max(0, width - len(figures) - 3)
    activity = min(ACTIVITY, room * 3 // 5) if width < NARROW else room * 3 // 5
    name = max(0, room - activity)
    detail = _detail(status) if width >= NARROW else ""
    told = _first_that_fits(activity, f"{status.activity} {detail}".rstrip(), status.activity)
    line = Text("  ")
    line.append(set_cell_size(formats.cropped(formats.on_one_line(status.table), name, ascii_only), name), style="bold")
    line.append(" " + set_cell_size(told, activity))
    line.append(figures, style="cyan")
    return line


def _detail(status: WorkerStatus) -> str:
    """What there is to say of what a worker does, besides the table."""
    return "" if status.activity == "comparing" or status.detail == ALL else formats.on_one_line(status.detail)


def _first_that_fits(width: int, *texts: str) -> str:
    """The first text of at most so many columns; else the first word of the last."""
    return next((text for text in texts if cell_len(text) <= width), texts[-1].partition(" ")[0])


def _total(progress: Progress, width: int, ascii_only: bool) -> Text:
    total = progress.total
    begin = f"{_DONE.get(progress.phase, '')} {total.finished:,} of {total.tables:,} tables "
    ends = [_end(total, speed=True), _end(total), _end(total, left=False), ""]
    end = next((end for end in ends if len(begin) + len(end) + LEAST_BAR <= width), "")
    line = Text(begin[:width])
    if (room := width - len(begin) - len(end)) >= LEAST_BAR:
        size = min(room, MOST_BAR)
        full = round(size * (total.share or 0.0))
        line.append(("#" if ascii_only else "━") * full, style="green")
        line.append(("-" if ascii_only else "━") * (size - full), style="dim")
    line.append(end)
    return line


def _end(total: Total, speed: bool = False, left: bool = True) -> str:
    parts = [f"{percent(total.share)} %" if total.share is not None else "-"]
    if speed and total.bytes_per_second:
        parts.append(f"{formats.size(total.bytes_per_second)}/s")
    if left:
        parts.append(f"about {formats.roughly(total.seconds_left)} left" if total.seconds_left else "")
    return "".join(f"  {part}" for part in parts if part)
