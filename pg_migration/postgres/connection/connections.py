"""Connections that behave the same on every server, and that can be interrupted from outside."""

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TypeVar
from weakref import WeakSet

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn

from pg_migration.postgres.connection import literals
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.poolers import check_own_session
from pg_migration.postgres.connection.session_settings import pin
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
        self.meanwhile: Callable[[], None] = lambda: None

    def __enter__(self) -> "Connections":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, endpoint: Endpoint) -> Connection:
        """Connect with pinned settings, in autocommit mode.

        Raises:
            ConnectionFailed: with libpq's reason, the side and the address, without the password.
            SessionsShared: a pooler stands between, and keeps no session for a client.
        """
        connection = connect(endpoint, self._application_name)
        with self._lock:
            if self._closed:
                connection.close()
                reason = f"the work that wanted a connection to the {endpoint.side.value} was stopped"
                raise ConnectionFailed(reason, transient=False)
            self._open.append(connection)
        try:
            # Before anything is set: behind some poolers it would be set for others. Once for each end.
            if endpoint not in self._looked_at:
                check_own_session(connection, endpoint, lambda: connect(endpoint, self._application_name))
                self._looked_at.add(endpoint)
            pin(connection)
        except psycopg2.Error as error:
            if not connection.closed:
                raise
            raise lost_at_once(endpoint.side, error) from None
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
        """Ask the servers to stop whatever statement runs on any of the connections."""
        with self._lock:
            connections = [c for c in self._open if not c.closed]
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


def connect(endpoint: Endpoint, application_name: str) -> Connection:
    """Open one autocommit connection with keepalives.

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
        connection: Connection = psycopg2.connect(make_dsn(**{**defaults, **endpoint.parameters}))
    except psycopg2.Error as error:
        reason = endpoint.scrub(" ".join(str(error).split()))
        raise ConnectionFailed(
            f"can't connect to the {endpoint.side.value} database {endpoint.description}: {reason}. "
            f"{_advice(endpoint.side, reason)}",
            transient=any(sign in reason for sign in TRANSIENT_REFUSALS),
            full=any(sign in reason for sign in FULL_REFUSALS),
        ) from None
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
