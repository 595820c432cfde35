"""The pictures of a report: where everything stands in them. The page's template writes them as SVG.

A picture is 1,000 units wide, whatever the window, and as high as it needs to be. What is drawn of a colour is of its
class in the page's style, so that there is one for light and one for dark.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor, log10

from rich.cells import cell_len

from pg_migration.reporting import formats
from pg_migration.reporting.model import Report, TableReport

# Classes of the page's style.
COLOURS = tuple(f"colour{number}" for number in range(8))
OTHERS = "others"
STEPS = "steps"
FAILED = "failed"
BUILDING = "building"

WIDTH = 1000.0
RIGHT = 16.0
ROW = 26.0
BAR = 20.0
AXIS = 44.0
TOP = 6.0
# The size of letters, and how wide they are at most in a usual font; a column is that of a terminal.
TEXT = 12.0
COLUMN = 6.8
CAPITAL = 4.0
GAP_OF_LABEL = 8.0
TICKS = 8

LONGEST_LABEL = 34
TABLES_IN_BARS = 15
BINS = 200

# What the eye can't tell apart is drawn as one bar, as a page with a hundred thousand of them opens slowly: pieces of
# work of one look with less than this share of the run between them; and where a worker still has more bars than fit,
# what it did most of the time in each of so many slots.
GAP = 1 / 1500
SLOTS = 600


@dataclass(frozen=True)
class Text:
    """Words at a place: ``anchor`` is what of them is there, ``whole`` what they are short for."""

    x: float
    y: float
    text: str
    anchor: str = "middle"
    whole: str | None = None


@dataclass(frozen=True)
class Shape:
    """An area or line: ``path`` is its outline in SVG's own notation, which only ever holds letters and numbers."""

    path: str
    look: str


@dataclass(frozen=True)
class Chart:
    """A picture, and what it shows. ``legend`` has the classes of colours, and what they stand for."""

    name: str
    title: str
    explanation: str
    height: float
    shapes: tuple[Shape, ...]
    texts: tuple[Text, ...]
    legend: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Bar:
    """A stretch of one row of the timeline; times in seconds since the run began."""

    begin: float
    end: float
    colour: str
    building: bool
    failed: bool


@dataclass(frozen=True)
class _Scale:
    """From figures between 0 and ``most`` to places between ``begin`` and ``end``."""

    most: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        return self.begin + (self.end - self.begin) * value / self.most

    def ticks(self, number: int = TICKS) -> Sequence[float]:
        """Round figures, about so many."""
        rough = self.most / number
        power = 10.0 ** floor(log10(rough))
        step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * 0.999)
        return [step * place for place in range(floor(self.most / step * 1.000001) + 1)]


def draw(report: Report) -> list[Chart]:
    """The pictures that a run gives rise to; none when it copied nothing."""
    return [_timeline(report), _throughput(report), _longest(report)] if report.work else []


_TIMELINE = (
    "One row for each worker. A full bar is copying, a light one building indexes, constraints and statistics; a red "
    "edge is a failure. The topmost row shows the run's steps."
)


def _timeline(report: Report) -> Chart:
    colours = _colours(report)
    rows = {
        worker: _sampled(_merged(bars, report.seconds), report.seconds)
        for worker, bars in sorted(_bars(report, colours).items())
    }
    names = {done.worker: done.who for done in report.work}
    labels = ["steps", *(names[worker] for worker in rows)]
    scale, bottom = _Scale(_span(report), _room(labels), WIDTH - RIGHT), TOP + ROW * len(labels)
    shapes, texts = _axis(report, scale, bottom)
    steps = list(_steps(report))
    shapes += [Shape(_boxes([(begin, end)], scale, 0), STEPS) for begin, end, _ in steps]
    texts += [
        Text((scale.at(begin) + scale.at(end)) / 2, _middle(0), name)
        for begin, end, name in steps
        if scale.at(end) - scale.at(begin) > _width(name) + GAP_OF_LABEL
    ]
    for number, bars in enumerate(rows.values(), 1):
        for look, alike in _by_look(bars).items():
            least = report.seconds * GAP
            boxes = [(bar.begin, max(bar.end, bar.begin + least)) for bar in alike]
            shapes.append(Shape(_boxes(boxes, scale, number), _look_told(*look)))
    texts += [_row_label(scale, number, label) for number, label in enumerate(labels)]
    legend = [(colour, _label(table)) for table, colour in colours.items()]
    if len({done.table for done in report.work}) > len(colours):
        legend.append((OTHERS, "other tables"))
    return Chart("timeline", "Who did what when", _TIMELINE, bottom + AXIS, tuple(shapes), tuple(texts), tuple(legend))


def _steps(report: Report) -> Iterator[tuple[float, float, str]]:
    for step in report.steps:
        if step.started_at is not None:
            end = _since(report, step.finished_at) if step.finished_at else report.seconds
            yield _since(report, step.started_at), end, step.name


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


def _look_told(colour: str, building: bool, failed: bool) -> str:
    """As classes; what failed comes last, to lie above all else."""
    return " ".join([colour, *([BUILDING] if building else []), *([FAILED] if failed else [])])


def _by_look(bars: Iterable[_Bar]) -> dict[tuple[str, bool, bool], list[_Bar]]:
    """Bars of one look together, those that failed last: they are drawn above the others."""
    found: dict[tuple[str, bool, bool], list[_Bar]] = {}
    for bar in sorted(bars, key=lambda bar: bar.failed):
        found.setdefault(_look(bar), []).append(bar)
    return found


def _throughput(report: Report) -> Chart:
    edges, rates = throughput(report)
    most = max(max(rates) / 2**20, 0.001)
    bottom = TOP + 150.0
    height = _Scale(most * 1.05, bottom, TOP)
    marks = {tick: f"{tick:,.6g}" for tick in height.ticks(4)}
    scale = _Scale(_span(report), _room([*marks.values(), "MiB/s"]), WIDTH - RIGHT)
    shapes, texts = _axis(report, scale, bottom)
    shapes.append(Shape("".join(f"M{scale.begin:.1f} {height.at(tick):.1f}H{scale.end:.1f}" for tick in marks), "grid"))
    texts += [
        Text(scale.begin - GAP_OF_LABEL, height.at(tick) + TEXT / 3, mark, "end")
        for tick, mark in marks.items()
        if tick < most * 0.95
    ]
    texts.append(Text(scale.begin - GAP_OF_LABEL, TOP + TEXT / 3, "MiB/s", "end"))
    stairs = "".join(
        f"V{height.at(rate / 2**20):.1f}H{scale.at(edge):.1f}" for rate, edge in zip(rates, edges[1:], strict=True)
    )
    shapes.append(Shape(f"M{scale.begin:.1f} {bottom:.1f}{stairs}V{bottom:.1f}Z", COLOURS[0]))
    told = "What all workers together sent over the wire."
    return Chart("throughput", "Throughput", told, bottom + AXIS, tuple(shapes), tuple(texts))


def throughput(report: Report) -> tuple[list[float], list[float]]:
    """Bytes a second over the run, each chunk's bytes spread evenly over the time that it took.

    Returns:
        The edges of the bins, in seconds since the run began, and the rates between them.
    """
    width = _span(report) / BINS
    moved = [0.0] * BINS
    for done in report.work:
        if done.bytes:
            _spread(moved, width, _since(report, done.started_at), _since(report, done.finished_at), done.bytes)
    return [width * place for place in range(BINS + 1)], [sent / width for sent in moved]


def _spread(moved: list[float], width: float, begin: float, end: float, size: int) -> None:
    end = max(end, begin + 1e-6)
    for place in range(max(0, int(begin / width)), min(BINS - 1, int(end / width)) + 1):
        shared = min(end, (place + 1) * width) - max(begin, place * width)
        moved[place] += size * max(0.0, shared) / (end - begin)


def _longest(report: Report) -> Chart:
    tables = sorted(report.copied, key=lambda table: -_table_seconds(table))[:TABLES_IN_BARS]
    labels = [_label(table.title) for table in tables]
    told = [f"{formats.count(table.rows)} rows, {formats.size(table.bytes)}" for table in tables]
    room = max(map(_width, told), default=0.0) + GAP_OF_LABEL
    most = max(map(_table_seconds, tables), default=0.0) or 1.0
    begin, bottom = _room(labels), TOP + ROW * len(tables)
    scale = _Scale(most, begin, WIDTH - RIGHT - room)
    shapes, texts = [_grid(scale, bottom)], [*_marks(scale, bottom, "seconds")]
    for number, (table, label, figures) in enumerate(zip(tables, labels, told, strict=True)):
        copied, done = table.copy_seconds or 0.0, _table_seconds(table)
        shapes.append(Shape(_boxes([(0.0, copied)], scale, number), COLOURS[0]))
        if done > copied:
            shapes.append(Shape(_boxes([(copied, done)], scale, number), f"{COLOURS[0]} {BUILDING}"))
        texts.append(_row_label(scale, number, label, whole=table.title))
        texts.append(Text(scale.at(done) + GAP_OF_LABEL, _middle(number), figures, "start"))
    return Chart(
        "longest",
        "Tables that took longest",
        "Wall time, of all workers together, by table.",
        bottom + AXIS,
        tuple(shapes),
        tuple(texts),
        ((COLOURS[0], "copying"), (f"{COLOURS[0]} {BUILDING}", "indexes, keys, statistics")),
    )


def _table_seconds(table: TableReport) -> float:
    return (table.copy_seconds or 0.0) + (table.build_seconds or 0.0)


def _span(report: Report) -> float:
    return max(report.seconds, 0.001)


def _axis(report: Report, scale: _Scale, bottom: float) -> tuple[list[Shape], list[Text]]:
    """The axis of a run's time, below its picture: the scale is in seconds, its figures in what tells them well."""
    unit, seconds = _unit(report)
    told = _Scale(scale.most / seconds, scale.begin, scale.end)
    return [_grid(told, bottom)], [*_marks(told, bottom, f"{unit} since the run began")]


def _grid(scale: _Scale, bottom: float) -> Shape:
    return Shape("".join(f"M{scale.at(tick):.1f} {TOP:.1f}V{bottom:.1f}" for tick in scale.ticks()), "grid")


def _marks(scale: _Scale, bottom: float, unit: str) -> Iterator[Text]:
    for tick in scale.ticks():
        yield Text(scale.at(tick), bottom + TEXT + 4, f"{tick:,.6g}")
    yield Text((scale.begin + scale.end) / 2, bottom + 2 * TEXT + 12, unit)


def _unit(report: Report) -> tuple[str, float]:
    """In what to tell times of a run of this length, and how many seconds that is."""
    if report.seconds < 300:
        return "seconds", 1.0
    return ("minutes", 60.0) if report.seconds < 3 * 3600 else ("hours", 3600.0)


def _boxes(stretches: Iterable[tuple[float, float]], scale: _Scale, row: int) -> str:
    """Bars in one row, as one path."""
    top = TOP + ROW * row + (ROW - BAR) / 2
    return "".join(
        f"M{scale.at(begin):.2f} {top:.1f}h{scale.at(end) - scale.at(begin):.2f}v{BAR:.0f}H{scale.at(begin):.2f}z"
        for begin, end in stretches
    )


def _row_label(scale: _Scale, row: int, label: str, whole: str | None = None) -> Text:
    return Text(scale.begin - GAP_OF_LABEL, _middle(row), label, "end", whole)


def _middle(row: int) -> float:
    """Where the foot of letters stands that are in the middle of a row."""
    return TOP + ROW * row + ROW / 2 + TEXT / 3


def _width(text: str) -> float:
    return COLUMN * cell_len(text) + CAPITAL * sum(map(str.isupper, text))


def _room(labels: Iterable[str]) -> float:
    """So much room labels take on the left."""
    return max(map(_width, labels), default=0.0) + 2 * GAP_OF_LABEL


def _since(report: Report, moment: datetime) -> float:
    return (moment - report.started_at).total_seconds()


def _label(name: str) -> str:
    return formats.cropped(" ".join(formats.readable(name).split()), LONGEST_LABEL)
