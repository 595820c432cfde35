"""The pictures of a report, as SVG that stands in the page itself.

matplotlib takes about a second to import, so it is imported when the first picture is drawn: a code location that only
waits for work has no use for it.
"""

import io
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pg_migration.reporting import formats
from pg_migration.reporting.model import Report, TableReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#2f6db3", "#e08a2c", "#3f9c5a", "#8a63b8", "#c2554d", "#4fb0ae", "#b59a2f", "#d17fb0")
OTHERS = "#a9adb3"
STEPS = "#d5d8dc"
FAILED = "#c0261c"
INK = "#30353b"

LONGEST_LABEL = 34
TABLES_IN_BARS = 15
BINS = 200

# What the eye can't tell apart is drawn as one bar, as a page with a hundred thousand of them opens slowly: pieces of
# work of one look with less than this share of the run between them; and where a worker still has more bars than fit,
# what it did most of the time in each of so many slots.
GAP = 1 / 1500
SLOTS = 600

_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and the reader's fonts have more scripts than ours
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#c3c7cc",
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,  # a dollar sign in an identifier is a dollar sign
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e6e8eb",
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Chart:
    """A picture, and what it shows."""

    title: str
    explanation: str
    svg: str


@dataclass(frozen=True)
class _Bar:
    """A stretch of one row of the timeline; times in seconds since the run began."""

    begin: float
    end: float
    colour: str
    building: bool
    failed: bool


def draw(report: Report) -> list[Chart]:
    """The pictures that a run gives rise to; none when it copied nothing."""
    if not report.work:
        return []
    # Only pictures need it: see above.
    import matplotlib

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that its own fonts lack; it does not draw them, the reader does
        return [
            Chart("Who did what when", _TIMELINE, _timeline(report)),
            Chart("Throughput", "What all workers together sent over the wire.", _throughput(report)),
            Chart("Tables that took longest", "Wall time, of all workers together, by table.", _longest(report)),
        ]


_TIMELINE = (
    "One row for each worker. A full bar is copying, a light one building indexes, constraints and statistics; a red "
    "edge is a failure. The topmost row shows the run's steps."
)


def _timeline(report: Report) -> str:
    colours = _colours(report)
    rows = {
        worker: _sampled(_merged(bars, report.seconds), report.seconds)
        for worker, bars in sorted(_bars(report, colours).items())
    }
    unit, seconds = _unit(report)
    figure, axes = _canvas(height=1.2 + 0.34 * (len(rows) + 1))
    _draw_steps(axes, report, seconds)
    for number, bars in enumerate(rows.values(), 1):
        for (colour, building, failed), alike in _by_look(bars).items():
            axes.broken_barh(
                [(b.begin / seconds, max(b.end - b.begin, report.seconds * GAP) / seconds) for b in alike],
                (number - 0.38, 0.76),
                facecolors=colour,
                alpha=0.4 if building else 1.0,
                edgecolor=FAILED if failed else "white",
                linewidth=1.4 if failed else 0.3 if len(bars) < SLOTS / 4 else 0.0,
            )
    names = {done.worker: done.who for done in report.work}
    axes.set_yticks(range(len(rows) + 1), ["steps", *(names[worker] for worker in rows)])
    axes.invert_yaxis()
    axes.set_xlim(0, report.seconds / seconds)
    axes.set_xlabel(f"{unit} since the run began")
    axes.tick_params(axis="y", length=0)
    _legend(figure, colours, others=len({done.table for done in report.work}) > len(colours))
    return _svg(figure, "timeline")


def _draw_steps(axes: "Axes", report: Report, seconds: float) -> None:
    for step in report.steps:
        if step.started_at is None:
            continue
        begin = _since(report, step.started_at) / seconds
        end = (_since(report, step.finished_at) if step.finished_at else report.seconds) / seconds
        axes.broken_barh([(begin, end - begin)], (-0.38, 0.76), facecolors=STEPS, edgecolor="white", linewidth=0.6)
        if (end - begin) > 0.012 * len(step.name) * report.seconds / seconds:
            axes.text((begin + end) / 2, 0, step.name, ha="center", va="center", fontsize=8)


def _legend(figure: "Figure", colours: Mapping[str, str], others: bool) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, label=_label(table)) for table, colour in colours.items()]
    if others:
        patches.append(Patch(color=OTHERS, label="other tables"))
    figure.legend(handles=patches, loc="outside lower left", ncols=4, fontsize=8, handlelength=1, columnspacing=1.2)


def _colours(report: Report) -> dict[str, str]:
    """A colour for each of the tables that took most of the workers' time."""
    spent: dict[str, float] = {}
    for done in report.work:
        spent[done.table] = spent.get(done.table, 0.0) + done.seconds
    largest = sorted(spent, key=lambda table: -spent[table])[: len(COLOURS)]
    return dict(zip(largest, COLOURS, strict=False))


def _bars(report: Report, colours: Mapping[str, str]) -> dict[int, list[_Bar]]:
    """What each worker did, in order."""
    found: dict[int, list[_Bar]] = {}
    for done in report.work:
        begin, end = _since(report, done.started_at), _since(report, done.finished_at)
        bar = _Bar(begin, end, colours.get(done.table, OTHERS), done.activity != "copy", not done.succeeded)
        found.setdefault(done.worker, []).append(bar)
    return found


def _merged(bars: Iterable[_Bar], span: float) -> list[_Bar]:
    """Bars that look the same and nearly touch, as one."""
    merged: list[_Bar] = []
    for bar in bars:
        last = merged[-1] if merged else None
        if last is not None and _look(last) == _look(bar) and bar.begin - last.end <= span * GAP:
            merged[-1] = _Bar(last.begin, bar.end, *_look(bar))
        else:
            merged.append(bar)
    return merged


def _sampled(bars: list[_Bar], span: float) -> list[_Bar]:
    """The bars, or as many as fit; what failed is never left out."""
    if len(bars) <= SLOTS:
        return bars
    width = span / SLOTS
    slots: dict[int, dict[tuple[str, bool, bool], float]] = {}
    for bar in bars:
        for slot in range(int(bar.begin / width), int(bar.end / width) + 1):
            shared = min(bar.end, (slot + 1) * width) - max(bar.begin, slot * width)
            looks = slots.setdefault(slot, {})
            looks[_look(bar)] = looks.get(_look(bar), 0.0) + shared
    chosen = {slot: max(looks, key=lambda look: (look[2], looks[look])) for slot, looks in slots.items()}
    return _merged((_Bar(s * width, (s + 1) * width, *chosen[s]) for s in sorted(chosen)), span)


def _look(bar: _Bar) -> tuple[str, bool, bool]:
    return bar.colour, bar.building, bar.failed


def _by_look(bars: Iterable[_Bar]) -> dict[tuple[str, bool, bool], list[_Bar]]:
    found: dict[tuple[str, bool, bool], list[_Bar]] = {}
    for bar in bars:
        found.setdefault(_look(bar), []).append(bar)
    return found


def _throughput(report: Report) -> str:
    edges, rates = throughput(report)
    figure, axes = _canvas(height=2.2)
    unit, seconds = _unit(report)
    axes.stairs([rate / 2**20 for rate in rates], [e / seconds for e in edges], fill=True, color=COLOURS[0], alpha=0.85)
    axes.set_xlim(0, report.seconds / seconds)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.set_xlabel(f"{unit} since the run began")
    axes.set_ylabel("MiB/s")
    return _svg(figure, "throughput")


def throughput(report: Report) -> tuple[list[float], list[float]]:
    """Bytes a second over the run, each chunk's bytes spread evenly over the time that it took.

    Returns:
        The edges of the bins, in seconds since the run began, and the rates between them.
    """
    import numpy

    edges = numpy.linspace(0, max(report.seconds, 0.001), BINS + 1)
    moved = numpy.zeros(BINS)
    for done in report.work:
        if done.bytes:
            begin, end = _since(report, done.started_at), _since(report, done.finished_at)
            end = max(end, begin + 1e-6)
            overlap = numpy.minimum(end, edges[1:]) - numpy.maximum(begin, edges[:-1])
            moved += numpy.clip(overlap, 0, None) * (done.bytes / (end - begin))
    return edges.tolist(), (moved / numpy.diff(edges)).tolist()


def _longest(report: Report) -> str:
    tables = sorted(report.copied, key=lambda table: -_table_seconds(table))[:TABLES_IN_BARS]
    figure, axes = _canvas(height=0.9 + 0.26 * max(len(tables), 1))
    places = range(len(tables))
    copying = [table.copy_seconds or 0.0 for table in tables]
    building = [table.build_seconds or 0.0 for table in tables]
    axes.barh(places, copying, 0.7, color=COLOURS[0], label="copying")
    axes.barh(places, building, 0.7, left=copying, color=COLOURS[0], alpha=0.4, label="indexes, keys, statistics")
    for place, table in zip(places, tables, strict=True):
        told = f" {formats.count(table.rows)} rows, {formats.size(table.bytes)}"
        axes.text(_table_seconds(table), place, told, va="center", fontsize=8)
    axes.set_yticks(places, [_label(table.title) for table in tables])
    axes.set_xlim(0, 1.3 * max(map(_table_seconds, tables), default=1) or 1)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_xlabel("seconds")
    axes.legend(loc="lower right", fontsize=8)
    return _svg(figure, "longest")


def _table_seconds(table: TableReport) -> float:
    return (table.copy_seconds or 0.0) + (table.build_seconds or 0.0)


def _unit(report: Report) -> tuple[str, float]:
    """In what to tell times of a run of this length, and how many seconds that is."""
    if report.seconds < 300:
        return "seconds", 1.0
    return ("minutes", 60.0) if report.seconds < 3 * 3600 else ("hours", 3600.0)


def _since(report: Report, moment: datetime) -> float:
    return (moment - report.started_at).total_seconds()


def _label(name: str) -> str:
    line = " ".join(formats.readable(name).split())
    return line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 1] + "…"


def _canvas(height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, height), layout="constrained")
    return figure, figure.subplots()


# What names the SVG namespace: not needed inside a page, and no address has a place in one that fetches nothing.
_NAMESPACES = re.compile(r'\s+xmlns(:\w+)?="[^"]*"')
_IDENTIFIERS = re.compile(r'( id="| xlink:href="#|url\(#)')


def _svg(figure: "Figure", name: str) -> str:
    """The picture's element alone, its identifiers unlike those of any other picture on the page."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = drawn.getvalue()
    text = _NAMESPACES.sub("", text[text.index("<svg") :])
    return _IDENTIFIERS.sub(rf"\g<1>{name}-", text)
