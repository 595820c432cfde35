"""Who starts a run in their own process can watch what it does as it happens, closer than Dagster's events tell."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from pg_migration.postgres.transfer.events import Event
from pg_migration.reporting.model import Report


class Watcher(Protocol):
    """Is told of a run; must be quick and not fail."""

    def load(self, event: Event) -> None:
        """An event of the load, or how far it or the comparison is."""

    def filed(self, report: Report) -> None:
        """The report of the run, whether it could be written or not."""


_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Tell ``watcher`` of the runs that this context does."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def emit(event: Event) -> None:
    """Tell whoever watches of the load, or how far it or the comparison is."""
    if (watcher := _watcher.get()) is not None:
        watcher.load(event)


def emit_report(report: Report) -> None:
    """Tell whoever watches of the report."""
    if (watcher := _watcher.get()) is not None:
        watcher.filed(report)
