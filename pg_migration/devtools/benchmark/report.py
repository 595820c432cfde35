"""What the benchmark found: tables in markdown and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_migration.devtools.benchmark.measuring import Cost

OURS = "pg_migration"
PGCOPYDB = "pgcopydb"
BAR = "\\|"

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
    """The table: every cost, and the ratio of ours to the method's, start-up not counted on either side."""
    ours = {r.dataset: r for r in results if r.method == OURS}
    lines = [
        conditions,
        "",
        "| dataset | method | seconds | start-up | ours / theirs | CPU s | ours / theirs | client's | peak MB |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for r in results:
        mine = ours.get(r.dataset) if r.method != OURS else None
        wall, work = (_ratio(mine.net, r.net), _ratio(mine.work, r.work)) if mine else ("", "")
        lines.append(
            f"| {r.dataset} | {r.method.replace('|', BAR)} | {r.cost.wall:.1f} | {r.startup.wall:.1f} | {wall} "
            f"| {r.work:.1f} | {work} | {r.cost.cpu - r.startup.cpu:.1f} | {r.cost.memory / 2**20:.0f} |"
        )
    return "\n".join([*lines, *_costs_of_a_table(results)]) + "\n"


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
