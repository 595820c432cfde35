"""What the benchmark found: tables in markdown and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_migration.devtools.benchmark.measuring import Cost

OURS = "pg_migration"
PGCOPYDB = "pgcopydb"
FLOOR = "floor: psql | psql"
BAR = "\\|"

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

MANY_TABLES = 10  # from here on what one table costs is worth a line


@dataclass(frozen=True)
class Result:
    """The cost of one method on one dataset; ``startup`` is what the method costs for nothing."""

    dataset: str
    method: str
    rows: int
    jobs: int
    tables: int
    cost: Cost
    startup: Cost

    @property
    def net(self) -> float:
        """Wall seconds less start-up."""
        return self.cost.wall - self.startup.wall

    @property
    def work(self) -> float:
        """CPU seconds of client and servers less start-up."""
        return self.cost.all_cpu - self.startup.all_cpu


def markdown(results: Sequence[Result], conditions: str) -> str:
    """What was measured: ours against each other method, then every cost."""
    lines = [*conditions.splitlines(), "", *_comparison(results), "", *_costs(results), *_costs_of_a_table(results)]
    return "\n".join(lines) + "\n"


def _comparison(results: Sequence[Result]) -> list[str]:
    """Ours divided by theirs, wall and CPU time; smaller is better."""
    found = {(r.dataset, r.method): r for r in results}
    datasets = [name for name in dict.fromkeys(r.dataset for r in results) if (name, OURS) in found]
    methods = [name for name in dict.fromkeys(r.method for r in results) if name != OURS]
    if not datasets or not methods:
        return []
    lines = [
        f"What `{OURS}` takes divided by what others take, start-up left out: wall time, and CPU time of all three.",
        "",
        f"| method | {' | '.join(datasets)} |",
        f"| --- {'| ---: ' * len(datasets)}|",
    ]
    for method in methods:
        cells = [_ratios(found[dataset, OURS], found.get((dataset, method))) for dataset in datasets]
        lines.append(f"| {method.replace('|', BAR)} | {' | '.join(cells)} |")
    return lines


def _ratios(ours: Result, theirs: Result | None) -> str:
    if theirs is None:
        return ""
    return f"{_ratio(ours.net, theirs.net)}, {_ratio(ours.work, theirs.work)}"


def _costs(results: Sequence[Result]) -> list[str]:
    floors = {r.dataset: r for r in results if r.method == FLOOR}
    lines = [
        "Seconds, start-up included; CPU seconds of all three and of each, start-up left out; the floor is 1.",
        "",
        "| dataset | method | seconds | start-up | floors | CPU s | client | source | target | floors | peak MB |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for r in results:
        floor = floors.get(r.dataset)
        wall, work = (_ratio(r.net, floor.net), _ratio(r.work, floor.work)) if floor else ("", "")
        client, source, target = _parties(r)
        lines.append(
            f"| {r.dataset} | {r.method.replace('|', BAR)} | {r.cost.wall:.1f} | {r.startup.wall:.1f} | {wall} "
            f"| {r.work:.1f} | {client:.1f} | {source:.1f} | {target:.1f} | {work} | {r.cost.memory / 2**20:.0f} |"
        )
    return lines


def _parties(result: Result) -> list[float]:
    """CPU seconds of the client, the source and the target, less start-up."""
    cost, startup = ((found.cpu, *found.servers) for found in (result.cost, result.startup))
    return [whole - before for whole, before in zip(cost, startup, strict=True)]


def inserted(text: str, document: str) -> str:
    """A document with a text between its two marks, in place of what was there.

    Raises:
        ValueError: the document has not both marks.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the document has no place for what was measured: {BEGIN} and {END}")
    return f"{before}{begin}\n\n{text}\n{end}{after}"


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs > 0 else ""


def _costs_of_a_table(results: Sequence[Result]) -> list[str]:
    many = [r for r in results if r.tables >= MANY_TABLES]
    theirs = {r.dataset: r for r in many if r.method == PGCOPYDB}
    lines = []
    for r in many:
        line = f"- {r.dataset}, {r.method}: {1000 * r.net / r.tables:.0f} ms a table ({_cpu(r):.0f} of CPU time)"
        if r.dataset in theirs and r.method != PGCOPYDB:
            pgcopydb = theirs[r.dataset]
            beyond = 1000 * (r.net - pgcopydb.net) / r.tables
            line += f", {beyond:+.0f} ms ({_cpu(r) - _cpu(pgcopydb):+.0f}) against pgcopydb"
        lines.append(line)
    return ["", "What a small table costs:", "", *lines] if lines else []


def _cpu(result: Result) -> float:
    return 1000 * result.work / result.tables


def scaling_markdown(results: Sequence[Result]) -> str:
    """Our time by workers and rows."""
    lines = [
        "| rows | workers | seconds | less start-up | seconds a million rows | CPU s a million rows | peak MB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r.rows:,} | {r.jobs} | {r.cost.wall:.1f} | {r.net:.1f} | {r.net / r.rows * 1e6:.2f} "
        f"| {r.work / r.rows * 1e6:.2f} | {r.cost.memory / 2**20:.0f} |"
        for r in results
    ]
    return "\n".join(lines) + "\n"


def draw(results: Sequence[Result], path: Path) -> None:
    """Bars of wall time without start-up, by dataset and method."""
    pyplot = _pyplot()
    datasets = list(dict.fromkeys(r.dataset for r in results))
    methods = list(dict.fromkeys(r.method for r in results))
    seconds: Mapping[tuple[str, str], float] = {(r.dataset, r.method): r.net for r in results}
    figure, axes = pyplot.subplots(figsize=(2 + 1.6 * len(datasets), 4.5), layout="constrained")
    width = 0.8 / len(methods)
    for number, method in enumerate(methods):
        places = [position + (number - (len(methods) - 1) / 2) * width for position in range(len(datasets))]
        axes.bar(places, [seconds.get((dataset, method), 0.0) for dataset in datasets], width, label=method)
    axes.set_xticks(range(len(datasets)), datasets)
    axes.set_ylabel("seconds, without start-up")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def draw_scaling(results: Sequence[Result], path: Path) -> None:
    """Wall time without start-up: by workers with the first result's rows, by rows with the last one's workers."""
    pyplot = _pyplot()
    figure, (by_workers, by_rows) = pyplot.subplots(1, 2, figsize=(8, 4), layout="constrained")
    workers = sorted({(r.jobs, r.net) for r in results if r.rows == results[0].rows})
    by_workers.plot(*zip(*workers, strict=True), marker="o")
    by_workers.set_xlabel("workers")
    rows = sorted({(r.rows / 1e6, r.net) for r in results if r.jobs == results[-1].jobs})
    by_rows.plot(*zip(*rows, strict=True), marker="o")
    by_rows.set_xlabel("million rows")
    for axes in (by_workers, by_rows):
        axes.set_ylabel("seconds, without start-up")
        axes.set_ylim(bottom=0)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _pyplot() -> Any:
    # Only pictures need it, and it takes a second to import.
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot
