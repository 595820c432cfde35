"""How far a load is: rows, share, speed and time left, per table."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pg_migration.postgres.figures import size


@dataclass(frozen=True)
class TableStatus:
    """One table that is being copied. ``share`` is between 0 and 1, by rows; times in seconds."""

    table: str
    rows: int
    expected_rows: int
    bytes: int
    elapsed: float

    @property
    def share(self) -> float:
        return min(1.0, self.rows / self.expected_rows) if self.expected_rows else 0.0

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.elapsed if self.elapsed > 0 else 0.0

    def __str__(self) -> str:
        text = (
            f"{self.table}: {self.rows:,} of about {self.expected_rows:,} rows ({self.share:.0%}), "
            f"{self.rows_per_second:,.0f} rows/s, {size(self.bytes)}"
        )
        if 0 < self.share < 1:
            text += f", about {self.elapsed * (1 - self.share) / self.share:,.0f} s left"
        return text


@dataclass(frozen=True)
class Progress:
    """The state of every table that is being copied right now."""

    tables: tuple[TableStatus, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.tables))


@dataclass
class TableMeter:
    """Counts one table's rows and bytes while several workers copy it.

    Committed rows are exact. Rows of chunks under way are estimated from their bytes and the bytes per row so far
    (before the first commit, from the table's size on the source).
    """

    table: str
    expected_rows: int
    expected_bytes: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _started: float | None = None
    _rows: int = 0
    _committed_bytes: int = 0
    _bytes: int = 0

    @contextmanager
    def chunk(self) -> Iterator[Callable[[int], None]]:
        """One chunk under way: what to call with the size of all that passes, which a failure takes back.

        The clock runs from the first one.
        """
        passed = 0

        def on_bytes(count: int) -> None:
            nonlocal passed
            with self._lock:
                passed += count
                self._bytes += count

        with self._lock:
            if self._started is None:
                self._started = time.monotonic()
        try:
            yield on_bytes
        except BaseException:
            on_bytes(-passed)
            raise

    def committed(self, rows: int, count: int) -> None:
        """A chunk of so many rows and bytes is in the table."""
        with self._lock:
            self._rows += rows
            self._committed_bytes += count

    def status(self) -> TableStatus:
        """The state now."""
        with self._lock:
            per_row = (
                self._committed_bytes / self._rows
                if self._rows
                else self.expected_bytes / self.expected_rows
                if self.expected_rows
                else 0
            )
            under_way = int((self._bytes - self._committed_bytes) / per_row) if per_row else 0
            elapsed = time.monotonic() - self._started if self._started is not None else 0.0
            rows = max(self._rows, min(self._rows + max(under_way, 0), self.expected_rows))
            return TableStatus(self.table, rows, self.expected_rows, self._bytes, elapsed)
