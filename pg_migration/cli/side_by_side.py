"""One command for many pairs, some of them at once: each in a process of its own, and one table of results."""

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import psycopg2

from pg_migration.cli.exit_status import FAILED, MISUSED, SUCCEEDED
from pg_migration.cli.options import merged
from pg_migration.cli.results import Outcome
from pg_migration.cli.stopped import STOPPED
from pg_migration.cli.streams import tell
from pg_migration.orchestration.pair import MIGRATION, Pair
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.free_connections import affordable_runs, free_connections
from pg_migration.postgres.errors import ConfigurationError, MigrationError

# As many as dagster.yaml lets run.
AT_ONCE = 4
POLL_SECONDS = 0.1
LINES_TOLD = 3

# Read by the children before they exist: what all of them import takes seconds.
PRELOADED = ["pg_migration.cli.run"]


class _Ended(Exception):
    """Somebody stops the command."""


@dataclass
class _Child:
    pair: Pair
    process: BaseProcess
    begun: float


def run_all(
    job: str, pairs: Sequence[Pair], config: Mapping[str, Any], verbose: bool, at_once: int | None
) -> list[Outcome]:
    """Run a job for every pair; what came of each, in the order of the pairs.

    Pairs with one target wait for each other. No server gets more connections than it has left.

    Args:
        config: the run configuration of all, in which the resource is called as that of a pair without a name.
        at_once: how many; None: as many as is sensible.
    """
    number, workers = _budget(pairs, config, min(at_once or AT_ONCE, len(pairs)))
    with TemporaryDirectory(prefix="pg_migration-") as folder, _stoppable():
        return list(_Side(job, pairs, config, verbose, number, workers, Path(folder)).outcomes())


def _budget(pairs: Sequence[Pair], config: Mapping[str, Any], wanted: int) -> tuple[int, int]:
    """How many pairs at once, and with how many workers each, every server has connections for."""
    servers: dict[str, Endpoint] = {}
    for pair in pairs:
        for side in Side:
            if (end := pair.known_endpoint(side)) is not None:
                servers.setdefault(end.server, end)
    free = [left for end in servers.values() if (left := _free(end)) is not None]
    most = max(_workers(pair, config) for pair in pairs)
    if not free:
        return wanted, most
    further, workers = affordable_runs(wanted - 1, most, free)
    return further + 1, workers


def _free(end: Endpoint) -> int | None:
    """How many connections a server has left; None where it can't be asked, of which the runs tell."""
    try:
        with Connections("pg_migration budget") as connections:
            return free_connections(connections.open(end))
    except (MigrationError, psycopg2.Error):
        return None


def _workers(pair: Pair, config: Mapping[str, Any]) -> int:
    """How many a run is to have: those that it is told, else those of its pair."""
    chosen = ((config.get("resources") or {}).get(MIGRATION) or {}).get("config") or {}
    wanted = chosen.get("workers", pair.options.workers)
    return wanted if isinstance(wanted, int) and wanted > 0 else pair.options.workers  # the run says what is wrong


class _Side:
    """The pairs that wait, those whose processes run, and what came of the others."""

    def __init__(
        self,
        job: str,
        pairs: Sequence[Pair],
        config: Mapping[str, Any],
        verbose: bool,
        at_once: int,
        workers: int,
        folder: Path,
    ) -> None:
        self._job, self._config, self._verbose = job, config, verbose
        self._at_once, self._workers, self._folder = at_once, workers, folder
        self._order = [pair.name for pair in pairs]
        self._waiting = list(pairs)
        self._running: list[_Child] = []
        self._done: dict[str, Outcome] = {}
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    def outcomes(self) -> Iterator[Outcome]:
        """Run all, and tell what came of each."""
        try:
            while self._waiting or self._running:
                self._begin()
                time.sleep(POLL_SECONDS)
                self._look()
        except (_Ended, KeyboardInterrupt):
            self._stop()
        for name in self._order:
            yield self._done.get(name) or Outcome(name, STOPPED, None, "not begun", None)

    def _begin(self) -> None:
        busy = {child.pair.place(Side.TARGET) for child in self._running}
        for pair in list(self._waiting):
            if len(self._running) >= self._at_once:
                return
            place = pair.place(Side.TARGET)
            if place in busy and place != "unknown":
                continue
            busy.add(place)
            self._waiting.remove(pair)
            self._running.append(self._started(pair))
            tell(f"{pair.name}: begun")

    def _started(self, pair: Pair) -> _Child:
        workers = {"workers": min(self._workers, _workers(pair, self._config))}
        config = merged(self._config, {"resources": {MIGRATION: {"config": workers}}})
        out, err = self._files(pair)
        process = self._context.Process(
            target=_child, args=(self._job, pair, config, self._verbose, out, err, dict(os.environ))
        )
        process.start()
        return _Child(pair, process, time.monotonic())

    def _files(self, pair: Pair) -> tuple[str, str]:
        return str(self._folder / f"{pair.name}.out"), str(self._folder / f"{pair.name}.err")

    def _look(self) -> None:
        for child in [child for child in self._running if child.process.exitcode is not None]:
            self._running.remove(child)
            outcome = self._outcome(child)
            self._done[child.pair.name] = outcome
            tell(f"{child.pair.name}: {outcome.told}")

    def _outcome(self, child: _Child) -> Outcome:
        out, err = (Path(file) for file in self._files(child.pair))
        code = child.process.exitcode
        status = FAILED if code is None or code < 0 or code not in (SUCCEEDED, MISUSED, STOPPED) else code
        seconds = time.monotonic() - child.begun
        try:
            report = json.loads(out.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            lines = err.read_text(encoding="utf-8", errors="replace").splitlines() if err.exists() else []
            message = " ".join(line.strip() for line in lines[-LINES_TOLD:] if line.strip())
            return Outcome(child.pair.name, status, None, message or f"its process ended with {code}", seconds)
        return Outcome(child.pair.name, status, report, None, seconds)

    def _stop(self) -> None:
        """Let the children end as a person's Ctrl-C lets them, and wait until they have."""
        self._waiting.clear()
        for child in self._running:
            if child.process.pid is not None and child.process.exitcode is None:
                os.kill(child.process.pid, signal.SIGINT)
        while self._running:
            for child in self._running:
                child.process.join(POLL_SECONDS)
            self._look()


def _child(
    job: str,
    pair: Pair,
    config: Mapping[str, Any],
    verbose: bool,
    out: str,
    err: str,
    environment: Mapping[str, str],
) -> None:
    """One pair's process: what it prints goes into files. A terminal's Ctrl-C reaches it by its parent alone."""
    import click

    from pg_migration.cli.run import run_job

    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    for file, stream in ((out, sys.stdout), (err, sys.stderr)):
        written = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(written, stream.fileno())
        os.close(written)
    try:
        status = run_job(pair, job, config, as_json=True, verbose=verbose, may_ask=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except KeyboardInterrupt:
        status = STOPPED
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        status = MISUSED
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(status)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let a signal that ends programs stop the children first."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise _Ended

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
