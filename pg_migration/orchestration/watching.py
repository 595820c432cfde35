"""Who starts a run in their own process can watch its load as it happens, closer than Dagster's events tell."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pg_migration.postgres.load import Event

Watcher = Callable[[Event], None]

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Tell ``watcher`` of every event of the loads that this context's runs do; it must be quick and not fail."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def tell(event: Event) -> None:
    """Tell whoever watches."""
    if (watcher := _watcher.get()) is not None:
        watcher(event)
