"""What became of each thing that a migration did."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.ddl import Outcome
from pg_migration.postgres.figures import listed
from pg_migration.postgres.large_objects.result import LargeObjectsFound
from pg_migration.postgres.migration.live.moved import Moved
from pg_migration.postgres.planning.forecast import Forecast
from pg_migration.postgres.preflight import Finding
from pg_migration.postgres.swap.exchange import Swapped
from pg_migration.postgres.swap.old_snapshots import Waited
from pg_migration.postgres.transfer.events import RowsHashed, TableFailed, TableLoaded, WorkDone
from pg_migration.postgres.verification.row_differences import RowDifference

# Sessions in one line.
MAX_NAMED = 20


@dataclass(frozen=True)
class Swap:
    """A swap, and for whom it waited."""

    done: Swapped
    waited: Waited

    def __str__(self) -> str:
        done, waited = self.done, self.waited
        told = f"swapped {listed(done.schemas)}: locks were held for {done.seconds * 1000:.1f} ms"
        if waited.sessions:
            told += f"; before it, {waited.seconds:.1f} s were spent waiting for {listed(waited.sessions, MAX_NAMED)}"
        if waited.left:
            told += f"; swapped all the same while there was {listed(waited.left, MAX_NAMED)}"
        return told


@dataclass
class Outcomes:
    """What became of each thing the run did, for the summary; table names are the target's.

    ``servers`` are the versions of the servers that were reached, as they name themselves, ``addresses`` where those
    are.
    """

    servers: dict[Side, str] = field(default_factory=dict)
    addresses: dict[Side, str] = field(default_factory=dict)
    work: list[WorkDone] = field(default_factory=list)
    loaded: dict[TableName, TableLoaded] = field(default_factory=dict)
    hashed: dict[TableName, RowsHashed] = field(default_factory=dict)
    reloaded: dict[TableName, str] = field(default_factory=dict)  # begun by an earlier run, and why not continued
    carried: dict[TableName, RowsHashed] = field(default_factory=dict)  # from the live copy to the next one
    not_carried: dict[TableName, str] = field(default_factory=dict)  # in the live copy, and why the source was read
    failed: dict[TableName, TableFailed] = field(default_factory=dict)
    checks: dict[TableName, dict[str, bool]] = field(default_factory=dict)
    differing: set[TableName] = field(default_factory=set)
    differences: dict[TableName, Sequence[RowDifference]] = field(default_factory=dict)  # the first of each table
    collected: dict[str, list[TableName]] = field(default_factory=dict)  # statistics: why they were not carried over
    large_objects: LargeObjectsFound | None = None  # as they were when the run had copied them
    ddl: list[Outcome] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    forecast: Forecast | None = None
    swap: Swap | None = None
    cutover: Moved | None = None
    at_the_end: bool = False  # the summary was reached, and found nothing wrong
