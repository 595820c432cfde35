"""One point in time for every reader of the source."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.connections import Connections, lost_at_once
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.lock_waits import who_is_ahead
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import (
    ConnectionFailed,
    SnapshotLost,
    SourceChanged,
    SourceUnprotected,
    server_message,
)
from pg_migration.postgres.execution.worker_pool import WorkerPool
from pg_migration.postgres.figures import listed
from pg_migration.postgres.snapshot.readers import (
    BEGIN,
    LOCK_AGAIN_SECONDS,
    MARK,
    OTHER_READERS,
    POLL_SECONDS,
    Lockable,
    Readers,
    begin,
    room_for_locks,
)
from pg_migration.postgres.sql_files import sql_file

ATTEMPTS = 20
# Pauses between two attempts: each is longer than the one before, up to the last.
FIRST_PAUSE_SECONDS, PAUSE_GROWTH, LONGEST_PAUSE_SECONDS = 0.02, 1.4, 3.0

# The last column names the server's life since it last recovered: as long as it stays the same, no commit was lost and
# no transaction id given out twice. A postmaster keeps its start time through the crash of a session, after which it
# recovers as well; it then counts its statistics anew (PostgreSQL docs: "The Cumulative Statistics System").
_DESCRIBE = """
SELECT {}txid_snapshot_xmin(txid_current_snapshot()), txid_snapshot_xmax(txid_current_snapshot()),
       format('postmaster of %s, statistics of %s, database %s', pg_postmaster_start_time(),
              (SELECT stats_reset FROM pg_stat_bgwriter),
              (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
_EXPORT = _DESCRIBE.format("pg_export_snapshot(), transaction_timestamp(), ")

# Which of some tables somebody is about to empty or to alter, or does so at this moment.
_BUSY = """
SELECT DISTINCT l.relation::pg_catalog.int8 FROM pg_catalog.pg_locks l
 WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.relation = ANY (%s::pg_catalog.oid[])
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
"""

_NAMES = """
SELECT c.oid::pg_catalog.int8, n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
   AND n.oid IN (SELECT o.relnamespace FROM pg_catalog.pg_class o WHERE o.oid = ANY (%s::pg_catalog.oid[]))
"""

ListTables = Callable[[Connection], Sequence[Lockable]]
"""Which tables of a side to protect, as they are now."""


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot and the connection whose transaction keeps it alive.

    PostgreSQL docs: "Snapshot Synchronization Functions". The holder does nothing else, so that nothing can abort it.

    Every transaction with an id below ``xmin`` had ended when the snapshot was taken, and none with an id from ``xmax``
    on had begun; both count in 64 bits. ``server`` is the same as long as such numbers of one database can be compared.
    ``tables`` stay as they are in the snapshot, but for rows; ``readers`` read them. What is ``emptied`` looks
    empty in it, as somebody has emptied or rewritten it since, which can happen in a slot's snapshot only.
    """

    name: str
    taken_at: datetime
    xmin: int
    xmax: int
    server: str
    holder: Connection
    readers: Readers
    side: Side = Side.SOURCE
    tables: Sequence[Lockable] = ()
    emptied: frozenset[TableName] = frozenset()

    @classmethod
    def take(cls, connections: Connections, end: Endpoint, shared: bool = True) -> "Snapshot":
        """Export a snapshot of one side, in which no table is protected; it lives as long as ``connections``.

        Args:
            shared: whether several sessions may read it; else its holder is the only reader, and it is not exported.

        Raises:
            ConnectionFailed: when that side can't be reached.
        """
        holder = connections.open(end)
        if shared:
            return cls._of(connections, end, holder, ())
        query = _DESCRIBE.format("'', transaction_timestamp(), ")
        ((name, taken_at, xmin, xmax, server),) = fetch(holder, f"{BEGIN}; {MARK}; {query}")
        readers = Readers(connections, end, _sight(name, taken_at, end.side), ())
        readers.add([holder], 1)
        return cls(name, taken_at, xmin, xmax, server, holder, readers, end.side)

    @classmethod
    def of_slot(
        cls,
        connections: Connections,
        end: Endpoint,
        exported: str,
        adopted: Callable[[], object],
        planner: Connection,
        list_tables: ListTables,
        readers: int,
    ) -> "Snapshot":
        """Take over the snapshot of a replication slot, and lock the tables after that, as no slot can be made then.

        What somebody empties in between looks empty in the snapshot; that is told, and the slot has it, too.

        Args:
            exported: by which name its maker has exported it.
            adopted: called as soon as that is not needed any more.
            planner, list_tables, readers: as for `Protected.of`.

        Raises:
            ConnectionFailed: when that side can't be reached.
            SnapshotLost: when the maker is gone.
            SourceChanged: tables were made, dropped or altered in between, or others emptied them too often.
            SourceUnprotected: as for `Protected.of`.
        """
        keeper = connections.open(end)
        _see(keeper, exported, datetime.now(timezone.utc), end.side, exports=True)
        kept = cls._of(connections, end, keeper, ())
        adopted()
        protected = Protected.of(connections, end, planner, list_tables, readers)
        sessions, tables = protected.sessions, protected.tables
        _see(sessions.holder, kept.name, kept.taken_at, end.side, exports=True)
        snapshot = cls._of(connections, end, sessions.holder, tables)
        keeper.close()
        sessions.all_see(snapshot.adopt)
        now = connections.open(end)
        try:
            emptied = _emptied(planner, now, list_tables, tables)
        finally:
            now.close()
        snapshot.readers.add(sessions.readers, sessions.locked)
        return replace(snapshot, emptied=emptied)

    @classmethod
    def borrow(
        cls,
        connections: Connections,
        source: Endpoint,
        shared: "SharedSnapshot",
        planner: Connection,
        list_tables: ListTables,
        readers: int,
    ) -> "Snapshot":
        """The snapshot that another process has exported, and still holds, with readers of one's own.

        Args:
            planner, list_tables, readers: as for `Protected.of`.

        Raises:
            ConnectionFailed: when the source can't be reached.
            SnapshotLost: when it is not held any more.
            SourceUnprotected: somebody waits for one of the tables already, and so for the end of the other process.
        """
        sessions, tables = _Sessions.open(connections, source, planner, readers), list_tables(planner)
        deadline = time.monotonic() + LOCK_AGAIN_SECONDS
        while sessions.lock(tables) is not None:
            if time.monotonic() > deadline:
                raise SourceUnprotected(
                    f"this run can't read the {source.side.value} beside the run whose snapshot it is to use, since "
                    f"somebody waits for the end of that one: "
                    f"{who_is_ahead(planner, [table.oid for table in tables])}"
                )
            time.sleep(POLL_SECONDS)
        see = _sight(shared.name, shared.taken_at, source.side)
        see(sessions.holder)
        sessions.all_see(see)
        ((xmin, xmax, server),) = fetch(sessions.holder, _DESCRIBE.format(""))
        made = Readers(connections, source, see, tables)
        made.add(sessions.readers, sessions.locked)
        return cls(shared.name, shared.taken_at, xmin, xmax, server, sessions.holder, made, source.side, tuple(tables))

    @classmethod
    def _of(cls, connections: Connections, end: Endpoint, holder: Connection, tables: Sequence[Lockable]) -> "Snapshot":
        """The snapshot that a session takes now, in its transaction if that has begun."""
        idle = holder.info.transaction_status == TRANSACTION_STATUS_IDLE
        ((name, taken_at, xmin, xmax, server),) = fetch(holder, f"{BEGIN}; {_EXPORT}" if idle else _EXPORT)
        readers = Readers(connections, end, _sight(name, taken_at, end.side), tables)
        return cls(name, taken_at, xmin, xmax, server, holder, readers, end.side, tuple(tables))

    def release(self) -> None:
        """Let the snapshot go, and with it what is locked for it."""
        self.readers.close()
        self.holder.close()

    def adopt(self, connection: Connection) -> None:
        """Make a session see exactly this snapshot, read only, and begin its transaction if that has not begun.

        Raises:
            ConnectionFailed: when ``connection`` is lost.
            SnapshotLost: when the holder's transaction has ended.
        """
        _see(connection, self.name, self.taken_at, self.side)


@dataclass(frozen=True)
class Protected:
    """Tables of one side that every session which is to read them has locked, before there is a snapshot of them."""

    connections: Connections
    end: Endpoint
    tables: Sequence[Lockable]
    sessions: "_Sessions"

    @classmethod
    def of(
        cls, connections: Connections, end: Endpoint, planner: Connection, list_tables: ListTables, readers: int
    ) -> "Protected":
        """Lock the tables of one side in every session that is to read them, at one moment.

        After a TRUNCATE or an ALTER TABLE that rewrites it, a table looks empty to older snapshots (PostgreSQL docs:
        MVCC, "Caveats"), and the copy would be, too. A lock makes such commands wait, as pg_dump does. The snapshot is
        to be taken after the locks, so that nothing can come between.

        Args:
            planner: a session of that side which sees the snapshot afterwards; in no transaction.
            list_tables: what to lock, asked anew at each attempt.
            readers: how many sessions will read tables at once; fewer are made where the server has no more.

        Raises:
            ConnectionFailed: when that side can't be reached.
            SourceChanged: others emptied or altered the tables too often; another moment may be luckier.
            SourceUnprotected: the tables can't be locked, such as when there are more than the server has locks for.
        """
        sessions = _Sessions.open(connections, end, planner, readers)
        found, pause = Counter[str](), FIRST_PAUSE_SECONDS
        for _ in range(ATTEMPTS):
            tables = list_tables(planner)
            if (refusal := sessions.lock(tables)) is None:
                return cls(connections, end, tables, sessions)
            found[_wait_for_the_next(planner, tables) or refusal] += 1
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * PAUSE_GROWTH, LONGEST_PAUSE_SECONDS)
        sessions.close()
        often = ", ".join(f"{table} ({times} times)" for table, times in found.most_common(5))
        raise SourceChanged(
            f"others empty or alter tables of the {end.side.value} so often that {ATTEMPTS} attempts to lock all of "
            f"them at one moment failed, because of {often}. Stop what does that for a moment, or leave the table out "
            f"(exclude_tables), and start the run again."
        )

    def take(self) -> Snapshot:
        """The snapshot of this moment, which all of the sessions see from now on."""
        sessions = self.sessions
        snapshot = Snapshot._of(self.connections, self.end, sessions.holder, self.tables)
        sessions.all_see(snapshot.adopt)
        snapshot.readers.add(sessions.readers, sessions.locked)
        return snapshot

    def release(self) -> None:
        """Let the tables go, without a snapshot."""
        self.sessions.close()
        execute(self.sessions.planner, "ROLLBACK")


@dataclass(frozen=True)
class SharedSnapshot:
    """What the ledger says of the snapshot that a run holds."""

    name: str
    taken_at: datetime


class _Sessions:
    """The sessions that are to lock the same tables at one moment."""

    def __init__(self, pool: WorkerPool, holder: Connection, planner: Connection, readers: list[Connection]) -> None:
        self._pool, self.holder, self.planner, self.readers = pool, holder, planner, readers
        self.locked = 0  # so many of the readers, from the first on, have the locks

    @classmethod
    def open(cls, connections: Connections, end: Endpoint, planner: Connection, readers: int) -> "_Sessions":
        """Open all of them at once; of the readers as many as the server has connections for, but one at least."""

        def opened(_: int) -> Connection | ConnectionFailed:
            try:
                return connections.open(end)
            except ConnectionFailed as refusal:
                return refusal

        found = connections.pool("open").map(opened, range(1 + max(1, readers)))
        made = [connection for connection in found if not isinstance(connection, ConnectionFailed)]
        if len(made) < 2:
            raise next(refusal for refusal in found if isinstance(refusal, ConnectionFailed))
        return cls(connections.pool("lock"), made[0], planner, made[1:])

    def lock(self, tables: Sequence[Lockable]) -> str | None:
        """Begin the transactions of all, each with all tables locked where there is room for that; a name of what
        stands in the way, if anything does, and none has begun then."""
        # The holder and the planner lock everything in any case, and one reader at least.
        room = room_for_locks(self.planner) // max(1, len(tables)) - OTHER_READERS
        self.locked = max(1, min(room, len(self.readers)))
        ends = [self.holder, self.planner, *self.readers]
        wanted = [tables if number < OTHER_READERS + self.locked else () for number in range(len(ends))]
        begun = self._pool.map(lambda pair: _begin(*pair), zip(ends, wanted, strict=True))
        refusals = [refusal for refusal in begun if refusal is not None]
        if not refusals:
            return None
        for end in ends:
            execute(end, "ROLLBACK")
        for refusal in refusals:
            if not isinstance(refusal, _ANOTHER_TIME):
                raise SourceUnprotected(
                    f"the source's tables can't be protected from being changed during the run: "
                    f"{server_message(refusal)}"
                ) from None
        return server_message(refusals[0])

    def all_see(self, see: Callable[[Connection], None]) -> None:
        """Have the planner and the readers see a snapshot."""
        self._pool.map(see, [self.planner, *self.readers])

    def close(self) -> None:
        """Close all but the planner."""
        for connection in (self.holder, *self.readers):
            connection.close()


# What is refused at one moment, and may be granted at the next; a table was dropped since it was listed.
_ANOTHER_TIME = (
    psycopg2.errors.LockNotAvailable,
    psycopg2.errors.UndefinedTable,
    psycopg2.errors.InvalidSchemaName,
    psycopg2.errors.DeadlockDetected,
)


def _begin(connection: Connection, tables: Sequence[Lockable]) -> psycopg2.Error | None:
    try:
        begin(connection, tables)
    except psycopg2.Error as refusal:
        if connection.closed:
            raise
        return refusal
    return None


def _wait_for_the_next(connection: Connection, tables: Sequence[Lockable]) -> str | None:
    """Wait until one of the tables that others have locked, or are about to lock, is free; which one.

    With no other lock in hand, so that whoever has it can't wait for us.
    """
    by_oid = {table.oid: table for table in tables}
    busy = fetch(connection, _BUSY, (list(by_oid),))
    if not busy:
        return None
    table = by_oid[busy[0][0]]
    wait = sql.SQL("BEGIN; LOCK TABLE {} IN ACCESS SHARE MODE; COMMIT").format(table.identifier)
    try:
        execute(connection, wait)
    except psycopg2.Error as refusal:
        if not connection.closed:
            execute(connection, "ROLLBACK")
        if not isinstance(refusal, _ANOTHER_TIME[1:]):
            raise
    return ".".join(table.name)


def _emptied(
    seeing: Connection, now: Connection, list_tables: ListTables, locked: Sequence[Lockable]
) -> frozenset[TableName]:
    """Which tables were emptied between a snapshot and the locks on them.

    Args:
        seeing: a session that sees the snapshot.
        now: one that sees what is there now.

    Raises:
        SourceChanged: others are there, or are made otherwise.
    """
    there = {table.oid: table.name for table in locked}
    seen = {table.oid: table.name for table in list_tables(seeing)}
    # Of what was dropped since nobody has a privilege any more, so that it is not listed.
    in_schemas = [
        {oid: (schema, name) for oid, schema, name in fetch(end, _NAMES, (list(there),))} for end in (seeing, now)
    ]
    dropped = {(oid, name) for oid, name in in_schemas[0].items() if oid not in in_schemas[1]}
    if others := (seen.items() ^ there.items()) | dropped:
        names = listed(sorted({".".join(name) for _, name in others}))
        raise SourceChanged(f"tables of the source were made, dropped or renamed meanwhile: {names}. {_AGAIN}")
    query = sql_file("snapshot/table_states.sql")
    then, since = ({oid: rest for oid, *rest in fetch(end, query, {"tables": list(there)})} for end in (seeing, now))
    altered = [oid for oid, (_, *made) in then.items() if oid not in since or since[oid][1:] != made]
    if altered:
        names = listed(sorted(".".join(there[oid]) for oid in altered))
        raise SourceChanged(f"tables of the source were altered meanwhile: {names}. {_AGAIN}")
    return frozenset(there[oid] for oid, (file, *_) in then.items() if since[oid][0] != file)


_AGAIN = "What the snapshot sees of them can't be told from what changed since. Start the run again."


def _sight(name: str, taken_at: datetime, side: Side) -> Callable[[Connection], None]:
    return lambda connection: _see(connection, name, taken_at, side)


def _see(connection: Connection, name: str, taken_at: datetime, side: Side, exports: bool = False) -> None:
    """Have a session see a snapshot; one that ``exports`` it again can't have a savepoint to return to."""
    try:
        idle = connection.info.transaction_status == TRANSACTION_STATUS_IDLE
        steps = [*([BEGIN] if idle else ()), "SET TRANSACTION SNAPSHOT {}", *([] if exports else [MARK])]
        execute(connection, sql.SQL("; ".join(steps)).format(sql.Literal(name)))
    except psycopg2.Error as error:
        if connection.closed:
            raise lost_at_once(side, error) from None
        raise SnapshotLost(
            f"the {side.value}'s snapshot {name} of {taken_at:%Y-%m-%d %H:%M:%S} UTC can't be read any more "
            f"({' '.join(str(error).split())}): the session that held it was ended, or the reader reached another "
            f"server. Start the run again; it takes a new snapshot."
        ) from None
