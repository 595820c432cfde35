"""How far a load is: rows, share, speed and time left, per table."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from pg_migration.postgres.figures import roughly, size

# To find out how far something is may take one second in so many.
WORTH = 50


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
        expected = f"of about {self.expected_rows:,} rows ({self.share:.0%})" if self.expected_rows else "rows"
        text = f"{self.table}: {self.rows:,} {expected}, {self.rows_per_second:,.0f} rows/s, {size(self.bytes)}"
        if 0 < self.share < 1:
            text += f", about {self.elapsed * (1 - self.share) / self.share:,.0f} s left"
        return text


@dataclass(frozen=True)
class WorkerStatus:
    """What one worker does now.

    ``activity`` is for people: ``copying``, ``building index``, ``comparing``. ``detail`` says to what of the table: a
    key range, the name of an index, the side that is read. ``share`` is what is done of it, between 0 and 1, of a copy
    or a comparison that of the whole table, None where it can't be told. ``bytes_per_second`` is the speed of a copy.
    """

    worker: int
    table: str
    activity: str
    detail: str
    seconds: float
    share: float | None = None
    bytes_per_second: float | None = None


@dataclass(frozen=True)
class Total:
    """How far it all is: ``finished`` of ``tables`` tables, ``rows`` of about ``expected_rows`` rows.

    ``share`` (between 0 and 1) and ``seconds_left`` are of the whole migration, its indexes and checks included; None
    where they can't be told yet.
    """

    tables: int
    finished: int
    rows: int
    expected_rows: int
    share: float | None = None
    seconds_left: float | None = None
    bytes_per_second: float | None = None

    def __str__(self) -> str:
        parts = [f"{self.finished:,} of {self.tables:,} tables"]
        if self.share is not None:
            parts.append(f"{percent(self.share)} %")
        if self.seconds_left:
            parts.append(f"about {roughly(self.seconds_left)} left")
        return ", ".join(parts)


@dataclass(frozen=True)
class Progress:
    """How far a migration is. ``phase`` is ``copying``, with all that is built on the tables, or ``comparing``.

    ``tables`` are those whose rows are on their way right now.
    """

    phase: str
    tables: tuple[TableStatus, ...]
    workers: tuple[WorkerStatus, ...]
    total: Total

    def as_json(self) -> str:
        """All of it, for programs."""
        return _ADAPTER.dump_json(self).decode()

    @classmethod
    def from_data(cls, data: object) -> "Progress":
        """What `as_json` wrote, as it is read from JSON.

        Raises:
            ValueError: it is something else.
        """
        return _ADAPTER.validate_python(data)

    def __str__(self) -> str:
        if self.phase == "comparing":
            return f"compared {self.total}"
        return "\n".join(map(str, (*self.tables, self.total)))


LEAST_SECONDS = 5.0
PART_OF_ELAPSED = 60


class Pace:
    """When to tell again how far something is: every few seconds, of what takes hours every few minutes.

    So a log has some hundred lines of it, and not some thousand.
    """

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._due = self._begun + LEAST_SECONDS

    def is_due(self) -> bool:
        """Whether it is time to; if so, the next time is later."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + max(LEAST_SECONDS, (now - self._begun) / PART_OF_ELAPSED)
        return True


_ADAPTER = TypeAdapter(Progress)


def next_beat(begun: float, seconds: float) -> float:
    """When to tell again, after what was begun then has been made: later where that takes long, as of many tables."""
    now = time.monotonic()
    return now + max(seconds, (now - begun) * WORTH)


def percent(share: float) -> int:
    """A share as people read it: 100 only when all is done."""
    return min(99, int(share * 100)) if share < 1 else 100


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
