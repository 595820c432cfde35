"""What a report says, as data. Times are in UTC, sizes in bytes, durations in seconds, names as PostgreSQL has them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter

from pg_migration.postgres.catalog import Notice
from pg_migration.postgres.planning.forecast import Forecast
from pg_migration.postgres.preflight import Finding
from pg_migration.postgres.verification.row_differences import RowDifference

Figure = int | float | str


class State(str, Enum):
    """How something ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Database:
    """One end: where it is (without a password), what it runs, and the schemas.

    ``where`` and ``version`` are None where the run did not come so far as to know them.
    """

    where: str | None
    version: str | None
    schemas: tuple[str, ...]


# The states of tables that a run has filled.
FILLED = ("copied", "continued", "carried")


@dataclass(frozen=True)
class TableReport:
    """One table, by its schema and name in the target.

    Args:
        state: ``copied``, ``continued`` (what an earlier run had begun), ``carried`` (from the live copy), ``failed``,
            ``excluded``, ``not copied``, or what else the summary says.
        remark: why it is in that state, where that is not plain.
        rows: rows in the target, as both servers counted them, and what of them this run moved.
        bytes: what they are on the wire, and what of that this run moved.
        source_bytes: the table's size in the source (pg_table_size).
        copy_seconds: wall time from its first chunk's begin to its last chunk's commit.
        build_seconds: wall time of indexes, keys and ANALYZE after that.
        workers: those that had a part in it.
    """

    schema: str
    name: str
    source: str
    state: str
    remark: str | None = None
    rows: int | None = None
    moved_rows: int | None = None
    bytes: int | None = None
    moved_bytes: int | None = None
    source_bytes: int | None = None
    copy_seconds: float | None = None
    build_seconds: float | None = None
    ranges: int | None = None
    chunks: int | None = None
    wire_format: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    workers: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """Schema and name, for people."""
        return f"{self.schema}.{self.name}"

    @property
    def failed(self) -> bool:
        """Whether its rows should be in the target and are not known to be."""
        return self.state in ("failed", "not copied")

    @property
    def rows_per_second(self) -> float | None:
        """Throughput of the copy alone."""
        return self.moved_rows / self.copy_seconds if self.moved_rows and self.copy_seconds else None

    @property
    def bytes_per_second(self) -> float | None:
        """As `rows_per_second`, on the wire."""
        return self.moved_bytes / self.copy_seconds if self.moved_bytes and self.copy_seconds else None


@dataclass(frozen=True)
class CheckReport:
    """One evaluation of an asset check. ``warning`` marks one whose failure does not fail the run.

    ``findings`` is the table that it shows: the rows that differ, or the objects.
    """

    subject: str
    name: str
    passed: bool
    warning: bool
    verdict: str
    figures: dict[str, Figure]
    findings: tuple[dict[str, str], ...] = ()

    @property
    def outcome(self) -> str:
        """In a word."""
        return "passed" if self.passed else "warning" if self.warning else "failed"


@dataclass(frozen=True)
class DifferencesReport:
    """The first rows of a table that are not the same on both sides; ``more`` tells that there may be others."""

    table: str
    rows: tuple[RowDifference, ...]
    more: bool


@dataclass(frozen=True)
class StepReport:
    """One step of the run. ``finished_at`` is None when it did not come to its end."""

    name: str
    state: State
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class KindReport:
    """The objects of one kind: how many the source has, and how many this run made or failed to make.

    What the target had already is neither.
    """

    kind: str
    in_source: int
    made: int
    failed: int


@dataclass(frozen=True)
class WorkReport:
    """What one worker did from when to when: see `pg_migration.postgres.transfer.load.WorkDone`."""

    worker: int
    activity: str
    table: str
    detail: str
    started_at: datetime
    finished_at: datetime
    succeeded: bool
    rows: int
    bytes: int
    run: str | None = None

    @property
    def who(self) -> str:
        """The worker, for people."""
        return f"worker {self.worker}" + (f" (run {self.run[:8]})" if self.run else "")

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class Report:
    """A whole run. ``succeeded`` is true only when every table was copied and nothing that must hold failed.

    ``cautions`` are what people should read before anything else. ``large_objects`` says what became of these.
    """

    run_id: str
    job: str
    platform_version: str
    started_at: datetime
    finished_at: datetime
    succeeded: bool
    source: Database
    target: Database
    options: dict[str, int | float | bool | str | list[str] | dict[str, Any] | None]
    failures: tuple[str, ...]
    notes: tuple[str, ...]
    left_out: tuple[Notice, ...]
    findings: tuple[Finding, ...]
    plan: Forecast | None
    tables: tuple[TableReport, ...]
    checks: tuple[CheckReport, ...]
    checks_planned: int
    kinds: tuple[KindReport, ...]
    steps: tuple[StepReport, ...]
    work: tuple[WorkReport, ...]
    cautions: tuple[str, ...] = ()
    differences: tuple[DifferencesReport, ...] = ()
    large_objects: str | None = None

    @property
    def seconds(self) -> float:
        """From the run's start until the report was made."""
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def copied(self) -> tuple[TableReport, ...]:
        """The tables that this run copied, went on with, or carried from the live copy."""
        return tuple(table for table in self.tables if table.state in FILLED)

    @property
    def checks_told(self) -> str:
        """How many checks passed, of those that were made, and how many were not."""
        made = len(self.checks)
        told = f"{sum(check.passed for check in self.checks):,} of {made:,} checks passed"
        return f"{told}, {self.checks_planned - made:,} not made" if self.checks_planned > made else told

    @property
    def total_rows(self) -> int:
        """Rows that this run moved."""
        return sum(done.rows for done in self.work)

    @property
    def total_bytes(self) -> int:
        """Bytes that this run sent over the wire."""
        return sum(done.bytes for done in self.work)

    @cached_property
    def copy_seconds(self) -> float:
        """Wall time from the first chunk's begin to the last one's end, whatever table they are of."""
        copies = [done for done in self.work if done.activity == "copy"]
        if not copies:
            return 0.0
        first, last = min(done.started_at for done in copies), max(done.finished_at for done in copies)
        return (last - first).total_seconds()

    def ended(self, succeeded: bool, failures: Sequence[str] = ()) -> "Report":
        """The report, corrected by how the run ended after it was written.

        Args:
            succeeded: the run's own end.
            failures: what failed, where the report knows of nothing.
        """
        if self.succeeded == succeeded:
            return self
        return replace(self, succeeded=succeeded, failures=self.failures or tuple(failures))

    def as_json(self) -> bytes:
        """All of it, for programs."""
        return _ADAPTER.dump_json(self, indent=2)

    @classmethod
    def from_json(cls, text: bytes) -> "Report":
        """What `as_json` wrote.

        Raises:
            ValueError: when it is something else.
        """
        return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(Report)
