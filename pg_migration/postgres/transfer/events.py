"""What a load tells while it goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pg_migration.postgres.catalog import SchemaObject, TableName
from pg_migration.postgres.hashing.digests import Digest
from pg_migration.postgres.hashing.untouched import Written
from pg_migration.postgres.ledger.chunks import ChunkName, LoadedRange
from pg_migration.postgres.planning.key_ranges import KeyColumn, cover_everything, parse
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration.postgres.transfer.progress import Progress
from pg_migration.postgres.transfer.resume import Continued


@dataclass(frozen=True)
class RangeLoaded:
    """One range whose chunks are all committed."""

    key: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class TableLoaded:
    """A table whose planned ranges are in, and whose indexes and keys were built or reported.

    ``seconds`` is the wall time from its first chunk's begin to its last chunk's commit; ``build_seconds`` is what
    indexes, keys and ANALYZE took after that. ``complete`` tells whether the ledger shows every range of the table.
    ``continued`` is what was there of a table that an earlier run had begun; ``ranges`` has it with the rest.
    """

    plan: TablePlan
    ranges: tuple[RangeLoaded, ...]
    seconds: float
    build_seconds: float
    complete: bool
    continued: Continued | None = None

    @property
    def rows(self) -> int:
        """Rows of the ranges, as both servers counted them."""
        return sum(r.rows for r in self.ranges)

    @property
    def bytes(self) -> int:
        """Bytes that went over the wire for them."""
        return sum(r.bytes for r in self.ranges)

    @property
    def covers_table(self) -> bool:
        """Whether the ranges leave no row of the table out."""
        return is_complete(self.ranges, self.plan.key)

    @property
    def copied_rows(self) -> int:
        """Rows that this load has copied."""
        return self.rows - (self.continued.rows if self.continued else 0)


@dataclass(frozen=True)
class RowsHashed:
    """The digests of a table's chunks, made while others were copied: on the source of those whose rows could be read.

    ``target`` is the digest of the whole table there, None where it was not made or could not be; ``written`` is what
    makes sure that it still holds. ``seconds`` is what workers spent on it all.
    """

    plan: TablePlan
    source: Mapping[ChunkName, Digest]
    target: Digest | None
    written: Written | None
    seconds: float

    @property
    def source_digest(self) -> Digest | None:
        """That of all rows in the source; None where some have none."""
        everything = cover_everything((piece.range for piece in self.plan.ranges), self.plan.key)
        complete = everything and len(self.source) == self.plan.chunk_count
        return Digest.of(self.source.values()) if complete else None


@dataclass(frozen=True)
class TableFailed:
    """A table whose rows are not complete; ``error`` is for people."""

    plan: TablePlan
    error: str


@dataclass(frozen=True)
class ObjectFailed:
    """An index or constraint that could not be built although the rows are there."""

    object: SchemaObject
    error: str


@dataclass(frozen=True)
class NotAnalyzed:
    """A table whose statistics the planner lacks, since an expression of its indexes or statistics objects fails."""

    plan: TablePlan
    error: str


@dataclass(frozen=True)
class StatisticsCollected:
    """A table whose statistics were collected in the target by ANALYZE, all or some, as the source's can't be given."""

    plan: TablePlan
    reason: str


@dataclass(frozen=True)
class ObjectMade:
    """An index or constraint that was built."""

    object: SchemaObject


@dataclass(frozen=True)
class ObjectNoted:
    """An index or constraint that was built in a way that people have to know of."""

    object: SchemaObject
    note: str


@dataclass(frozen=True)
class LoadBegun:
    """What the load is going to copy, the largest table first, and with how many workers."""

    plans: tuple[TablePlan, ...]
    workers: int


@dataclass(frozen=True)
class WorkDone:
    """What one worker did from when to when.

    ``activity`` is ``copy``, ``set logged``, ``analyze`` or the kind of the object that was built; ``detail`` is the
    chunk's range or the object's name. ``rows`` and ``bytes`` are those that a copy moved. ``run`` is the run that the
    worker was of, where that was not the one which tells.
    """

    worker: int
    activity: str
    table: TableName
    detail: str
    started_at: datetime
    finished_at: datetime
    succeeded: bool
    rows: int = 0
    bytes: int = 0
    run: str | None = None

    @property
    def seconds(self) -> float:
        """How long it took, retries included."""
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class WorkerLeft:
    """A worker that could not get a connection any more, for the reason given; the others do its share."""

    worker: int
    reason: str


Event = (
    LoadBegun
    | WorkerLeft
    | WorkDone
    | TableLoaded
    | RowsHashed
    | TableFailed
    | ObjectFailed
    | ObjectMade
    | ObjectNoted
    | NotAnalyzed
    | StatisticsCollected
    | Progress
)


def is_complete(loaded: Sequence[LoadedRange | RangeLoaded], key: KeyColumn | None) -> bool:
    """Whether ranges, in the ledger or of one load, leave no row of their table out."""
    return cover_everything((parse(r.key, key, "") for r in loaded), key)
