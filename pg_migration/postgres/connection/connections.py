"""Connections that behave the same on every server, and that can be interrupted from outside."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType, TracebackType
from typing import TypeVar
from weakref import WeakSet

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import TRANSACTION_STATUS_ACTIVE, TRANSACTION_STATUS_IDLE, make_dsn
from psycopg2.extensions import connection as Connection
from psycopg2.extras import LogicalReplicationConnection

from pg_migration.postgres.connection import literals
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.poolers import check_own_session
from pg_migration.postgres.connection.session_settings import pin, pin_own
from pg_migration.postgres.connection.statements import execute, gathered
from pg_migration.postgres.errors import ConnectionFailed, server_message
from pg_migration.postgres.execution.worker_pool import WorkerPool

literals.set_up()

Result = TypeVar("Result")


CONNECT_TIMEOUT_SECONDS = 15

# What servers say when they, a role or a database have no connection left.
FULL_REFUSALS = ("too many", "remaining connection slots", "no more connections allowed")

# What libpq and servers say when nobody listens, while they start or stop, when they are full, or the network fails.
TRANSIENT_REFUSALS = (
    *FULL_REFUSALS,
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "No route to host",
    "No such file or directory",
    "timeout expired",
    "server closed the connection",
    "starting up",
    "shutting down",
    "recovery mode",
    "not yet accepting connections",
)


class Connections:
    """The open connections of one piece of work.

    Leaving the ``with`` block cancels whatever still runs on the servers and closes every connection, also when the
    block is left by an interrupt: Dagster's terminate can't reach a thread that waits inside libpq, but a cancel
    request to the server can.

    ``meanwhile`` is called a few times a second by every thread that waits for the work to be done.
    """

    def __init__(self, application_name: str = "pg_migration") -> None:
        self._application_name = application_name
        self._open: list[Connection] = []
        self._lock = threading.Lock()
        self._closed = False
        self._stopped_by_cancel: WeakSet[threading.Event] = WeakSet()
        self._looked_at: set[Endpoint] = set()
        self._kept: list[tuple[Endpoint, Connection]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def __enter__(self) -> "Connections":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(
        self,
        endpoint: Endpoint,
        application_name: str | None = None,
        then: sql.Composable | str | bytes | None = None,
    ) -> Connection:
        """Connect with pinned settings, in autocommit mode.

        Args:
            application_name: by default that of all, or what the endpoint says.
            then: a statement to be run at once.

        Raises:
            ConnectionFailed: with libpq's reason, the side and the address, without the password.
            SessionsShared: a pooler stands between, and keeps no session for a client.
        """
        if application_name is None and (kept := self._kept_for(endpoint, then)) is not None:
            return kept
        named = {"application_name": application_name} if application_name else {}
        connection = connect(endpoint, self._application_name, named)
        with self._lock:
            if self._closed:
                connection.close()
                reason = f"the work that wanted a connection to the {endpoint.side.value} was stopped"
                raise ConnectionFailed(reason, transient=False)
            self._open.append(connection)
        try:
            # Once for each end before anything is set: behind some poolers it would be set for others.
            known = endpoint in self._looked_at
            pinned = not known and pin_own(connection)
            if not (known or pinned):
                check_own_session(connection, endpoint, lambda: connect(endpoint, self._application_name, named))
            self._looked_at.add(endpoint)
            with gathered(connection):
                if not pinned:
                    pin(connection)
                if then is not None:
                    execute(connection, then)
        except psycopg2.Error as error:
            if not connection.closed:
                raise
            raise lost_at_once(endpoint.side, error) from None
        return connection

    def open_walsender(self, endpoint: Endpoint) -> Connection:
        """A session of a database that speaks the replication protocol, beside SQL.

        Raises:
            ConnectionFailed: as `open`; a role without REPLICATION is refused, and so is everybody by a pooler.
        """
        connection = connect(endpoint, self._application_name, factory=LogicalReplicationConnection)
        with self._lock:
            if self._closed:
                connection.close()
                raise ConnectionFailed("the work that wanted a replication slot was stopped", transient=False)
            self._open.append(connection)
        return connection

    def keep(self, connection: Connection, endpoint: Endpoint) -> None:
        """Keep a session that nobody needs now for whoever asks for the next one: to connect takes several round trips.

        It is as good as a new one where the server can set back all that was set in it.
        """
        usable = not connection.closed and connection.info.transaction_status == TRANSACTION_STATUS_IDLE
        # psycopg2 does not notice that an encoding was set back.
        if usable and connection.encoding == "UTF8":
            with self._lock:
                self._kept.append((endpoint, connection))
        else:
            connection.close()

    def _kept_for(self, endpoint: Endpoint, then: sql.Composable | str | bytes | None) -> Connection | None:
        with self._lock:
            found = next((kept for kept in self._kept if kept[0] == endpoint), None)
            if found is None or self._closed:
                return None
            self._kept.remove(found)
        _, connection = found
        try:
            with gathered(connection):
                execute(connection, "RESET ALL")
                pin(connection)
                if then is not None:
                    execute(connection, then)
        except psycopg2.Error:
            connection.close()
            return None
        return connection

    def run(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` in a thread and wait for it in such a way that signals still reach the caller."""
        (result,) = self.pool("call").map(lambda call: call(), [work])
        return result

    def pool(self, name: str) -> WorkerPool:
        """Workers that use these connections."""
        return WorkerPool(name, self.cancel, lambda: self.meanwhile())

    def stopped(self) -> threading.Event:
        """A new event, which the next `cancel` sets: for work that would otherwise begin a further statement."""
        event = threading.Event()
        with self._lock:
            self._stopped_by_cancel.add(event)
        return event

    def processes(self) -> list[int]:
        """The servers' processes behind the connections that are open."""
        with self._lock:
            return [c.info.backend_pid for c in self._open if not c.closed]

    def cancel(self) -> None:
        """Ask the servers to stop whatever statement runs on any of the connections.

        Each request is a connection of its own, which psycopg2 lets every other thread wait for.
        """
        with self._lock:
            connections = [
                c for c in self._open if not c.closed and c.info.transaction_status == TRANSACTION_STATUS_ACTIVE
            ]
            stopped = list(self._stopped_by_cancel)
            self._stopped_by_cancel.clear()
        for event in stopped:
            event.set()
        for connection in connections:
            # A backend that is gone needs no cancelling.
            with suppress(psycopg2.Error):
                connection.cancel()

    def close(self) -> None:
        """Cancel and close everything; a connection asked for later is refused."""
        with self._lock:
            self._closed = True
        self.cancel()
        with self._lock:
            connections, self._open = self._open, []
        for connection in connections:
            with suppress(psycopg2.Error):
                connection.close()


def connect(
    endpoint: Endpoint,
    application_name: str,
    parameters: Mapping[str, str] = MappingProxyType({}),
    factory: type[Connection] | None = None,
) -> Connection:
    """Open one autocommit connection with keepalives.

    Args:
        application_name: where the endpoint names none.
        parameters: whatever the endpoint says.
        factory: of which kind; by default an ordinary one.

    Raises:
        ConnectionFailed: as `Connections.open`.
    """
    defaults = {
        "application_name": application_name,
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "6",
        "connect_timeout": str(CONNECT_TIMEOUT_SECONDS),
        "client_encoding": "UTF8",
    }
    try:
        conninfo = make_dsn(**{**defaults, **endpoint.parameters, **parameters})
        connection: Connection = psycopg2.connect(conninfo, connection_factory=factory)
    except psycopg2.Error as error:
        reason = endpoint.scrub(" ".join(str(error).split()))
        raise ConnectionFailed(
            f"can't connect to the {endpoint.side.value} database {endpoint.description}: {reason}. "
            f"{_advice(endpoint.side, reason)}",
            transient=any(sign in reason for sign in TRANSIENT_REFUSALS),
            full=any(sign in reason for sign in FULL_REFUSALS),
        ) from None
    if factory is None:  # others commit by themselves
        connection.autocommit = True
    return connection


def _advice(side: Side, reason: str) -> str:
    # libpq's words for what happens before anybody is asked for a password; it has no codes for them.
    if "pg_hba.conf" not in reason and ("SSL" in reason or "certificate" in reason):
        return f"Check sslmode, sslrootcert, sslcert and sslkey in the {side.value} URL."
    return f"Check host, port, database, user and password in the {side.value} URL, and that the server is up."


def lost_at_once(side: Side, error: psycopg2.Error) -> ConnectionFailed:
    """That a connection was lost before it could be used."""
    return ConnectionFailed(f"the {side.value} ended a connection that had just been made: {server_message(error)}")
