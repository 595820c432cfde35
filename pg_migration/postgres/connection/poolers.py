"""Poolers that give a client another session for each transaction: what is set in one would stay in a stranger's.

Settings, session-level locks and exported snapshots need one session for a client as long as it is connected. PgBouncer
in transaction or statement mode, and much that clouds offer in front of a server, has another for each transaction or
statement. That is told from how it behaves, not from a name; and before anything is set, with two transactions at most.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.errors import ConfigurationError

# A pool that has idle sessions may happen to give the same one again; it does not each time.
ROUNDS = 5
PATIENCE_SECONDS = 10.0
NO_SESSION = "a second client waits for a session, which does not come"

_WHO = "SELECT pg_catalog.pg_backend_pid()"


class SessionsShared(ConfigurationError):
    """What is connected to keeps no session for a client; nothing was set and nothing written."""


def check_own_session(first: Connection, end: Endpoint, connect: Callable[[], Connection]) -> None:
    """Make sure that a connection has one session of the server for itself.

    A server tells a client the process id of its session when it connects; a pooler tells a number of its own, and is
    asked: a second connection is made, and takes what the first one's transactions leave.

    Args:
        first: in autocommit mode, in which nothing was set yet, and whose session is not that of which it was told.
        connect: makes a second one.

    Raises:
        SessionsShared: it has not.
        ConnectionFailed: a second connection can't be made.
        psycopg2.Error: the first one was lost.
    """
    own = _session_of(first)
    second = connect()
    late = threading.Event()
    try:
        with _in_time(second, late):
            shared = any(_is_shared(first, second, own) for _ in range(ROUNDS))
    except psycopg2.Error as error:
        if first.closed:
            raise
        # A pool of statements refuses BEGIN, one that is too small has no session for it.
        raise _refusal(end, NO_SESSION if late.is_set() else " ".join(str(error).split())) from None
    finally:
        with suppress(psycopg2.Error):
            second.close()
    if shared:
        raise _refusal(end, "two transactions of different clients had the same session")


def _is_shared(first: Connection, second: Connection, own: int) -> bool:
    """Whether another client has the session that was the first one's, or the first one has another by now."""
    with second.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            return _session_of(second) == own or _session_of(first) != own
        finally:
            with suppress(psycopg2.Error):
                cursor.execute("ROLLBACK")


def _session_of(connection: Connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_WHO)
        ((pid,),) = cursor.fetchall()
        return int(pid)


@contextmanager
def _in_time(connection: Connection, late: threading.Event) -> Iterator[None]:
    """Cut off a client that waits too long: a pooler lets it wait for minutes, and hears no cancel meanwhile."""

    def cut() -> None:
        late.set()
        with suppress(psycopg2.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(PATIENCE_SECONDS, cut)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _refusal(end: Endpoint, sign: str) -> SessionsShared:
    return SessionsShared(
        f"the {end.side.value} database {end.description} is reached through a connection pooler that keeps no session "
        f"for a client, such as PgBouncer in transaction or statement mode ({end.scrub(sign)}). Settings, locks and "
        f"snapshots of the migration would end up in sessions of other applications; nothing was set or written. "
        f"Connect to the server itself, or to a pool in session mode: often the same host with another port (5432 "
        f"instead of 6543), or the host's name without '-pooler'."
    )
