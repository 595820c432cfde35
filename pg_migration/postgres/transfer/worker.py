"""One worker of a load: a connection on each side, and what it does with them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import SchemaObject, Table, TableName
from pg_migration.postgres.catalog.source_rows import chosen, discreet, values
from pg_migration.postgres.catalog.values_path import ValuesPath, fetch_rows, leave, run
from pg_migration.postgres.connection.session_settings import (
    pin,
    relied_on,
    select,
    set_configs,
    take_over,
    written_with,
)
from pg_migration.postgres.connection.statements import execute, fetch, gathered, transaction, undone_on_errors
from pg_migration.postgres.ddl.changes.make import NAME_NOT_FOUND, make, on_path, usual_path
from pg_migration.postgres.hashing.digests import Digest
from pg_migration.postgres.hashing.part import Answer, Part, Question
from pg_migration.postgres.hashing.places import conditions
from pg_migration.postgres.ledger import chunks
from pg_migration.postgres.ledger.chunks import ChunkEntry, Placed
from pg_migration.postgres.planning.plan import Chunk, RangePlan, TablePlan
from pg_migration.postgres.planning.row_width import is_wide
from pg_migration.postgres.snapshot.readers import Reader
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.statistics.restoring import restore
from pg_migration.postgres.statistics.source_statistics import SourceStatistics, TableStatistics
from pg_migration.postgres.transfer.load_context import LoadContext
from pg_migration.postgres.transfer.streams.copy_stream import Copied, stream

# Commits do not wait for the disk: the end of the load does. The memory of an index build is the server's own setting
# or, where that is more, a worker's share of shared_buffers, the only measure of the machine that SQL can see; at most
# 1 GB, beyond which sorts gain little. Its parallel processes are the server's own number or, where that is more, a
# worker's share of max_parallel_workers, if somebody has set that: the default says nothing of the machine. They share
# the memory of the build (PostgreSQL docs: CREATE INDEX, "Building Indexes in Parallel").
_TARGET_SETTINGS = """
SELECT set_config('synchronous_commit', 'off', false),
       set_config('maintenance_work_mem', format('%skB', greatest(
           pg_size_bytes(current_setting('maintenance_work_mem')),
           least(pg_size_bytes(current_setting('shared_buffers')) / {workers}, 1024 ^ 3)
       )::bigint / 1024), false),
       set_config('max_parallel_maintenance_workers', format('%s', greatest(
           to_number(current_setting('max_parallel_maintenance_workers'), '9999999')::int,
           (SELECT to_number(setting, '9999999')::int / {workers} FROM pg_settings
             WHERE name = 'max_parallel_workers' AND source <> 'default'
               AND current_setting('max_parallel_maintenance_workers') <> '0')
       )), false)
"""


WHOLE_TABLE = sql.SQL("true")

# Rows that somebody keeps from being read are read of the source instead.
CARRY_LOCK_TIMEOUT = "5s"


class Worker:
    """Two connections: one of the snapshot's readers, and a writer, opened when first needed."""

    def __init__(self, context: LoadContext) -> None:
        self._context = context
        self._reader: Reader | None = None
        self._target: Connection | None = None
        self._written_with: Mapping[str, str] = {}

    def source(self, table: Table) -> Connection:
        """A connection in a transaction that sees the run's snapshot, and can read a table without waiting."""
        self._reader = self._context.snapshot.readers.take(table.key, self._reader)
        return self._reader.connection

    @property
    def target(self) -> Connection:
        """An autocommit connection that does not wait for the disk at every commit; the end of the load does."""
        if self._target is None or self._target.closed:
            settings = _TARGET_SETTINGS.format(workers=self._context.workers)
            self._target = self._context.connections.open(self._context.target, then=settings)
            take_over(self._target, relied_on(self._context.settings))
            if wanted := written_with(self._context.settings):
                self._written_with = take_over(self._target, wanted)
                pin(self._target)
            # After it is open: whoever has the lock by then has ended all sessions that he found.
            self._context.lock.check_held()
        return self._target

    @property
    def process(self) -> int | None:
        """The server's process behind the writer; None while there is none."""
        target = self._target
        return target.info.backend_pid if target is not None and not target.closed else None

    @property
    def lost_a_connection(self) -> bool:
        """Whether a server or the network ended one of the two."""
        return bool(
            (self._reader is not None and self._reader.connection.closed)
            or (self._target is not None and self._target.closed)
        )

    def leave_source(self, bloated: bool) -> None:
        """Give the reader back as soon as it is not needed.

        Args:
            bloated: libpq keeps its buffer as large as the widest row that it read, so better have a new one.
        """
        readers, reader = self._context.snapshot.readers, self._reader
        if reader is None or not (bloated or readers.are_scarce):
            return
        self._reader = None
        if bloated:
            readers.close_bloated(reader)
        else:
            readers.give(reader)

    def abandon(self) -> None:
        """Give both connections up after an error left their state unknown; the next use takes others."""
        if self._reader is not None:
            self._context.snapshot.readers.give(self._reader)
        if self._target is not None:
            self._target.close()
        self._reader = self._target = None

    def copy(
        self,
        plan: TablePlan,
        piece: RangePlan,
        chunk: Chunk,
        replace: bool,
        empties: bool,
        again: bool,
        on_bytes: Callable[[int], None],
    ) -> tuple[Copied, Placed]:
        """Copy one chunk and write its ledger row, in one transaction of the target.

        Args:
            replace: delete the range's rows first, in the same transaction.
            empties: empty the table first, in the same transaction; for its only chunk.
            again: a connection was lost in an earlier attempt, which may have been committed all the same.
            on_bytes: as `copying.stream`.

        Returns:
            What was copied, and where it is in the target.

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
        if again and (done := chunks.recorded(self.target, entry)) is not None:
            return Copied(done.rows, done.bytes, 0.0), done.placed
        target = self.target
        with undone_on_errors(target):
            with gathered(target):
                execute(target, "BEGIN")
                # Until it ends; what is said to the ledger in between means the same under any settings.
                execute(target, self._target_path(table).setting())
                if self._written_with:
                    execute(target, select(set_configs(self._written_with, local=True)))
                if empties:
                    self._empty(table)
                if replace:
                    self._delete(plan, piece)
                placed, is_unlogged = chunks.place(target, name)
            if empties and self._set_persistence(table, is_unlogged):
                placed, _ = chunks.place(target, name)
            copied = self._rows(plan, chunk, frozen=empties, on_bytes=on_bytes)
            placed = chunks.record(target, entry, copied.rows, copied.bytes, placed)
        return copied, placed

    def carry(self, plan: TablePlan, origin: TableName, expected: Digest, question: Question[Digest]) -> int | None:
        """Give an empty table the rows of another one of the target, with what the ledger says of them, in one
        transaction, if they are the expected ones.

        Args:
            origin: the other one.

        Returns:
            The file that the rows are in; None where they are others, and nothing was done.

        Raises:
            MigrationError, psycopg2.Error: it can't be done, and was not.
        """
        table, target, name = plan.table, self.target, self._context.target_name(plan.table)
        with undone_on_errors(target):
            with gathered(target):
                execute(target, "BEGIN")
                execute(target, f"SET LOCAL lock_timeout = '{CARRY_LOCK_TIMEOUT}'")
                execute(target, self._target_path(table).setting())
                if self._written_with:
                    execute(target, select(set_configs(self._written_with, local=True)))
                placed, _ = chunks.place(target, name)
            execute(target, self._carrying(table, origin))
            if self.ask_target(plan, WHOLE_TABLE, question) != expected:
                execute(target, "ROLLBACK")
                return None
            self._context.lock.check_held()
            with gathered(target):
                chunks.carry(target, origin, name, self._context.run_id, self._context.snapshot)
                execute(target, "COMMIT")
        return placed.file

    def _carrying(self, table: Table, origin: TableName) -> sql.Composable:
        """The statement that reads another table of the target, whose types may be others of the same names."""
        name = self._context.target_name(table)
        inserted, read = sql.SQL("INSERT INTO {}").format(sql.Identifier(*name)), sql.Identifier(*origin)
        if not table.stored_columns:
            return sql.SQL("{} SELECT FROM ONLY {}").format(inserted, read)
        columns = {"columns": [column.name for column in table.stored_columns], "schema": name[0], "name": name[1]}
        places = {"origin_schema": origin[0], "origin_name": origin[1]}
        rows = fetch(self.target, sql_file("transfer/carried_columns.sql"), {**columns, **places})
        into, there = (sql.SQL(", ").join(map(sql.SQL, texts)) for texts in zip(*rows, strict=True))
        return sql.SQL("{} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM ONLY {}").format(inserted, into, there, read)

    def empty(self, table: Table) -> None:
        """Truncate a table and forget its chunks."""
        target = self.target
        with undone_on_errors(target):
            with gathered(target):
                execute(target, "BEGIN")
                self._empty(table)
                _, is_unlogged = chunks.place(target, self._context.target_name(table))
            with gathered(target):
                self._set_persistence(table, is_unlogged)
                execute(target, "COMMIT")

    def _empty(self, table: Table) -> None:
        name = self._context.target_name(table)
        if table.kind == "r":
            execute(self.target, sql.SQL("TRUNCATE ONLY {}").format(sql.Identifier(*name)))
        chunks.forget(self.target, [name])

    def _set_persistence(self, table: Table, is_unlogged: bool) -> bool:
        """Make an empty table that a killed run left UNLOGGED, or that is to be so for the load, as it should be.

        That costs nothing where there are no rows.

        Returns:
            Whether it was not so.
        """
        unlogged = table.persistence == "u" or self._context.unlogged_for_load(table)
        if table.kind != "r" or unlogged == is_unlogged:
            return False
        relation = sql.Identifier(*self._context.target_name(table))
        execute(self.target, sql.SQL("ALTER TABLE {} SET {}").format(relation, _PERSISTENCE[unlogged]))
        return True

    def ask_source(self, plan: TablePlan, chunk: Chunk, question: Question[Answer]) -> Answer:
        """What is to be known of a chunk's rows in the source.

        Args:
            question: as `BothSides.ask`.

        Raises:
            MigrationError, psycopg2.Error: they can't be read.
        """
        table, context = plan.table, self._context
        application = context.application({})
        part = Part(table, table.key, chunk.predicate, None, application, context.same_encoding, table.transform)
        answer = question(self.source(table), part)
        self.leave_source(bloated=is_wide(plan.row_bytes))
        return answer

    def hash_target(self, plan: TablePlan, placed: Placed | None, rows: int, question: Question[Digest]) -> Digest:
        """The digest of what was written to the target, wherever it is in its table; without a place of all of that.

        Args:
            rows: how many that were. Fewer in its pages are looked for in all.

        Raises:
            MigrationError, psycopg2.Error: it can't be read.
        """
        for predicate in [WHOLE_TABLE] if placed is None else conditions(placed):
            if (digest := self.ask_target(plan, predicate, question)).rows == rows:
                break
        return digest

    def ask_target(self, plan: TablePlan, predicate: sql.Composable, question: Question[Answer]) -> Answer:
        """What is to be known of the rows in the target that a condition holds for.

        Raises:
            MigrationError, psycopg2.Error: they can't be read.
        """
        table, context = plan.table, self._context
        application = context.application(context.schemas)
        part = Part(table, context.target_name(table), predicate, None, application, context.same_encoding)
        return question(self.target, part)

    def tell_counts(self) -> None:
        """Have the server count now what this worker has written (since 15; else it does when the session ends)."""
        if self._target is not None and not self._target.closed and self._target.server_version >= 150000:
            fetch(self._target, "SELECT pg_catalog.pg_stat_force_next_flush()")

    def keep_target(self) -> None:
        """Leave the writer to whoever needs a session of the target next."""
        if self._target is not None:
            self._context.connections.keep(self._target, self._context.target)
        self._target = None

    def make(self, item: SchemaObject, statements: Sequence[str], again: bool) -> list[str]:
        """Run statements of an object on the target, each in its own transaction.

        Args:
            again: a connection was lost in an earlier attempt, so what is there already was made by it.

        Returns:
            What people have to know of how it was made.
        """
        application = self._context.application(self._context.schemas)
        # The last is said of an index that a key has been made of already.
        there = (errors.DuplicateTable, errors.DuplicateObject, errors.ObjectNotInPrerequisiteState)
        tolerated = there if again else ()
        notes = []
        for statement in statements:
            with suppress(*tolerated):
                notes.append(make(self.target, item, [statement], application))
        return [note for note in notes if note is not None]

    def make_logged(self, table: Table) -> None:
        """End the UNLOGGED state that was for the load only."""
        name = sql.Identifier(*self._context.target_name(table))
        run(self.target, self._target_path(table), sql.SQL("ALTER TABLE {} SET LOGGED").format(name))

    def known_statistics(self, table: Table, known: SourceStatistics) -> TableStatistics:
        """What the source's planner knows of a table."""
        found = known.take(table.oid, self.source(table))
        self.leave_source(bloated=False)
        return found

    def restore_statistics(self, table: Table, known: TableStatistics) -> bool:
        """Let the target's planner know of a table what the source's does; whether it took all of it."""
        return restore(self.target, self._context.target_name(table)[0], [known])

    def analyze(self, table: Table, alone: bool = False) -> None:
        """Collect the planner's statistics of a table; nothing of one above foreign tables, whose servers it would ask.

        Args:
            alone: without its partitions, which only servers do that take statistics.
        """
        if table.foreign_below:
            return
        name = sql.Identifier(*self._context.target_name(table))
        only = sql.SQL("ONLY " if alone and table.kind == "p" else "")
        analyze = sql.SQL("ANALYZE {}{}").format(only, name)
        try:
            run(self.target, self._target_path(table), analyze)
        except psycopg2.Error as error:
            calls = self._context.calls.get(table.key, ())
            if self.target.closed or error.pgcode not in NAME_NOT_FOUND or not calls:
                raise
            # As when its indexes were built: ddl/making.py.
            application = self._context.application(self._context.schemas)
            path = usual_path(self.target, self._context.schemas[table.schema], application)
            with transaction(self.target), on_path(self.target, calls, path):
                execute(self.target, analyze)

    def read(self, table: Table, query: sql.Composable) -> list[tuple[Any, ...]]:
        """All rows of a query over a table of the source, in which every name is qualified."""
        path = ValuesPath.of(table, table.key, self._context.application({}), transform=table.transform)
        with discreet(table.transform):
            rows = fetch_rows(self.source(table), path, query)
        self.leave_source(bloated=False)
        return rows

    def read_back(self, table: Table, query: sql.Composable) -> list[tuple[Any, ...]]:
        """The same of a table in the target."""
        return fetch_rows(self.target, self._target_path(table), query)

    def _target_path(self, table: Table) -> ValuesPath:
        context = self._context
        return ValuesPath.of(table, context.destination(table), context.application(context.schemas), written=True)

    def _delete(self, plan: TablePlan, piece: RangePlan) -> None:
        name = self._context.target_name(plan.table)
        chunks.forget_range(self.target, name, piece.range.key)
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
            return self._rows_without_columns(table, chunk, destination)
        columns = sql.SQL(", ").join(sql.Identifier(c.name) for c in table.stored_columns)
        read, condition = values(table.transform, table.stored_columns), chosen(table.transform, chunk.predicate)
        options = sql.SQL("FORMAT {}").format(sql.SQL(plan.wire_format))
        if plan.encoding is not None:
            options += sql.SQL(", ENCODING {}").format(sql.Literal(plan.encoding))
        copy_out = sql.SQL("COPY (SELECT {} FROM ONLY {} WHERE {}) TO STDOUT ({})")
        copy_in = sql.SQL("COPY {} ({}) FROM STDIN ({}{})")
        source = self.source(table)
        path = ValuesPath.of(table, table.key, self._context.application({}), transform=table.transform)
        reading = copy_out.format(read, origin, condition, options)
        if path.relation is None and not path.by_place:  # then it is short, and may go ahead in the same message
            reading = sql.SQL("{};\n{}").format(path.setting(), reading)
        else:
            execute(source, path.setting())
        copied = stream(
            source,
            reading,
            self.target,
            copy_in.format(destination, columns, options, sql.SQL(", FREEZE" if frozen else "")),
            on_bytes,
            is_wide(plan.row_bytes),
            discreet=table.transform is not None,
        )
        leave(source, path)
        return copied

    def _rows_without_columns(self, table: Table, chunk: Chunk, destination: sql.Composable) -> Copied:
        """COPY has no form for rows that carry nothing; their number is all there is to move."""
        count = sql.SQL("SELECT pg_catalog.count(*) FROM ONLY {} WHERE {}")
        ((rows,),) = self.read(
            table, count.format(sql.Identifier(*table.key), chosen(table.transform, chunk.predicate))
        )
        insert = sql.SQL("INSERT INTO {} SELECT FROM pg_catalog.generate_series(1, {})")
        execute(self.target, insert.format(destination, sql.Literal(rows)))
        return Copied(rows, 0, 0.0)


_PERSISTENCE = {True: sql.SQL("UNLOGGED"), False: sql.SQL("LOGGED")}
