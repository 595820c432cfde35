"""Connections that behave the same on every server, and that can be interrupted from outside."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TypeVar
from weakref import WeakSet

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn

from pg_migration.postgres import adaptation
from pg_migration.postgres.endpoint import Endpoint, Side
from pg_migration.postgres.errors import ConnectionFailed, server_message
from pg_migration.postgres.pooling import demand_own_session

adaptation.set_up()

Result = TypeVar("Result")
Parameters = Sequence[Any] | Mapping[str, Any] | None

CONNECT_TIMEOUT_SECONDS = 15
INTERRUPT_POLL_SECONDS = 0.2
CANCEL_AGAIN_SECONDS = 1.0

# Pauses before each further attempt of work whose connection was lost: half a minute in all, for a failover's worth.
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)

# What servers say when they, a role or a database have no connection left.
FULL_REFUSALS = ("too many", "remaining connection slots", "no more connections allowed")

# What libpq and servers say when nobody listens, while they start or stop, when they are full, or the network fails.
PASSING_REFUSALS = (
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

# Where our statements look for names: never in a schema of the database's users. pg_temp is named because it would
# come first if it were not, and what users' code makes there would stand for tables and types of the system (PostgreSQL
# docs: search_path).
SEARCH_PATH = "pg_catalog, pg_temp"

# Text forms depend on these, or how they are read, so both servers get the same ones (array_nulls: whether NULL in the
# text of an array is one); timeouts set on a role or database must not cut a long COPY short. Tables are heaps where
# nothing else is said. PostgreSQL docs: "Client Connection Defaults", "Previous PostgreSQL Versions".
PINNED: Mapping[str, str] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmloption": "content",
    "lc_monetary": "C",
    "array_nulls": "on",
    "default_table_access_method": "heap",
    "row_security": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "check_function_bodies": "off",
    "synchronize_seqscans": "off",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
}
PINNED_SINCE: Mapping[str, int] = {"transaction_timeout": 170000, "idle_session_timeout": 140000}

# Of what the source sets on its database, what defaults, checks and generated columns may rest on, besides an
# application's own settings and search_path. The others (read only, encoding, tablespace, memory) say how a session
# works: those of the target hold there.
RELIED_ON = frozenset(
    {
        "backslash_quote",
        "default_text_search_config",
        "lc_messages",
        "lc_numeric",
        "lc_time",
        "timezone_abbreviations",
        "transform_null_equals",
        "xmlbinary",
    }
)

# The same, but text forms are written by them. Whatever they are, the forms are read as they are meant: dates, offsets
# from UTC and signs are written out, and bytes tell their form. So these hold while rows are written and objects made.
WRITTEN_WITH = frozenset({"TimeZone", "DateStyle", "IntervalStyle", "bytea_output", "extra_float_digits"})


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
                raise ConnectionFailed(reason, passing=False)
            self._open.append(connection)
        try:
            # Before anything is set: behind some poolers it would be set for others. Once for each end.
            if endpoint not in self._looked_at:
                demand_own_session(connection, endpoint, lambda: connect(endpoint, self._application_name))
                self._looked_at.add(endpoint)
            pin(connection)
        except psycopg2.Error as error:
            if not connection.closed:
                raise
            raise lost_at_once(endpoint.side, error) from None
        return connection

    def run(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` in a thread and wait for it in such a way that signals still reach the caller."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="pg_migration") as pool:
            pending: Future[Result] = pool.submit(work)
            try:
                while not pending.done():
                    wait([pending], timeout=INTERRUPT_POLL_SECONDS)
                    self.meanwhile()
                return pending.result()
            except BaseException:
                while not pending.done():  # again, for what has begun its next statement meanwhile
                    self.cancel()
                    wait([pending], timeout=CANCEL_AGAIN_SECONDS)
                raise

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
            f"can't connect to the {endpoint.side.value} database {endpoint.description}: {reason}. Check host, port, "
            f"database, user and password in the {endpoint.side.value} URL, and that the server is up.",
            passing=any(sign in reason for sign in PASSING_REFUSALS),
            full=any(sign in reason for sign in FULL_REFUSALS),
        ) from None
    connection.autocommit = True
    return connection


def lost_at_once(side: Side, error: psycopg2.Error) -> ConnectionFailed:
    """That a connection was lost before it could be used."""
    return ConnectionFailed(f"the {side.value} ended a connection that had just been made: {server_message(error)}")


def pin(connection: Connection) -> None:
    """Set everything that text forms, name resolution and timeouts depend on, in one round trip.

    Until then names are looked for where the database's own settings say.
    """
    settings = {**PINNED, "search_path": SEARCH_PATH}
    settings.update({name: "0" for name, since in PINNED_SINCE.items() if connection.server_version >= since})
    # Whatever the URL says. A server of bytes converts nothing, but would refuse those that are not of the client's.
    bytes_only = connection.info.parameter_status("server_encoding") == "SQL_ASCII"
    connection.set_client_encoding("SQL_ASCII" if bytes_only else "UTF8")
    execute(connection, sql.SQL("SELECT {}").format(sql.SQL(", ").join(set_configs(settings))))


def set_configs(settings: Mapping[str, str], local: bool = False) -> list[sql.Composable]:
    """Calls of set_config, one for each setting, that mean the same whatever the search_path is.

    Args:
        local: for the rest of the transaction, else of the session.
    """
    call = sql.SQL("pg_catalog.set_config({}, {}, {})")
    return [call.format(sql.Literal(name), sql.Literal(value), sql.Literal(local)) for name, value in settings.items()]


def relied_on(settings: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Of a database's settings those that hold in the sessions that write its copy; search_path is not among them."""
    return {name: value for name, value in settings if name in RELIED_ON or "." in name}


def written_with(settings: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Of a database's settings those that hold just while its copy is written."""
    return {name: value for name, value in settings if name in WRITTEN_WITH}


def take_over(connection: Connection, settings: Mapping[str, str]) -> Mapping[str, str]:
    """Set what a database sets, for the rest of the session. What the server refuses is left as it was.

    Returns:
        What it took.
    """
    taken = {}
    for name, value in settings.items():
        # The server's say on one value; a connection that is lost says so at its next use.
        with suppress(psycopg2.Error):
            execute(connection, "SELECT set_config(%s, %s, false)", (name, value))
            taken[name] = value
    return taken


def execute(connection: Connection, statement: sql.Composable | str, parameters: Parameters = None) -> int:
    """Run one statement, without fetching; the number of rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.rowcount


def fetch(
    connection: Connection, statement: sql.Composable | str, parameters: Parameters = None
) -> list[tuple[Any, ...]]:
    """All rows of one query."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """A transaction on an autocommit connection: commit at the end of the block, roll back when it raises."""
    execute(connection, "BEGIN")
    try:
        yield
    except BaseException:
        with suppress(psycopg2.Error):
            execute(connection, "ROLLBACK")
        raise
    execute(connection, "COMMIT")
