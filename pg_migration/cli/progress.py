"""What a terminal shows of a run while it goes on: bars where there is somebody to watch, lines elsewhere."""

import logging
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TextIO

import dagster as dg
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from pg_migration.cli.live_view import draw
from pg_migration.postgres.transfer.events import Event, LoadBegun, TableLoaded
from pg_migration.postgres.transfer.progress import Progress
from pg_migration.reporting import formats
from pg_migration.reporting.model import Report

# Between two lines that say how far a run is, where nobody watches.
LINES_SECONDS = 5.0
FRAMES = "|/-\\"
CHECKING = ("table_checks", "database_checks")
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
        """An entry of the run's event log. What checks find wrong is left to the report, which comes soon after."""
        happened = entry.dagster_event
        if happened is None:
            level = logging.getLevelName(entry.level) if isinstance(entry.level, str) else entry.level
            told_soon = entry.step_key in CHECKING and level >= logging.ERROR
            if level >= logging.WARNING and not told_soon and not entry.user_message.startswith(NOT_EXECUTED):
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
    """A line for each step and each table, and now and then how far the run is.

    Args:
        every: the seconds between two of the latter.
    """

    def __init__(self, console: Console, every: float = LINES_SECONDS) -> None:
        super().__init__(console)
        self._every = every
        self._due = time.monotonic() + every
        self._coloured = console.is_terminal

    def step(self, event: dg.DagsterEvent, name: str) -> None:
        if (ended := _ended(event)) is not None:
            self.say(f"{formats.step(name)}: {ended}")

    def say(self, message: str, alarming: bool = False) -> None:
        if self._coloured:
            super().say(message, alarming)
        else:  # there are no colours, and as many lines as tables, of which rich draws a thousand in a second or two
            self._console.file.write(f"{formats.readable(message)}\n")
            self._console.file.flush()

    def load(self, event: Event) -> None:
        if isinstance(event, LoadBegun):
            self.say(f"copying {len(event.plans)} tables with {event.workers} workers")
        elif isinstance(event, TableLoaded):
            self.say(_copied(event))
        elif isinstance(event, Progress) and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._every
            self.say(str(event))


class Bars(Follower):
    """What every worker does and a bar for all of it, below lines for what has ended."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        console.soft_wrap = False  # lines end between words
        self._steps: dict[str, float] = {}
        self._checks_planned = 0
        self._checks_done = 0
        self._workers = 1
        self._progress: Progress | None = None
        self._live = Live(console=console, get_renderable=self._drawn, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Bars":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        self._live.stop()

    def event(self, entry: dg.EventLogEntry) -> None:
        happened = entry.dagster_event
        if happened is not None and happened.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            self._checks_planned += 1
        super().event(entry)

    def step(self, event: dg.DagsterEvent, name: str) -> None:
        if event.is_step_start:
            self._steps[name], self._progress = time.monotonic(), None
        elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._checks_done += 1
        elif (ended := _ended(event)) is not None:
            self._steps.pop(name, None)
            self._progress = None
            self.say(f"{formats.step(name)}: {ended}", alarming=event.is_step_failure)

    def load(self, event: Event) -> None:
        if isinstance(event, LoadBegun):
            self._workers = event.workers
        elif isinstance(event, Progress):
            self._progress = event
        elif isinstance(event, TableLoaded):
            self.say(_copied(event))

    def _drawn(self) -> RenderableType:
        """What there is to see now; called by the thread that draws."""
        width, progress = self._console.width, self._progress
        if progress is not None:
            return Group(*draw(progress, width, self._workers, self._console.options.ascii_only))
        now, checks = time.monotonic(), f"  {self._checks_done:,} of {self._checks_planned:,} checks"
        lines = []
        for name, since in list(self._steps.items()):
            line = Text(f"{FRAMES[int(now * 8) % len(FRAMES)]} {formats.step(name)}  {now - since:.0f} s")
            if name in CHECKING and len(line) + len(checks) <= width:
                line.append(checks)
            lines.append(line)
        return Group(*lines)


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
