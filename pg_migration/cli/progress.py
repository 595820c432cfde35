"""What a terminal shows of a run while it goes on: bars where there is somebody to watch, lines elsewhere."""

import logging
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TextIO

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from pg_migration.postgres.transfer import progress
from pg_migration.postgres.transfer.events import Event, LoadBegun, TableFailed, TableLoaded, WorkDone
from pg_migration.reporting import formats
from pg_migration.reporting.model import Report

# What a step or a run is ended by that a person has stopped.
INTERRUPTS = (dg.DagsterExecutionInterruptedError.__name__, KeyboardInterrupt.__name__)
# How Dagster begins what it says of each step that comes after one that failed.
NOT_EXECUTED = "Dependencies for step "


class Follower(ABC):
    """Is told of a run as it happens, in the thread that runs it.

    Args:
        console: where to show it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.report: Report | None = None

    def filed(self, report: Report) -> None:
        """The report of the run, whether it could be written or not."""
        self.report = report

    def event(self, entry: dg.EventLogEntry) -> None:
        """An entry of the run's event log."""
        happened = entry.dagster_event
        if happened is None:
            level = logging.getLevelName(entry.level) if isinstance(entry.level, str) else entry.level
            if level >= logging.WARNING and not entry.user_message.startswith(NOT_EXECUTED):
                self.say(entry.user_message.strip("\n"), alarming=level >= logging.ERROR)
        elif happened.step_key is not None:
            self.step(happened, happened.step_key)

    def __enter__(self) -> "Follower":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        return

    def say(self, message: str, alarming: bool = False) -> None:
        """Show a message and leave it there."""
        self._console.print(Text(formats.readable(message), style="red" if alarming else ""))

    @abstractmethod
    def step(self, event: dg.DagsterEvent, name: str) -> None:
        """An event of a step."""

    @abstractmethod
    def load(self, event: Event) -> None:
        """An event of the load."""


def follower(stream: TextIO, lines: bool = False) -> Follower:
    """What fits the stream; lines where others write to it, too, or nobody watches."""
    console = Console(file=stream, highlight=False, markup=False, soft_wrap=True)
    watched = console.is_terminal and not console.is_dumb_terminal and not lines
    return Bars(console) if watched else Lines(console)


class Lines(Follower):
    """A line for each step and each table."""

    def step(self, event: dg.DagsterEvent, name: str) -> None:
        if (ended := _ended(event)) is not None:
            self.say(f"{name}: {ended}")

    def load(self, event: Event) -> None:
        if isinstance(event, LoadBegun):
            self.say(f"copying {len(event.plans)} tables with {event.workers} workers")
        elif isinstance(event, TableLoaded):
            self.say(_copied(event))
        elif isinstance(event, progress.Progress):
            self.say(str(event))


class Bars(Follower):
    """A bar for the rows, one for the checks, and a line for what has ended."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._steps: dict[str, TaskID] = {}
        self._checks_planned = 0
        self._checks_done = 0
        self._expected: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self._finished = 0

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        self._progress.stop()

    def event(self, entry: dg.EventLogEntry) -> None:
        happened = entry.dagster_event
        if happened is not None and happened.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            self._checks_planned += 1
        super().event(entry)

    def step(self, event: dg.DagsterEvent, name: str) -> None:
        if event.is_step_start:
            self._steps[name] = self._progress.add_task(name, total=None, figures="")
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION and name in self._steps:
            self._checks_done += 1
            told = f"{self._checks_done:,} of {self._checks_planned:,} checks"
            self._progress.update(
                self._steps[name], completed=self._checks_done, total=self._checks_planned, figures=told
            )
        elif (ended := _ended(event)) is not None:
            if name in self._steps:
                self._progress.remove_task(self._steps.pop(name))
            self.say(f"{name}: {ended}", alarming=event.is_step_failure)

    def load(self, event: Event) -> None:
        if isinstance(event, LoadBegun):
            tables = {".".join(plan.name): plan.rows for plan in event.plans}
            self._expected = tables
        elif isinstance(event, WorkDone) and event.activity == "copy":
            self._rows[".".join(event.table)] = self._rows.get(".".join(event.table), 0) + event.rows
        elif isinstance(event, progress.Progress):
            for status in event.tables:
                self._rows[status.table] = max(status.rows, self._rows.get(status.table, 0))
        elif isinstance(event, TableLoaded):
            self._finished += 1
            self.say(_copied(event))
        elif isinstance(event, TableFailed):
            self._finished += 1
        self._show_rows()

    def _show_rows(self) -> None:
        task = next(iter(self._steps.values()), None)
        if task is None:
            return
        rows, expected = sum(self._rows.values()), sum(self._expected.values())
        told = f"{rows:,} rows, {self._finished:,} of {len(self._expected):,} tables"
        self._progress.update(task, completed=min(rows, expected), total=max(expected, 1), figures=told)


def is_stop(event: dg.DagsterEvent) -> bool:
    """Whether this is the end of a step or of a run because somebody has stopped it."""
    if event.is_step_failure:
        error = event.step_failure_data.error
    elif event.is_run_failure:
        error = event.job_failure_data.error
    else:
        return event.event_type is dg.DagsterEventType.RUN_CANCELED
    return error is not None and error.cls_name in INTERRUPTS


def _ended(event: dg.DagsterEvent) -> str | None:
    """How a step ended, if this is its end."""
    if event.is_step_success:
        return f"done in {formats.duration(event.step_success_data.duration_ms / 1000)}"
    if event.is_step_failure:
        return "stopped" if is_stop(event) else "FAILED"
    return "skipped" if event.is_step_skipped else None


def _copied(done: TableLoaded) -> str:
    name = ".".join(done.plan.name)
    took = formats.duration(done.seconds + done.build_seconds)
    return f"copied {name}: {done.rows:,} rows, {formats.size(done.bytes)}, {took}"
