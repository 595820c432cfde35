"""How much memory very wide rows may take at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pg_migration.postgres.planning.row_width import is_wide
from pg_migration.postgres.transfer.streams.wide_row_copy import COPIES_OF_A_ROW

MAX_BYTES = 200 * 2**20
STOP_POLL_SECONDS = 0.2


class RowMemory:
    """The memory that rows on their way may take, shared by all workers of a load."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        """
        Args:
            stopping: whether those who wait should give up waiting.
        """
        self._stopping = stopping
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, row_bytes: int) -> Iterator[bool]:
        """Wait until a row of this width has room; one that is wider than all there is gets it alone.

        Yields:
            Whether the row counts as wide, so that the connection that read it holds on to a large buffer.
        """
        wanted = min(row_bytes * COPIES_OF_A_ROW, MAX_BYTES) if is_wide(row_bytes) else 0
        with self._changed:
            while wanted and self._taken + wanted > MAX_BYTES and not self._stopping():
                self._changed.wait(STOP_POLL_SECONDS)
            self._taken += wanted
        try:
            yield wanted > 0
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()
