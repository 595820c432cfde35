"""One worker of a load: a connection on each side, and what it does with them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Protocol

from psycopg2 import errors, sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres import ledger
from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.copying import Copied, stream
from pg_migration.postgres.endpoint import Endpoint
from pg_migration.postgres.ledger import ChunkEntry
from pg_migration.postgres.plan import Chunk, RangePlan, TablePlan
from pg_migration.postgres.session import Connections, execute, fetch, relied_on, take_over, transaction
from pg_migration.postgres.snapshot import Snapshot
from pg_migration.postgres.wide_rows import is_wide

# Commits do not wait for the disk: the end of the load does. The memory of an index build is the server's own setting
# or, where that is more, a worker's share of shared_buffers, the only measure of the machine that SQL can see; at most
# 1 GB, beyond which sorts gain little. Its parallel processes are the server's own number or, where that is more, a
# worker's share of max_parallel_workers, if somebody has set that: the default says nothing of the machine. They share
# the memory of the build (PostgreSQL docs: CREATE INDEX, "Building Indexes in Parallel").
_TARGET_SETTINGS = """
SELECT set_config('synchronous_commit', 'off', false),
       set_config('maintenance_work_mem', greatest(
           pg_size_bytes(current_setting('maintenance_work_mem')),
           least(pg_size_bytes(current_setting('shared_buffers')) / %(workers)s, 1024 ^ 3)
       )::bigint / 1024 || 'kB', false),
       set_config('max_parallel_maintenance_workers', greatest(
           current_setting('max_parallel_maintenance_workers')::int,
           (SELECT setting::int / %(workers)s FROM pg_settings
             WHERE name = 'max_parallel_workers' AND source <> 'default'
               AND current_setting('max_parallel_maintenance_workers') <> '0')
       )::text, false)
"""


class Lock(Protocol):
    """The right to write to the target."""

    def demand_held(self) -> None:
        """Raise `LockLost` when it is gone."""


@dataclass(frozen=True)
class LoadContext:
    """What every worker needs: the two ends, the point in time, and the names on the other side.

    ``settings`` are those of the source's database (`Catalog.settings`).
    ``borrower`` is the run of this process where another one, ``run_id``, owns the snapshot and the lock.
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

    def target_name(self, table: Table) -> TableName:
        """Schema and name in the target."""
        return self.schemas[table.schema], table.name

    def destination(self, table: Table) -> TableName:
        """Where the table's rows are written: itself, or the root of a tree whose servers route rows differently."""
        if table.through_root and table.root is not None:
            return self.schemas[table.root[0]], table.root[1]
        return self.target_name(table)

    def unlogged_for_load(self, table: Table) -> bool:
        """Whether the table is UNLOGGED only until its rows are in."""
        return self.use_unlogged_tables and table.kind == "r" and table.persistence == "p"


class Worker:
    """Two connections, opened when first needed: a reader of the snapshot and a writer."""

    def __init__(self, context: LoadContext) -> None:
        self._context = context
        self._source: Connection | None = None
        self._target: Connection | None = None

    @property
    def source(self) -> Connection:
        """A connection in a transaction that sees the run's snapshot."""
        if self._source is None or self._source.closed:
            self._source = self._context.connections.open(self._context.source)
            self._context.snapshot.adopt(self._source)
        return self._source

    @property
    def target(self) -> Connection:
        """An autocommit connection that does not wait for the disk at every commit; the end of the load does."""
        if self._target is None or self._target.closed:
            self._target = self._context.connections.open(self._context.target)
            execute(self._target, _TARGET_SETTINGS, {"workers": self._context.workers})
            take_over(self._target, relied_on(self._context.settings))
            # After it is open: whoever has the lock by then has ended all sessions that he found.
            self._context.lock.demand_held()
        return self._target

    @property
    def lost_a_connection(self) -> bool:
        """Whether a server or the network ended one of the two."""
        return any(c is not None and c.closed for c in (self._source, self._target))

    def leave_source(self) -> None:
        """Close the reader: libpq keeps its buffer as large as the widest row that it read."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def abandon(self) -> None:
        """Give both connections up after an error left their state unknown; the next use opens new ones."""
        for connection in (self._source, self._target):
            if connection is not None:
                connection.close()
        self._source = self._target = None

    def copy(
        self,
        plan: TablePlan,
        piece: RangePlan,
        chunk: Chunk,
        replace: bool,
        empties: bool,
        again: bool,
        on_bytes: Callable[[int], None],
    ) -> Copied:
        """Copy one chunk and write its ledger row, in one transaction of the target.

        Args:
            replace: delete the range's rows first, in the same transaction.
            empties: empty the table first, in the same transaction; for its only chunk.
            again: a connection was lost in an earlier attempt, which may have been committed all the same.
            on_bytes: as `copying.stream`.

        Raises:
            CopyFailed, CopyMismatch, psycopg2.Error: nothing of the chunk is in the target then.
        """
        table, name = plan.table, self._context.target_name(plan.table)
        entry = ChunkEntry(
            name,
            piece.range.key,
            chunk.number,
            len(piece.chunks),
            self._context.run_id,
            self._context.borrower or self._context.run_id,
            self._context.snapshot.name,
            chunk.predicate.as_string(self.target),
            datetime.now(timezone.utc),
        )
        if again and (done := ledger.recorded(self.target, entry)) is not None:
            return Copied(*done, 0.0)
        self._set_paths(table)
        with transaction(self.target):
            if empties:
                empty(self.target, self._context, table)
            if replace:
                self._delete(plan, piece)
            copied = self._rows(plan, chunk, frozen=empties, on_bytes=on_bytes)
            ledger.record(self.target, entry, copied.rows, copied.bytes)
        return copied

    def run(self, statements: Sequence[str], search_path: str, again: bool) -> None:
        """Run DDL on the target, each statement in its own transaction, resolving names in one schema.

        Args:
            again: a connection was lost in an earlier attempt, so what is there already was made by it.
        """
        self._set_target_path(search_path)
        # The last is said of an index that a key has been made of already.
        there = (errors.DuplicateTable, errors.DuplicateObject, errors.ObjectNotInPrerequisiteState)
        tolerated = there if again else ()
        for statement in statements:
            with suppress(*tolerated):
                execute(self.target, statement)

    def make_logged(self, table: Table) -> None:
        """End the UNLOGGED state that was for the load only."""
        name = sql.Identifier(*self._context.target_name(table))
        execute(self.target, sql.SQL("ALTER TABLE {} SET LOGGED").format(name))

    def analyze(self, table: Table) -> None:
        """Collect the planner's statistics of a table."""
        execute(self.target, sql.SQL("ANALYZE {}").format(sql.Identifier(*self._context.target_name(table))))

    def _set_paths(self, table: Table) -> None:
        """Text forms of names (regclass) and functions behind checks and generated columns resolve in their schema."""
        self._set_path(self.source, table.schema)
        self._set_target_path(self._context.schemas[table.schema])

    def _set_target_path(self, schema: str) -> None:
        """The database's own path comes last: it must not change what a name in a value means."""
        self._set_path(self.target, schema, dict(self._context.settings).get("search_path", ""))

    def _set_path(self, connection: Connection, schema: str, further: str = "") -> None:
        execute(
            connection,
            "SELECT set_config('search_path', concat_ws(', ', quote_ident(%s), 'pg_catalog', nullif(%s, '')), false)",
            (schema, further),
        )

    def _delete(self, plan: TablePlan, piece: RangePlan) -> None:
        name = self._context.target_name(plan.table)
        ledger.forget_range(self.target, name, piece.range.key)
        execute(
            self.target,
            sql.SQL("DELETE FROM ONLY {} WHERE {}").format(sql.Identifier(*name), piece.range.predicate(plan.key)),
        )

    def _rows(self, plan: TablePlan, chunk: Chunk, frozen: bool, on_bytes: Callable[[int], None]) -> Copied:
        table = plan.table
        if table.kind == "p":
            return Copied(0, 0, 0.0)  # a partitioned table's rows are in its partitions
        origin = sql.Identifier(table.schema, table.name)
        destination = sql.Identifier(*self._context.destination(table))
        if not table.stored_columns:
            return self._rows_without_columns(origin, chunk, destination)
        columns = sql.SQL(", ").join(sql.Identifier(c.name) for c in table.stored_columns)
        options = sql.SQL("FORMAT {}").format(sql.SQL(plan.wire_format))
        if plan.encoding is not None:
            options += sql.SQL(", ENCODING {}").format(sql.Literal(plan.encoding))
        copy_out = sql.SQL("COPY (SELECT {} FROM ONLY {} WHERE {}) TO STDOUT ({})")
        copy_in = sql.SQL("COPY {} ({}) FROM STDIN ({}{})")
        return stream(
            self.source,
            copy_out.format(columns, origin, chunk.predicate, options),
            self.target,
            copy_in.format(destination, columns, options, sql.SQL(", FREEZE" if frozen else "")),
            on_bytes,
            is_wide(plan.row_bytes),
        )

    def _rows_without_columns(self, origin: sql.Composable, chunk: Chunk, destination: sql.Composable) -> Copied:
        """COPY has no form for rows that carry nothing; their number is all there is to move."""
        ((rows,),) = fetch(
            self.source, sql.SQL("SELECT count(*) FROM ONLY {} WHERE {}").format(origin, chunk.predicate)
        )
        execute(
            self.target,
            sql.SQL("INSERT INTO {} SELECT FROM generate_series(1, {})").format(destination, sql.Literal(rows)),
        )
        return Copied(rows, 0, 0.0)


def empty(connection: Connection, context: LoadContext, table: Table) -> None:
    """Truncate a table and forget its chunks, in the transaction that is open.

    A table that a killed run left UNLOGGED is made as it should be on the way, since that costs nothing when empty.
    """
    name = context.target_name(table)
    if table.kind == "r":
        relation = sql.Identifier(*name)
        execute(connection, sql.SQL("TRUNCATE ONLY {}").format(relation))
        unlogged = table.persistence == "u" or context.unlogged_for_load(table)
        ((is_unlogged,),) = fetch(
            connection,
            "SELECT relpersistence = 'u' FROM pg_class WHERE oid = to_regclass(%s)",
            (relation.as_string(connection),),
        )
        if unlogged != is_unlogged:
            execute(connection, sql.SQL("ALTER TABLE {} SET {}").format(relation, _PERSISTENCE[unlogged]))
    ledger.forget(connection, [name])


_PERSISTENCE = {True: sql.SQL("UNLOGGED"), False: sql.SQL("LOGGED")}
