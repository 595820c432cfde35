"""The right to write to the target, which one run has at a time."""

import math
import time
from typing import NoReturn

import psycopg2

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import AnotherRunActive, LockLost, server_message
from pg_migration.postgres.ledger.chunks import LEAVING_SECONDS

LOCK_KEY = 0x70675F6D6967  # "pg_mig"; advisory locks are per database, so one number serves every target


class TargetLock:
    """The right to write to one target: a session-level advisory lock, held until its connections close."""

    def __init__(self, connections: Connections, target: Endpoint, run_id: str) -> None:
        self._connection = connections.open(target, application_name=f"pg_migration run {run_id}")
        self._held_at = -math.inf

    def is_free(self) -> bool:
        """Take the lock if nobody has it; whether it is taken now."""
        return fetch(self._connection, "SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,)) == [(True,)]

    def acquire(self) -> None:
        """Take the lock, or refuse when it does not get free soon.

        Raises:
            AnotherRunActive: naming the run that has it.
        """
        deadline = time.monotonic() + LEAVING_SECONDS
        while not self.is_free():
            if time.monotonic() > deadline:
                self._refuse()
            time.sleep(0.1)

    def _refuse(self) -> NoReturn:
        holder = fetch(
            self._connection,
            "SELECT a.application_name, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE "
            "datname = current_database()) AND (l.classid::bigint << 32 | l.objid::bigint) = %s",
            (LOCK_KEY,),
        )
        who = "another run"
        if holder:
            ((name, since),) = holder
            # Since when is hidden of sessions of other roles (PostgreSQL docs: pg_read_all_stats).
            who = (name or "another run") + (f", connected since {since:%Y-%m-%d %H:%M:%S} UTC" if since else "")
        raise AnotherRunActive(
            f"the target database is being written by {who}. Wait until it has ended, or terminate it, and start again."
        )

    def check_held(self, within: float = 0.0) -> None:
        """Make sure that the lock's session lives, and with it that the server did not restart since.

        Args:
            within: do not ask where the answer is at most so many seconds old.

        Raises:
            LockLost: it does not. Chunks are committed without waiting for the disk, and UNLOGGED tables lose their
                rows in a crash, so nothing that was loaded before can be relied on.
        """
        if (asked_at := time.monotonic()) - self._held_at <= within:
            return
        try:
            execute(self._connection, "SELECT 1")
            self._held_at = asked_at
        except psycopg2.Error as error:
            raise LockLost(
                f"the target ended the session that holds the run's lock ({server_message(error)}): the server was "
                f"restarted, or somebody terminated the session. Start the run again; it loads anew what is not sure."
            ) from None

    def wait(self) -> None:
        """Take the lock, however long its holder needs."""
        execute(self._connection, "SELECT pg_advisory_lock(%s)", (LOCK_KEY,))


class BorrowedLock:
    """The right to write to a target for as long as another run holds its lock."""

    def __init__(self, connections: Connections, target: Endpoint, owner: str, borrower: str) -> None:
        self._owner = owner
        self._connection = connections.open(target, application_name=borrower_session(borrower))
        self._held_at = -math.inf

    def check_held(self, within: float = 0.0) -> None:
        """Make sure that the owner is there.

        Args:
            within: do not ask where the answer is at most so many seconds old.

        Raises:
            LockLost: it is not.
        """
        if (asked_at := time.monotonic()) - self._held_at <= within:
            return
        found = fetch(
            self._connection,
            "SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted "
            "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND (l.classid::bigint << 32 | l.objid::bigint) = %s AND a.application_name = %s",
            (LOCK_KEY, f"pg_migration run {self._owner}"),
        )
        if not found:
            raise LockLost(
                f"run {self._owner}, whose snapshot and lock this run uses, has ended or lost the target's lock. What "
                f"was copied stays in the ledger; start the migration again, and it goes on from there."
            )
        self._held_at = asked_at


def borrower_session(run_id: str) -> str:
    """The application_name of the session by which the owner sees that a borrower lives."""
    return f"pg_migration share {run_id}"
