"""``python -m pg_migration.devtools.benchmark``: time whole migrations, by dataset and method.

Every method migrates from the same source into an empty database of the same target. Only ratios within one run of this
program mean anything.

With ``--docs`` the results go into the project's documentation, between two marks (see `report.inserted`).
"""

import argparse
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql

from pg_migration.devtools.benchmark.datasets import DATASETS
from pg_migration.devtools.benchmark.measuring import Cost, measure
from pg_migration.devtools.benchmark.methods import METHODS, Setting, available
from pg_migration.devtools.benchmark.report import (
    OURS,
    Result,
    draw,
    draw_scaling,
    inserted,
    markdown,
    scaling_markdown,
)
from pg_migration.devtools.line import Line
from pg_migration.devtools.servers import (
    Installation,
    Server,
    demolish,
    embedded,
    server_account,
    temporary_folder,
    usable,
)
from pg_migration.postgres.connection.statements import execute, fetch

# As a machine for this purpose would be set up; the disk is waited for, as it would be.
SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "maintenance_work_mem": "256MB",
    "autovacuum": "off",
}
# For the initial copy of logical replication, by as many workers as there are jobs.
SETTINGS_OF_SOURCE = {"wal_level": "logical", "max_wal_senders": "40", "max_replication_slots": "40"}
SETTINGS_OF_TARGET = {"max_logical_replication_workers": "40", "max_worker_processes": "48"}

NOTHING = "CREATE TABLE nothing (id int PRIMARY KEY);"
SCALED = "narrow"
DISTANT = "wan"

SCALING_JOBS = (1, 2, 4)
SCALING_ROWS = (1_000_000, 5_000_000, 10_000_000, 20_000_000)
DISTANT_JOBS = (1, 2, 4, 8)


def main() -> None:
    options = _options()
    # What can't be written is known before anything is measured.
    options.output.mkdir(parents=True, exist_ok=True)
    if options.docs is not None:
        inserted("", options.docs.read_text(encoding="utf-8"))
    folder = temporary_folder("pg_migration-benchmark-", server_account())
    scaling, distant = list[Result](), list[Result]()
    try:
        with _servers(folder, options.bindir) as (source, target):
            # Asks the programs, which may be a copy in the folder.
            conditions = _conditions(options, source)
            distance = Distance(options.round_trip / 1000, options.bandwidth * 1e6)
            bench = Benchmark(source, target, options.bindir, folder, options.repeat, distance)
            results = bench.run(options.datasets, options.methods, options.scale, options.jobs)
            if DISTANT in options.datasets and OURS in options.methods:
                distant = bench.scale(DISTANT, [(options.scale, jobs) for jobs in DISTANT_JOBS])
            if options.scaling:
                rows = [number / DATASETS[SCALED].rows for number in SCALING_ROWS]
                cases = [(1.0, jobs) for jobs in SCALING_JOBS] + [(share, options.jobs) for share in rows]
                scaling = bench.scale(SCALED, [(options.scale * share, jobs) for share, jobs in cases])
    finally:
        demolish(folder)
    text = markdown(results, conditions) + "\n![Wall time without start-up](benchmark.png)\n"
    if distant:
        text += f"\nOver the long line, by workers:\n\n{scaling_markdown(distant)}"
    if scaling:
        text += f"\nNarrow rows, by workers and by rows:\n\n{scaling_markdown(scaling)}"
        text += "\n![Seconds by workers and by rows](scaling.png)\n"
    (options.output / "benchmark.md").write_text(text, encoding="utf-8")
    print(text)
    pictures = options.output if options.docs is None else options.docs.parent
    draw(results, pictures / "benchmark.png")
    written = [options.output / "benchmark.md", pictures / "benchmark.png"]
    if scaling:
        draw_scaling(scaling, pictures / "scaling.png")
        written.append(pictures / "scaling.png")
    if options.docs is not None:
        options.docs.write_text(inserted(text, options.docs.read_text(encoding="utf-8")), encoding="utf-8")
        written.append(options.docs)
    print(f"Written: {', '.join(map(str, written))}.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pg_migration.devtools.benchmark", description=__doc__)
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=["both", "app", DISTANT])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=available())
    parser.add_argument("--scale", type=float, default=1.0, help="share of each dataset's rows, for example 0.1")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="workers of every parallel method")
    parser.add_argument("--repeat", type=int, default=1, help="measure this many times in turn, and take the fastest")
    parser.add_argument("--round-trip", type=float, default=20.0, help=f"milliseconds to each server, for {DISTANT}")
    parser.add_argument(
        "--bandwidth", type=float, default=5.0, help=f"million bytes a second of each connection, for {DISTANT}"
    )
    parser.add_argument(
        "--scaling",
        action="store_true",
        help=f"also migrate narrow rows with {_listed(SCALING_JOBS)} workers, and {_listed(SCALING_ROWS)} rows",
    )
    parser.add_argument(
        "--bindir", type=Path, default=embedded(16).bindir, help="PostgreSQL's programs, for servers and clients"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmark"), help="folder for the results")
    parser.add_argument("--docs", type=Path, help="markdown that the results are put into, pictures beside it")
    return parser.parse_args()


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(f"{number:,}" for number in numbers)


def _conditions(options: argparse.Namespace, server: Server) -> str:
    told = (
        f"PostgreSQL {server.installation.version}, source, target and client on one machine with {os.cpu_count()} "
        f"cores ({platform.machine()}), {options.jobs} jobs, {options.scale:g} of the default rows, the fastest of "
        f"{options.repeat}."
    )
    if DISTANT in options.datasets:
        told += (
            f" In {DISTANT} each server is {options.round_trip:g} ms away, and {options.bandwidth:g} MB a second pass "
            f"on each connection."
        )
    return "\n".join([told, "", *(f"- {name}: {DATASETS[name].description}" for name in options.datasets)])


@contextmanager
def _servers(folder: Path, bindir: Path) -> Iterator[tuple[Server, Server]]:
    account = server_account()
    installation = usable(Installation(bindir), account, folder)
    pair = (
        Server(installation, folder / "source", account, {**SETTINGS, **SETTINGS_OF_SOURCE}),
        Server(installation, folder / "target", account, {**SETTINGS, **SETTINGS_OF_TARGET}),
    )
    try:
        for server in pair:
            server.start()
        yield pair
    finally:
        for server in pair:
            server.stop("immediate")


@dataclass(frozen=True)
class Distance:
    """A long line: seconds of a round trip, and bytes a second of each connection, each way."""

    round_trip: float
    bytes_per_second: float


class Benchmark:
    """Two running servers and what is done with them."""

    def __init__(
        self, source: Server, target: Server, bindir: Path, folder: Path, repeat: int, distance: Distance
    ) -> None:
        self._source = source
        self._target = target
        self._bindir = bindir
        self._folder = folder
        self._repeat = repeat
        self._distance = distance

    def run(self, datasets: Sequence[str], methods: Sequence[str], scale: float, jobs: int) -> list[Result]:
        """Measure every method on every dataset; a line for each as it is there."""
        results = []
        self._fill("nothing", NOTHING)
        for method in methods:
            self._measure("nothing", method, jobs)  # the first start is slower: its files are not in memory yet
        for name in datasets:
            rows = self._fill_dataset(name, scale)
            costs: dict[str, list[Cost]] = {method: [] for method in methods}
            starts: dict[str, list[Cost]] = {method: [] for method in methods}
            for _ in range(self._repeat):
                for method in methods:  # in turn, so that what else the machine does hits all of them
                    starts[method].append(self._measure("nothing", method, jobs))
                    costs[method].append(self._measure(name, method, jobs))
            tables = len(self._tables(self._source, name))
            for method in methods:
                cost = min(costs[method], key=_wall)
                start = min(starts[method], key=_wall)
                results.append(Result(name, method, rows, jobs, tables, cost, start))
                print(f"{name}, {rows:,} rows, {method}: {cost.wall:.1f} s, CPU {cost.all_cpu:.1f} s", flush=True)
            _recreate(self._source, name)
        return results

    def scale(self, name: str, cases: Sequence[tuple[float, int]]) -> list[Result]:
        """Our method on one dataset of one table: with shares of its rows, and numbers of workers."""
        results = list[Result]()
        for share, jobs in cases:
            rows = self._fill_dataset(name, share)
            start = min((self._measure("nothing", OURS, jobs) for _ in range(self._repeat)), key=_wall)
            cost = min((self._measure(name, OURS, jobs) for _ in range(self._repeat)), key=_wall)
            results.append(Result(name, OURS, rows, jobs, 1, cost, start))
            print(f"{name}, {rows:,} rows, {jobs} workers: {cost.wall:.1f} s, CPU {cost.all_cpu:.1f} s", flush=True)
        _recreate(self._source, name)
        return results

    def _fill_dataset(self, name: str, scale: float) -> int:
        rows = max(1, round(DATASETS[name].rows * scale))
        self._fill(name, DATASETS[name].sql(rows))
        return rows

    def _fill(self, name: str, statements: str) -> None:
        _recreate(self._source, name)
        with _connection(self._source.url(name)) as connection:
            execute(connection, statements)
            execute(connection, "VACUUM ANALYZE")

    def _measure(self, name: str, method: str, jobs: int) -> Cost:
        _recreate(self._target, name)
        for server in (self._source, self._target):
            with _connection(server.url()) as connection:
                execute(connection, "CHECKPOINT")
        work = Path(tempfile.mkdtemp(dir=self._folder))
        servers = (self._source, self._target)
        with ExitStack() as lines:
            source, target = (self._url(server, name, lines) for server in servers)
            setting = Setting(source, target, self._tables(self._source, name), jobs, self._bindir, work)
            command = METHODS[method](setting)
            cost = measure(command, setting.environment, work / "log", [server.pid for server in servers])
        if self._counts(self._source, name) != self._counts(self._target, name):
            raise SystemExit(f"{method} did not copy {name} whole")
        shutil.rmtree(work)
        return cost

    def _url(self, server: Server, name: str, lines: ExitStack) -> str:
        """Where a method finds a database: at the other end of a line, if the dataset is distant."""
        url = server.url(name)
        if name not in DATASETS or not DATASETS[name].distant:
            return url
        line = lines.enter_context(Line(server.port, self._distance.round_trip, self._distance.bytes_per_second))
        return url.replace(f":{server.port}/", f":{line.port}/")

    def _tables(self, server: Server, name: str) -> tuple[str, ...]:
        with _connection(server.url(name)) as connection:
            rows = fetch(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return tuple(table for (table,) in rows)

    def _counts(self, server: Server, name: str) -> list[int]:
        with _connection(server.url(name)) as connection:
            return [
                fetch(connection, sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))[0][0]
                for table in self._tables(server, name)
            ]


def _wall(cost: Cost) -> float:
    return cost.wall


def _recreate(server: Server, name: str) -> None:
    with _connection(server.url()) as connection:
        for command in ("DROP DATABASE IF EXISTS {} WITH (FORCE)", "CREATE DATABASE {}"):
            execute(connection, sql.SQL(command).format(sql.Identifier(name)))


@contextmanager
def _connection(url: str) -> Iterator[psycopg2.extensions.connection]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


if __name__ == "__main__":
    main()
