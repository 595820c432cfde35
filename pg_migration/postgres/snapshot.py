"""One point in time for every reader of the source."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.endpoint import Endpoint, Side
from pg_migration.postgres.errors import SnapshotLost, SourceChanged, SourceUnprotected, server_message
from pg_migration.postgres.session import Connections, execute, fetch, lost_at_once

# The last column names the server's life since it last recovered: as long as it stays the same, no commit was lost and
# no transaction id given out twice. A postmaster keeps its start time through the crash of a session, after which it
# recovers as well; it then counts its statistics anew (PostgreSQL docs: "The Cumulative Statistics System").
_DESCRIBE = """
SELECT txid_snapshot_xmin(txid_current_snapshot()), txid_snapshot_xmax(txid_current_snapshot()),
       format('postmaster of %s, statistics of %s, database %s', pg_postmaster_start_time(),
              (SELECT stats_reset FROM pg_stat_bgwriter),
              (SELECT oid FROM pg_database WHERE datname = current_database()))
"""

# The row of pg_class is the snapshot's; the function looks at what is there now.
_REWRITTEN = """
SELECT oid::regclass::text FROM pg_class
WHERE oid = ANY (%s::oid[]) AND relfilenode <> 0 AND relfilenode IS DISTINCT FROM pg_relation_filenode(oid)
ORDER BY 1
"""


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot and the connection whose transaction keeps it alive.

    PostgreSQL docs: "Snapshot Synchronization Functions". The holder does nothing else, so that nothing can abort it.

    Every transaction with an id below ``xmin`` had ended when the snapshot was taken, and none with an id from ``xmax``
    on had begun; both count in 64 bits. ``server`` is the same as long as such numbers of one database can be compared.
    """

    name: str
    taken_at: datetime
    xmin: int
    xmax: int
    server: str
    holder: Connection
    side: Side = Side.SOURCE

    @classmethod
    def take(cls, connections: Connections, end: Endpoint) -> "Snapshot":
        """Export a snapshot of one side; it lives as long as ``connections``.

        Raises:
            ConnectionFailed: when that side can't be reached.
        """
        holder = connections.open(end)
        execute(holder, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        ((xmin, xmax, server),) = fetch(holder, _DESCRIBE)
        ((name, taken_at),) = fetch(holder, "SELECT pg_export_snapshot(), transaction_timestamp()")
        return cls(name, taken_at, xmin, xmax, server, holder, end.side)

    @classmethod
    def borrow(cls, connections: Connections, source: Endpoint, name: str, taken_at: datetime) -> "Snapshot":
        """The snapshot that another process has exported, and still holds.

        Raises:
            ConnectionFailed: when the source can't be reached.
            SnapshotLost: when it is not held any more.
        """
        holder = connections.open(source)
        _adopt(holder, name, taken_at, source.side)
        ((xmin, xmax, server),) = fetch(holder, _DESCRIBE)
        return cls(name, taken_at, xmin, xmax, server, holder)

    def release(self) -> None:
        """Let the snapshot go, and with it what `protect` locked."""
        self.holder.close()

    def protect(self, tables: Sequence[Table]) -> None:
        """Keep the tables as they are in the snapshot, until the holder's transaction ends; rows may be written.

        After a TRUNCATE or an ALTER TABLE that rewrites it, a table looks empty to older snapshots (PostgreSQL docs:
        MVCC, "Caveats"), and the copy would be, too. A lock makes such commands wait, as pg_dump does; what came
        between the snapshot and the lock shows in the file that the table is stored in.

        Raises:
            SourceChanged: tables were changed in that moment; another snapshot may be luckier.
            SourceUnprotected: the tables can't be locked, such as when there are more than the server has locks for.
        """
        if not tables:
            return
        execute(self.holder, "SAVEPOINT protect")
        names = sql.SQL(", ").join(sql.SQL("ONLY ") + sql.Identifier(*table.key) for table in tables)
        try:
            execute(self.holder, sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
        except psycopg2.Error as error:
            if not self.holder.closed:
                execute(self.holder, "ROLLBACK TO SAVEPOINT protect")
            changing = isinstance(error, (psycopg2.errors.UndefinedTable, psycopg2.errors.DeadlockDetected))
            raise (SourceChanged if changing else SourceUnprotected)(
                f"the source's tables can't be protected from being changed during the run: {server_message(error)}"
            ) from None
        changed = fetch(self.holder, _REWRITTEN, ([table.oid for table in tables],))
        if changed:
            raise SourceChanged(
                f"tables of the source were truncated or rewritten while the run began: "
                f"{', '.join(name for (name,) in changed)}. Start the run again; it takes a new snapshot."
            )

    def adopt(self, connection: Connection) -> None:
        """Begin a read-only transaction on ``connection`` that sees exactly this snapshot.

        Raises:
            ConnectionFailed: when ``connection`` is lost.
            SnapshotLost: when the holder's transaction has ended.
        """
        _adopt(connection, self.name, self.taken_at, self.side)


def _adopt(connection: Connection, name: str, taken_at: datetime, side: Side) -> None:
    try:
        execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        execute(connection, sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(name)))
    except psycopg2.Error as error:
        if connection.closed:
            raise lost_at_once(side, error) from None
        raise SnapshotLost(
            f"the {side.value}'s snapshot {name} of {taken_at:%Y-%m-%d %H:%M:%S} UTC can't be read any more "
            f"({' '.join(str(error).split())}): the session that held it was ended, or the reader reached another "
            f"server. Start the run again; it takes a new snapshot."
        ) from None
