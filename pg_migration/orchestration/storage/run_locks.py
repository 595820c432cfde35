"""Whether the process of a run is there: it holds a lock for as long as it lives.

Dagster's event log is told of a run's begin and end by the process that executes it, and by no other. So that process
takes the lock where it stores the first event, and whoever finds the lock free later on knows that the process is gone,
on whatever host it was.
"""

import fcntl
import hashlib
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

KEEP_SECONDS = 10.0


class RunLocks(ABC):
    """The locks of the runs of one instance; every method may be called from any thread."""

    @abstractmethod
    def hold(self, run_id: str) -> bool:
        """Take a run's lock until `release`, or until this process ends; whether it is held now."""

    @abstractmethod
    def release(self, run_id: str) -> None:
        """Let a run's lock go; nothing if it is not held here."""

    @abstractmethod
    def is_held(self, run_id: str) -> bool:
        """Whether some process holds a run's lock."""


class FileLocks(RunLocks):
    """Locked files in a folder, for processes of one host.

    Args:
        folder: is made with the first lock.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def hold(self, run_id: str) -> bool:
        if run_id in self._held:
            return True
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / run_id, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:  # a full disk, say: what becomes of the run is not for its lock to decide
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            os.close(descriptor)
            return False
        self._held[run_id] = descriptor
        return True

    def release(self, run_id: str) -> None:
        descriptor = self._held.pop(run_id, None)
        if descriptor is not None:
            self.forget(run_id)
            os.close(descriptor)

    def forget(self, run_id: str) -> None:
        """Delete the file of a run; only when its process is gone, or about to let it go."""
        (self._folder / run_id).unlink(missing_ok=True)

    def is_held(self, run_id: str) -> bool:
        try:
            descriptor = os.open(self._folder / run_id, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


class AdvisoryLocks(RunLocks):
    """Advisory locks in Dagster's database, for processes of any host (PostgreSQL docs: Advisory Locks).

    A connection that was lost is made anew within seconds, so who finds a lock free looks again before he concludes.

    Args:
        url: Dagster's database, as SQLAlchemy has it.
    """

    def __init__(self, url: str) -> None:
        self._url = url.replace("+psycopg2", "", 1)
        self._runs: set[str] = set()
        self._using = threading.Lock()
        self._connection: Connection | None = None
        self._keeper: threading.Thread | None = None

    def hold(self, run_id: str) -> bool:
        with self._using:
            self._runs.add(run_id)
            try:
                self._execute(_LOCK, ([_number(run_id)],))
            except psycopg2.Error:
                self._runs.discard(run_id)
                return False
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="pg_migration run locks", daemon=True)
                self._keeper.start()
            return True

    def release(self, run_id: str) -> None:
        with self._using, suppress(psycopg2.Error):
            if run_id in self._runs:
                self._runs.discard(run_id)
                self._execute(_UNLOCK, (_number(run_id),))

    def is_held(self, run_id: str) -> bool:
        number = _number(run_id)
        with closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
            cursor.execute(_HELD, (number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF))
            return cursor.fetchone() is not None

    def _keep(self) -> None:
        while True:
            time.sleep(KEEP_SECONDS)
            with self._using:
                if not self._runs:
                    self._keeper = None
                    return
                with suppress(psycopg2.Error):  # the database is away; the next look may find it
                    self._execute("SELECT 1")

    def _execute(self, statement: str, parameters: Sequence[object] = ()) -> None:
        """On the connection that has the locks; where it is gone, take them all on a new one instead."""
        if self._connection is not None:
            try:
                with self._connection.cursor() as cursor:
                    cursor.execute(statement, parameters)
                return
            except psycopg2.Error:
                self._connection.close()
                self._connection = None
        connection = psycopg2.connect(self._url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(_KEPT_ALIVE)
            cursor.execute(_LOCK, ([_number(run) for run in self._runs],))
        self._connection = connection


def _number(run_id: str) -> int:
    """A run's lock: PostgreSQL has them by signed numbers of 64 bits."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:8], "big", signed=True)


_LOCK = "SELECT pg_catalog.pg_try_advisory_lock(n) FROM pg_catalog.unnest(%s) AS n"
_UNLOCK = "SELECT pg_catalog.pg_advisory_unlock(%s)"
_HELD = """
SELECT FROM pg_catalog.pg_locks
 WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND objsubid = 1 AND granted
   AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
"""
# A host that is switched off closes no connection (PostgreSQL docs: tcp_keepalives_idle and the settings beside it).
_KEPT_ALIVE = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
