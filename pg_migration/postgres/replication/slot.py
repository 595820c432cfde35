"""A logical slot, and the snapshot of the point that it begins at.

Only the replication protocol exports that snapshot (PostgreSQL docs: CREATE_REPLICATION_SLOT). A position that was
chosen apart from the snapshot would lose changes or apply them twice.

A slot begins when every transaction that had written by then has ended. The server's statement_timeout does not bound
that wait, its lock_timeout does, as the wait is one for a lock on each transaction. Whoever makes a slot must hold no
lock on a table: a writer that waits for it would be waited for by the slot.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.lock_waits import shown_statement
from pg_migration.postgres.connection.session_settings import PINNED_SINCE, SEARCH_PATH
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import ConnectionFailed, MigrationError, NotPermitted, server_message
from pg_migration.postgres.figures import listed
from pg_migration.postgres.sql_files import sql_file

LOCK_SECONDS = 30.0
PATIENCE_SECONDS = 600.0
FAILOVER_SINCE = 170000
DECODES_ON_DEMAND_SINCE = 190000

# Whether standbys follow that may take over: a slot that is synchronized to them goes on there.
_STANDBYS = """
SELECT pg_catalog.current_setting('synchronized_standby_slots', true) <> ''
       OR EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_type = 'physical')
"""


class Log(Protocol):
    """Where it is told who is waited for."""

    def warning(self, message: str, /) -> object:
        """What people should know."""


@dataclass(frozen=True)
class SlotSnapshot:
    """The snapshot ``name`` of the consistent point of a slot.

    It can be adopted until `close`: a transaction that has adopted it keeps it, and may export it again.
    """

    slot: str
    name: str
    consistent_point: str
    walsender: Connection

    def close(self) -> None:
        """End the session that made the slot. The slot stays."""
        with suppress(psycopg2.Error):
            self.walsender.close()


def can_decode(server: Connection, wal_level: str) -> bool:
    """Whether a server with that wal_level lets slots decode: from 19 on the first one raises effective_wal_level."""
    return wal_level == "logical" or (wal_level == "replica" and server.server_version >= DECODES_ON_DEMAND_SINCE)


def make_slot(connections: Connections, source: Endpoint, name: str, log: Log) -> SlotSnapshot:
    """Make a slot; `Connections.cancel` ends the wait for it.

    Raises:
        ConnectionFailed: the source can't be reached by the replication protocol.
        NotPermitted: the role lacks REPLICATION.
        MigrationError: transactions that write did not end, or the server refused. No slot is left.
    """
    walsender, stopped = connections.open_walsender(source), connections.stopped()
    # Until the snapshot is adopted the walsender is in a transaction, and idle.
    timeouts = ["statement_timeout", "idle_in_transaction_session_timeout"]
    timeouts += [name for name, since in PINNED_SINCE.items() if walsender.server_version >= since]
    execute(walsender, sql.SQL("; ").join(sql.SQL("SET {} = 0").format(sql.Identifier(name)) for name in timeouts))
    execute(walsender, "SET lock_timeout = %s", (f"{round(LOCK_SECONDS * 1000)}ms",))
    execute(walsender, f"SET search_path = {SEARCH_PATH}")
    try:
        command, deadline = _command(walsender, name), time.monotonic() + PATIENCE_SECONDS
        while (made := _begun(walsender, name, command)) is None:
            waited_for = who_writes(walsender)
            if stopped.is_set() or time.monotonic() > deadline:
                raise MigrationError(
                    f"the source can't begin a replication slot while transactions that write are open, and these did "
                    f"not end within {PATIENCE_SECONDS / 60:.0f} minutes: {waited_for}. End them, and start again."
                )
            log.warning(f"the replication slot begins when transactions that write have ended: {waited_for}")
    except psycopg2.Error as refusal:
        problem = f"replication slot {name} can't be made in the source: {server_message(refusal)}"
        if walsender.closed:
            raise ConnectionFailed(problem) from None
        walsender.close()
        if isinstance(refusal, psycopg2.errors.InsufficientPrivilege):
            raise NotPermitted(f"{problem}. As a superuser run: ALTER ROLE ... REPLICATION") from None
        raise MigrationError(problem) from None
    except BaseException:
        walsender.close()
        raise
    return made


def _begun(walsender: Connection, name: str, command: sql.Composable) -> SlotSnapshot | None:
    """The slot; None where a transaction has not ended in time."""
    try:
        ((_, point, snapshot, _),) = fetch(walsender, command)
    except psycopg2.errors.LockNotAvailable:
        return None
    return SlotSnapshot(name, snapshot, point, walsender)


def _command(walsender: Connection, name: str) -> sql.Composable:
    form = "CREATE_REPLICATION_SLOT {} LOGICAL pgoutput EXPORT_SNAPSHOT"
    if walsender.server_version >= FAILOVER_SINCE and fetch(walsender, _STANDBYS) == [(True,)]:
        form = "CREATE_REPLICATION_SLOT {} LOGICAL pgoutput (SNAPSHOT 'export', FAILOVER true)"
    return sql.SQL(form).format(sql.Identifier(name))


def who_writes(source: Connection) -> str:
    """The transactions that have written and are open, the oldest first, for people."""
    rows: list[tuple[Any, ...]] = fetch(source, sql_file("replication/queries/writers.sql"))
    return listed(_described(*row) for row in rows) or "transactions that have ended by now"


def _described(
    pid: int | None, gid: str | None, role: str | None, program: str | None, age: float | None, statement: str | None
) -> str:
    open_for = f" for {age:,.0f} s" if age is not None else ""
    if gid is not None:
        literal = "'" + gid.replace("'", "''") + "'"
        return f"prepared transaction {literal} of role {role}{open_for} (COMMIT PREPARED or ROLLBACK PREPARED ends it)"
    who = ", ".join(part for part in (f"role {role}" if role else "", program or "") if part)
    doing = f", last statement {shown_statement(statement)}" if statement else ""
    return f"pid {pid} ({who}){open_for}{doing} (SELECT pg_terminate_backend({pid}) ends it)"
