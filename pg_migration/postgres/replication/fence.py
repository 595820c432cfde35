"""Keep everybody from writing to some tables for a limited time, and let nobody through who has waited.

EXCLUSIVE locks let readers go on and have writers wait; they are the only fence, as a session may override every
setting. They end by themselves: the server ends the session that holds them when the time is over and nothing was heard
of this program, which may be dead or stand still; this program gives them up then while it waits for something else.
PostgreSQL docs: "Explicit Locking"; idle_in_transaction_session_timeout.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.lock_waits import Wanted, who_is_ahead
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import MigrationError, server_message
from pg_migration.postgres.figures import listed
from pg_migration.postgres.replication.structure import FoundTable
from pg_migration.postgres.roles.reach import quoted
from pg_migration.postgres.sql_files import sql_file

# While LOCK waits for one table, who writes to the others waits for it; a transaction that has written to the former,
# and comes to one of the latter, is in a deadlock with it. So the locks are first taken only if nobody has to wait for
# them, then for less time than after which a server looks for deadlocks, and only then for longer.
AT_ONCE, AT_ONCE_PAUSE_SECONDS = 20, 0.01
SHORT, SHORT_PAUSE_SECONDS = 6, 0.3
LONG, LONG_PAUSE_SECONDS, LONG_SECONDS = 3, 1.0, 5.0
SHARE_OF_DEADLOCK_TIMEOUT = 0.7
# How often to look what is waited for.
AWAITED_SECONDS = 0.02
# How long sessions that were told to end may take.
ENDING_SECONDS = 5.0
POLL_SECONDS = 0.005
# The server gives the locks up so much later than this program would.
GRACE_SECONDS = 1.0

_DEADLOCK_TIMEOUT = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'"

_AT_ANOTHER_TIME = (
    psycopg2.errors.LockNotAvailable,
    psycopg2.errors.QueryCanceled,
    psycopg2.errors.DeadlockDetected,
)


class FenceLost(MigrationError):
    """Writers are not kept waiting any more: the time is over, or the server ended the session with the locks."""


class Fence:
    """The locks on some tables of one database. `lock` begins it, `release` ends it, whatever has happened."""

    def __init__(
        self,
        connections: Connections,
        end: Endpoint,
        tables: Sequence[FoundTable],
        seconds: float,
        key: int | None = None,
    ) -> None:
        """
        Args:
            tables: what nobody is to write to.
            seconds: how long writers may be kept waiting.
            key: an advisory lock that is had as long, shared: whoever gets it alone knows that nobody is kept.
        """
        self._end, self._tables, self._seconds, self._key = end, tables, seconds, key
        self._holder, self._observer = connections.open(end), connections.open(end)
        self._pid = self._holder.info.backend_pid
        self._began: float | None = None
        self._ended: float | None = None
        self._longest = 0.0
        self._timer: threading.Timer | None = None
        self._expired = threading.Event()

    @property
    def processes(self) -> list[int]:
        """The server's processes that belong to the fence."""
        return [c.info.backend_pid for c in (self._holder, self._observer) if not c.closed]

    @property
    def waited(self) -> float:
        """How long writers have been waiting; at most, where the locks were not to be had."""
        return self._longest if self._began is None else (self._ended or time.monotonic()) - self._began

    @property
    def left(self) -> float:
        """How long they may wait yet."""
        return max(0.0, self._seconds - self.waited)

    def lock(
        self,
        stopped: threading.Event,
        give_up: Callable[[], object],
        ready: Callable[[], object],
        step_back: Callable[[], object],
    ) -> float:
        """Lock all tables; how long that took.

        Args:
            stopped: ends the wait when it is set.
            give_up: called from another thread when the time is over: is to stop what the caller waits for.
            ready: called before each attempt: to lock what is to be read while others wait.
            step_back: called after an attempt in vain: to let that go, so that who waits for it gets on.

        Raises:
            MigrationError: they were not to be had, naming who has them, or somebody stopped it; nobody waits any more.
        """
        ready()
        attempts = self._attempts()
        while True:
            seconds, pause = attempts.pop(0)
            self._began = time.monotonic()
            if (refusal := self._try(seconds, stopped)) is not None:
                self._longest = max(self._longest, self.waited if seconds else 0.0)
                self._began, in_the_way = None, "" if stopped.is_set() else self._in_the_way()
                execute(self._holder, "ROLLBACK")
                if seconds:
                    step_back()
                if stopped.wait(0 if not attempts else pause):
                    raise MigrationError(f"the wait for the locks of the {self._end.side.value} was stopped")
                if not attempts:
                    raise MigrationError(
                        f"the tables of the {self._end.side.value} could not be locked, in {LONG} attempts of "
                        f"{seconds:g} s each at last ({server_message(refusal)}); they are in use by {in_the_way}. "
                        f"Wait until that has ended, or end it, and start again"
                    ) from None
                if seconds:
                    ready()
            else:
                break
        took = self.waited
        self._timer = threading.Timer(self.left, self._expire, (give_up,))
        self._timer.daemon = True
        self._timer.start()
        return took

    def _attempts(self) -> list[tuple[float, float]]:
        """How long each attempt waits, and the pause after it."""
        ((deadlock_timeout,),) = fetch(self._observer, _DEADLOCK_TIMEOUT)
        short = min(LONG_SECONDS, float(deadlock_timeout) / 1000 * SHARE_OF_DEADLOCK_TIMEOUT)
        waits = [*[(0.0, AT_ONCE_PAUSE_SECONDS)] * AT_ONCE, *[(short, SHORT_PAUSE_SECONDS)] * SHORT]
        return [*waits, *[(min(LONG_SECONDS, self._seconds), LONG_PAUSE_SECONDS)] * LONG]

    def _try(self, seconds: float, stopped: threading.Event) -> psycopg2.Error | None:
        """Lock all tables within so long; why not, where they were not to be had.

        The table that was waited for comes first the next time: applications that write to it first, and to the others
        later, do not then meet locks that this has taken already.
        """
        awaited: int | None = None
        with ThreadPoolExecutor(1) as pool:
            locking = pool.submit(execute, self._holder, self._begin(seconds))
            while not wait([locking], AWAITED_SECONDS).done:
                if stopped.is_set():
                    self._holder.cancel()
                rows = fetch(self._observer, sql_file("replication/queries/awaited_lock.sql"), {"pid": self._pid})
                awaited = rows[0][0] if rows else awaited
        try:
            locking.result()
        except _AT_ANOTHER_TIME as refusal:
            self._tables = sorted(self._tables, key=lambda found: found.table.oid != awaited)
            return refusal
        return None

    def _begin(self, seconds: float) -> sql.Composable:
        names = sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(*t.table.name)) for t in self._tables)
        lock = sql.SQL("; LOCK TABLE {} IN EXCLUSIVE MODE{}").format(names, sql.SQL("" if seconds else " NOWAIT"))
        shared = sql.SQL("; SELECT pg_catalog.pg_advisory_xact_lock_shared({})").format(sql.Literal(self._key))
        return sql.SQL(
            "BEGIN READ WRITE; SET LOCAL statement_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = {}{}{}"
        ).format(
            sql.Literal(_ms(seconds)),
            sql.Literal(_ms(self._seconds + GRACE_SECONDS)),
            shared if self._key is not None else sql.SQL(""),
            lock if self._tables else sql.SQL(""),
        )

    def check(self) -> None:
        """Make sure that nobody can have written since `lock`.

        Raises:
            FenceLost: somebody may have.
        """
        self._hear(self.left + GRACE_SECONDS)

    def keep(self) -> None:
        """Keep the locks until `release`, however long that takes.

        Raises:
            FenceLost: somebody may have written since `lock`.
        """
        self._hear(0.0)
        assert self._timer is not None, "lock() starts it"
        self._timer.cancel()
        if self._expired.is_set():
            raise FenceLost(self._too_long)

    def release(self) -> None:
        """Let writers go on; does nothing where they do already."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in (self._holder, self._observer):
            with suppress(psycopg2.Error):
                connection.close()
        self._ended = self._ended or time.monotonic()

    def _hear(self, seconds: float) -> None:
        """Have the server wait so long for the next word of this program; 0 for ever."""
        if self._expired.is_set():
            raise FenceLost(self._too_long)
        statement = sql.SQL("SET LOCAL idle_in_transaction_session_timeout = {}")
        try:
            execute(self._holder, statement.format(sql.Literal(_ms(seconds))))
        except psycopg2.Error as error:
            if self._expired.is_set():
                raise FenceLost(self._too_long) from None
            raise FenceLost(
                f"the {self._end.side.value} ended the session that kept writers waiting ({server_message(error)}), so "
                f"that they may have gone on"
            ) from None

    @property
    def _too_long(self) -> str:
        return f"it took longer than writers may be kept waiting ({self._seconds:g} s)"

    def _expire(self, give_up: Callable[[], object]) -> None:
        self._expired.set()
        with suppress(psycopg2.Error):
            self._holder.close()
        self._ended = self._ended or time.monotonic()
        give_up()

    def _in_the_way(self) -> str:
        tables = [found.table.oid for found in self._tables]
        return who_is_ahead(self._observer, tables, Wanted.EXCLUSIVE, self.processes, granted=True)


@dataclass(frozen=True)
class Client:
    """A session of somebody else; ``writes``: it has written in its transaction, or waits for a lock."""

    pid: int
    described: str
    may_be_ended: bool
    writes: bool
    since: object

    def __str__(self) -> str:
        return self.described


def clients(connection: Connection, ours: Sequence[int]) -> Sequence[Client]:
    """The sessions of this database but for ours (pids)."""
    own = [*ours, connection.info.backend_pid]
    rows = fetch(connection, sql_file("replication/queries/sessions.sql"), {"ours": own})
    return [Client(*row) for row in rows]


@dataclass(frozen=True)
class Ended:
    """How many sessions were ended, and which could not be: this role may not, or they do not end."""

    sessions: int
    left: Sequence[Client]


def end_clients(connection: Connection, ours: Sequence[int]) -> Ended:
    """End the sessions that are there now, but for ours, and wait until they are gone; who comes later may stay."""
    present = clients(connection, ours)
    for client in present:
        if client.may_be_ended:
            with suppress(psycopg2.errors.InsufficientPrivilege):  # who it is may have changed since
                fetch(connection, "SELECT pg_catalog.pg_terminate_backend(%s)", (client.pid,))
    deadline = time.monotonic() + ENDING_SECONDS
    while True:
        now = {(client.pid, client.since) for client in clients(connection, ours)}
        left = [client for client in present if (client.pid, client.since) in now]
        if all(not client.may_be_ended for client in left) or time.monotonic() > deadline:
            return Ended(len(present) - len(left), left)
        time.sleep(POLL_SECONDS)


def lacking_rights(connection: Connection, tables: Sequence[FoundTable], side: Side = Side.SOURCE) -> list[str]:
    """What a role lacks to be able to keep writers of a side waiting, and end their sessions: each with what to do."""
    oids = [found.table.oid for found in tables]
    rows = fetch(connection, sql_file("replication/queries/cutover_rights.sql"), {"tables": oids})
    ((superuser, owns, signals, unlockable),) = rows
    role = connection.info.user
    if superuser:
        return []
    who = f"role {role} of the {side.value}"
    problems = []
    if not owns:
        problems.append(
            f"{who} is not the owner of the database, nor a member of it, and can't make it read only: ALTER DATABASE "
            f"{quoted(connection.info.dbname)} OWNER TO {quoted(role)}, or GRANT its owner's role to {quoted(role)}"
        )
    if not signals:
        problems.append(f"{who} may not end the sessions of others: GRANT pg_signal_backend TO {quoted(role)}")
    if unlockable:
        problems.append(
            f"{who} may not lock {listed(unlockable)} in EXCLUSIVE mode: GRANT UPDATE on it, or its owner's role"
        )
    return problems


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
