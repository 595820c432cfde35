"""What every worker of a load needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.catalog.values_path import application_path
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.hashing.digests import Digest
from pg_migration.postgres.hashing.part import Question
from pg_migration.postgres.snapshot.snapshot import Snapshot
from pg_migration.postgres.transfer.workload import Workload


class Lock(Protocol):
    """The right to write to the target."""

    def check_held(self, within: float = 0.0) -> None:
        """Raise `LockLost` when it is gone, or was so many seconds ago."""


@dataclass(frozen=True)
class LoadContext:
    """What every worker needs: the two ends, the point in time, and the names on the other side.

    ``settings`` are those of the source's database (`Catalog.settings`).
    ``calls`` are, by source name, the functions that a table's indexes call (`SchemaObject.calls`).
    ``borrower`` is the run of this process where another one, ``run_id``, owns the snapshot and the lock.
    ``observer`` is a session of the target that nobody uses while a load goes on: it is asked how far indexes are.
    ``workload`` is the work of the run besides the load's, ``compared`` what it costs to compare a table, in parts of
    its hashing.
    ``carries_statistics``: the target is given what the source knows of a table, where it takes it, instead of ANALYZE;
    ``statistics_objects`` are the schemas for which it takes that of statistics objects, too (`read_statistics`).
    ``question`` is asked of the rows of each chunk on both sides, once they are copied. ``same_encoding`` tells that
    both databases have one.
    """

    connections: Connections
    source: Endpoint
    target: Endpoint
    snapshot: Snapshot
    lock: Lock
    run_id: str
    schemas: Mapping[str, str]
    use_unlogged_tables: bool
    workers: int
    settings: Sequence[tuple[str, str]]
    borrower: str | None = None
    calls: Mapping[TableName, Sequence[str]] = field(default_factory=dict)
    observer: Connection | None = None
    workload: Workload = field(default_factory=Workload)
    compared: float = 0.0
    question: Question[Digest] | None = None
    same_encoding: bool = False
    carries_statistics: bool = False
    statistics_objects: Mapping[str, str] | None = None

    def target_name(self, table: Table) -> TableName:
        """Schema and name in the target."""
        return self.schemas[table.schema], table.name

    def application(self, schemas: Mapping[str, str]) -> tuple[str, ...]:
        """As `application_path`."""
        return application_path(self.settings, schemas)

    def destination(self, table: Table) -> TableName:
        """Where the table's rows are written: itself, or the root of a tree whose servers route rows differently."""
        if table.through_root and table.root is not None:
            return self.schemas[table.root[0]], table.root[1]
        return self.target_name(table)

    def unlogged_for_load(self, table: Table) -> bool:
        """Whether the table is UNLOGGED only until its rows are in."""
        return self.use_unlogged_tables and table.kind == "r" and table.persistence == "p"
