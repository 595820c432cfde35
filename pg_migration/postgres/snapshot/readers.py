"""The sessions that read a snapshot: each has its locks before anybody can stand between it and a table.

A TRUNCATE (or ALTER, DROP, VACUUM FULL) of a table that some session of a run has locked waits until the run has ended.
A queue for a lock is served in order: a session that came to that table after it would wait for the TRUNCATE, which
waits for the run, and no server sees a deadlock in it, as the session that is waited for is idle. So every reader locks
all tables at one moment, before the snapshot is taken, and none ever waits for a lock: what can't be had at once is
refused (NOWAIT). PostgreSQL docs: "Explicit Locking"; LOCK.

A server has room for so many locks and no more; when it is full, everybody's statements fail. Where all readers would
take too large a share together, only some of them lock everything. The others lock the one table that they read, for as
long as they read it, and leave it to one of the former when they can't.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import TRANSACTION_STATUS_ACTIVE, TRANSACTION_STATUS_INTRANS
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.catalog.patterns import is_excluded
from pg_migration.postgres.connection.connections import Connections, lost_at_once
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.lock_waits import who_is_ahead
from pg_migration.postgres.connection.statements import Question, execute, fetch, send_ahead
from pg_migration.postgres.errors import ConnectionFailed, MigrationError, SourceUnprotected, server_message

# How long a reader whose connection was lost tries to lock again what it had locked.
LOCK_AGAIN_SECONDS = 10.0
POLL_SECONDS = 0.2
# Sessions that lock all tables, beside those that read them: the snapshot's holder and the planner.
OTHER_READERS = 2

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# What a reader returns to when it is passed on: to its locks, and to its settings as they were.
MARK = "SAVEPOINT reading"
_RETURN = "ROLLBACK TO SAVEPOINT reading"

# Tables that this role may not read can't be locked by it either; discovery says which of them are needed.
_LOCKABLE = """
SELECT c.oid::pg_catalog.int8, n.nspname, c.relname, c.relkind = 'p'
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
   AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
 ORDER BY c.oid
"""

# A server remembers about two holders for each of these locks (PostgreSQL docs: max_locks_per_transaction). All readers
# together take no more than half of that, less what others use.
ROOM = """
SELECT (pg_catalog.to_number(pg_catalog.current_setting('max_locks_per_transaction'), '9999999999')
        * (pg_catalog.to_number(pg_catalog.current_setting('max_connections'), '9999999999')
           + pg_catalog.to_number(pg_catalog.current_setting('max_prepared_transactions'), '9999999999'))
        - (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks l
            WHERE NOT l.fastpath
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
                               WHERE a.pid OPERATOR(pg_catalog.=) l.pid
                                 AND a.application_name
                                     OPERATOR(pg_catalog.=) pg_catalog.current_setting('application_name'))))
       ::pg_catalog.int8
"""


@dataclass(frozen=True)
class Lockable:
    """A table that can be locked; a partitioned one with everything below it."""

    oid: int
    name: TableName
    partitioned: bool

    @property
    def identifier(self) -> sql.Composable:
        """As LOCK names it."""
        return sql.SQL("" if self.partitioned else "ONLY ") + sql.Identifier(*self.name)


def lockable_question(schemas: Sequence[str]) -> Question:
    """What `lockable_tables` asks."""
    return _LOCKABLE, (list(schemas),)


def lockable_tables(connection: Connection, schemas: Sequence[str], exclude: Sequence[str]) -> tuple[Lockable, ...]:
    """The tables of some schemas that this role may read and no pattern of ``exclude`` means, as they are now."""
    found = fetch(connection, *lockable_question(schemas))
    return tuple(
        Lockable(oid, (schema, name), partitioned)
        for oid, schema, name, partitioned in found
        if not is_excluded(schema, name, exclude)
    )


def room_for_locks(connection: Connection) -> int:
    """How many more locks on tables the readers of one run may take on a server, all together."""
    ((room,),) = fetch(connection, ROOM)
    return max(0, int(room))


def lock(tables: Sequence[Lockable]) -> sql.Composable:
    """The statement that locks some tables at once or not at all; nothing for none."""
    if not tables:
        return sql.SQL("")
    names = sql.SQL(", ").join(table.identifier for table in tables)
    return sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE NOWAIT").format(names)


def begin(connection: Connection, tables: Sequence[Lockable]) -> None:
    """Begin the transaction of a reader with its locks, in one round trip. It has no snapshot yet: LOCK takes none.

    Raises:
        psycopg2.errors.LockNotAvailable: somebody has, or waits for, a lock that stands in the way.
    """
    execute(connection, sql.SQL("; ").join([sql.SQL(BEGIN), *([lock(tables)] if tables else [])]))


@dataclass
class Reader:
    """A session in the snapshot, which may read ``table`` without waiting, or every table (None)."""

    connection: Connection
    table: TableName | None = None


class Readers:
    """The idle readers of one snapshot, for whoever needs one; every method may be called from any thread.

    Args:
        adopt: makes a session, whose transaction has just begun, see the snapshot, and sets the `MARK`.
        tables: those that were locked before the snapshot was taken.
    """

    def __init__(
        self,
        connections: Connections,
        end: Endpoint,
        adopt: Callable[[Connection], None],
        tables: Sequence[Lockable],
    ) -> None:
        self._connections, self._end, self._adopt, self._tables = connections, end, adopt, tables
        self._idle: list[Reader] = []
        self._few: int | None = None  # how many have all locks, where that is not every one
        self._changed = threading.Condition()
        self._stopped = connections.stopped()

    def add(self, connections: Sequence[Connection], locked: int) -> None:
        """Take in sessions that see the snapshot; the first ``locked`` of them have all locks, the others none."""
        for number, connection in enumerate(connections):
            self._idle.append(Reader(connection, None if number < locked else _NO_TABLE))
        if locked < len(connections):
            self._few = locked

    def take(self, table: TableName | None = None, present: Reader | None = None) -> Reader:
        """A reader of a table, or of every table (None), which is the caller's until it is given back.

        Args:
            present: one that the caller has; it is given back where another one is needed.

        Raises:
            ConnectionFailed, SnapshotLost: when a new session is needed and can't be had.
            SourceUnprotected: a new session can't lock its tables, since somebody waits for the run's end.
        """
        if present is not None:
            if not present.connection.closed and present.table in (None, table):
                return present
            self.give(present)
        if table is not None and self._few is not None and (one := self._of_one_table(table)) is not None:
            return one
        return self._of_all_tables()

    def give(self, reader: Reader) -> None:
        """Give a reader back, in whatever state; what it locked and set since it began is undone."""
        if not self._renewed(reader):
            reader.connection.close()
        with self._changed:
            if reader.connection.closed:
                if reader.table is None and self._few is not None:
                    self._few -= 1
            else:
                if reader.table is not None:
                    reader.table = _NO_TABLE
                self._idle.append(reader)
            self._changed.notify_all()

    @property
    def are_scarce(self) -> bool:
        """Whether a reader is to be given back as soon as it is not needed: others may wait for it."""
        return self._few is not None

    def close_bloated(self, reader: Reader) -> None:
        """Give back a reader whose connection holds much memory, by another one if that can be had."""
        fresh = None
        with suppress(MigrationError, psycopg2.Error):
            fresh = self._new([] if reader.table is not None else self._tables, patience=0.0)
        if fresh is None:
            self.give(reader)
            return
        reader.connection.close()
        reader.connection = fresh
        self.give(reader)

    def close(self) -> None:
        """Close the idle ones."""
        with self._changed:
            idle, self._idle = self._idle, []
        for reader in idle:
            with suppress(psycopg2.Error):
                reader.connection.close()

    def _of_one_table(self, table: TableName) -> Reader | None:
        """A reader with a lock on one table alone; None where somebody stands before it."""
        found = [locked for locked in self._tables if locked.name == table]
        with self._changed:
            reader = next((r for r in self._idle if r.table is not None), None)
            if reader is not None:
                self._idle.remove(reader)
            elif any(r.table is None for r in self._idle):
                return None
        if reader is None:
            reader = Reader(self._new([], patience=0.0), _NO_TABLE)
        try:
            execute(reader.connection, lock(found))
        except psycopg2.Error:
            self.give(reader)
            return None
        reader.table = table
        return reader

    def _of_all_tables(self) -> Reader:
        while True:
            with self._changed:
                reader = next((r for r in self._idle if r.table is None), None)
                if reader is not None:
                    self._idle.remove(reader)
                    if not reader.connection.closed:
                        return reader
                    continue
                # One is enough to go on with, and there is always one, or none.
                if self._few is None or self._few < 1:
                    if self._few is not None:
                        self._few += 1
                    break
                self._changed.wait(POLL_SECONDS)
            if self._stopped.is_set():
                raise ConnectionFailed("the work that wanted to read a table was stopped", transient=False)
        try:
            return Reader(self._new(self._tables, patience=LOCK_AGAIN_SECONDS))
        except BaseException:
            with self._changed:
                if self._few is not None:
                    self._few -= 1
                self._changed.notify_all()
            raise

    def _new(self, tables: Sequence[Lockable], patience: float) -> Connection:
        connection = self._connections.open(self._end)
        try:
            deadline = time.monotonic() + patience
            while tables and not self._begun(connection, tables):
                if time.monotonic() > deadline or self._stopped.wait(POLL_SECONDS):
                    raise SourceUnprotected(
                        f"a new session can't read the tables of the {self._end.side.value} any more, since somebody "
                        f"waits for the end of this run: "
                        f"{who_is_ahead(connection, [table.oid for table in tables])}. End that statement, and start "
                        f"the run again."
                    )
            self._adopt(connection)
        except psycopg2.Error as error:
            lost = connection.closed
            connection.close()
            if lost:
                raise lost_at_once(self._end.side, error) from None
            raise SourceUnprotected(
                f"tables of the {self._end.side.value} can't be locked: {server_message(error)}"
            ) from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _begun(self, connection: Connection, tables: Sequence[Lockable]) -> bool:
        """Whether the transaction of a new reader has begun, with its locks."""
        try:
            begin(connection, tables)
        except psycopg2.errors.LockNotAvailable:
            execute(connection, "ROLLBACK")
            return False
        return True

    def _renewed(self, reader: Reader) -> bool:
        """Whether a reader is as it was when it began."""
        connection = reader.connection
        if connection.closed:
            return False
        try:
            status = connection.info.transaction_status
            if status == TRANSACTION_STATUS_INTRANS and reader.table is None and self._tables:
                # It had locked all that it read before the mark, so nobody waits longer if this waits for its next use.
                send_ahead(connection, sql.SQL(_RETURN))
                return True
            if status == TRANSACTION_STATUS_ACTIVE:
                connection.cancel()  # a COPY that nobody reads to its end
            execute(connection, _RETURN)
        except psycopg2.Error:
            return False
        return bool(connection.info.transaction_status == TRANSACTION_STATUS_INTRANS)


# What a reader without locks may read.
_NO_TABLE: TableName = ("", "")
