"""What the benchmark found: a table in markdown and a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pg_migration.benchmark.measuring import Cost

OURS = "pg_migration"
BAR = "\\|"


@dataclass(frozen=True)
class Result:
    """The cost of one method on one dataset; ``net`` is the wall time less what the method takes for nothing."""

    dataset: str
    method: str
    cost: Cost
    net: float


def markdown(results: Sequence[Result], conditions: str) -> str:
    """The table: every cost, and the ratio of our wall time to the method's, start-up not counted."""
    ours = {r.dataset: r.net for r in results if r.method == OURS}
    lines = [
        conditions,
        "",
        "| dataset | method | seconds | less start-up | ours / theirs | client CPU s | client peak MB |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for r in results:
        ratio = f"{ours[r.dataset] / r.net:.2f}" if r.method != OURS and ours.get(r.dataset) and r.net else ""
        method = r.method.replace("|", BAR)
        lines.append(
            f"| {r.dataset} | {method} | {r.cost.wall:.1f} | {r.net:.1f} | {ratio} | {r.cost.cpu:.1f} "
            f"| {r.cost.memory / 2**20:.0f} |"
        )
    return "\n".join(lines) + "\n"


def draw(results: Sequence[Result], path: Path) -> None:
    """Bars of wall time without start-up, by dataset and method."""
    # Only the picture needs it, and it takes a second to import.
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

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
