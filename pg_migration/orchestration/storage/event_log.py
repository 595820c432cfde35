"""Dagster's event log on connections that stay open.

A migration records about eight events for each table. Dagster's own storages open a connection for every statement: in
SQLite that is half of what an event costs, since closing the only connection also writes the log back into the file;
in PostgreSQL it is nearly all of it. What is recorded, and where, is the same as with Dagster's own classes, so records
can be read by either.
"""

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from dagster import DagsterEventType, EventLogEntry
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import create_pg_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool

from pg_migration.orchestration.dagster_internals.storing import (
    INDEX_SHARD_NAME,
    SQLITE_BUSY_TIMEOUT_SECONDS,
    ConfigurableClassData,
    DagsterSqliteStorage,
    EventLogStorage,
    SqliteEventLogStorage,
)
from pg_migration.orchestration.storage.run_locks import AdvisoryLocks, FileLocks, RunLocks

# Dagster reads this variable. Unset, it writes one by one what is planned when a run is made: three events a table.
BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = "1000"

# Of a run whose process is known to hold its lock for as long as it lives. The UI hides tags that begin like this.
HOLDS_LOCK_TAG = ".dagster/pg_migration/holds_lock"
ENDS = (DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED)

# Databases of single runs that are kept open beside the index: one is written, others are looked at.
MAX_SHARDS = 8


class LockingEventLog(EventLogStorage, ABC):
    """An event log whose process holds the lock of each run that it executes."""

    @property
    @abstractmethod
    def run_locks(self) -> RunLocks:
        """The locks of this instance's runs."""

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event; the first of a run takes its lock, the last lets it go."""
        kind = event.dagster_event_type
        if kind is DagsterEventType.RUN_START and self.run_locks.hold(event.run_id) and self.has_instance:
            self._instance.add_run_tags(event.run_id, {HOLDS_LOCK_TAG: "true"})
        super().store_event(event)  # type: ignore[safe-super]  # it is mixed into the storages, which have it
        if kind in ENDS:
            self.run_locks.release(event.run_id)


@dataclass
class _Shard:
    """One SQLite file, its connection, and the transaction that is open on it."""

    engine: Engine
    file: tuple[int, int]
    open: Connection | None = None


class KeptSqliteEventLog(LockingEventLog, SqliteEventLogStorage):
    """Dagster's event log in SQLite, with one open connection for each of the files used last."""

    def __init__(self, base_dir: str) -> None:
        self._shards: OrderedDict[str, _Shard] = OrderedDict()
        self._tables_seen: set[str] = set()
        self._columns_seen: set[str] = set()
        self._shards_lock = threading.RLock()
        self._run_locks = FileLocks(Path(base_dir) / "running")
        super().__init__(base_dir)
        self._finalizer = weakref.finalize(self, _close, self._shards)

    @property
    def run_locks(self) -> RunLocks:
        """Files beside the records."""
        return self._run_locks

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """A transaction on one file; inside another one on the same file, that one."""
        with self._shards_lock:
            kept = self._shard(shard)
            if kept.open is not None:
                yield kept.open
                return
            with kept.engine.connect() as connection, connection.begin():
                kept.open = connection
                try:
                    yield connection
                finally:
                    kept.open = None
            if shard != INDEX_SHARD_NAME:
                # Who watches a run is told by a change of this file, and commits go into another one beside it.
                os.utime(self.path_for_shard(shard))

    def _shard(self, name: str) -> _Shard:
        kept = self._shards.get(name)
        if kept is not None and (kept.open is not None or kept.file == _identity(self.path_for_shard(name))):
            self._shards.move_to_end(name)
            return kept
        if kept is not None:  # the records were deleted, or put back from elsewhere
            self._shards.pop(name).engine.dispose()
            self._initialized_dbs.discard(name)
        engine = sqlalchemy.create_engine(
            self.conn_string_for_shard(name),
            poolclass=StaticPool,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )
        # Commits reach the operating system at once and the disk soon after, which outlives a killed process; that is
        # what SQLite's documentation recommends for its write-ahead log.
        sqlalchemy.event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=NORMAL"))
        if name not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(name)
        identity = _identity(self.path_for_shard(name))
        assert identity is not None, "connecting makes the file"
        self._shards[name] = _Shard(engine, identity)
        self._forget_the_oldest()
        return self._shards[name]

    def _forget_the_oldest(self) -> None:
        runs = [name for name, kept in self._shards.items() if name != INDEX_SHARD_NAME and kept.open is None]
        for name in runs[:-MAX_SHARDS]:
            self._shards.pop(name).engine.dispose()

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run in one transaction of its file and one of the index."""
        with self._connect(events[0].run_id), self._connect(INDEX_SHARD_NAME):
            super().store_event_batch(events)

    def delete_events(self, run_id: str) -> None:
        """Delete the events of a run, and the lock that its process may have left when it died."""
        super().delete_events(run_id)
        self._run_locks.forget(run_id)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; one that was there stays."""
        if table_name not in self._tables_seen:
            with self._connect(INDEX_SHARD_NAME) as connection:
                if not sqlalchemy.inspect(connection).has_table(table_name):
                    return False
            self._tables_seen.add(table_name)
        return True

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        if column_name not in self._columns_seen:
            if not super()._has_asset_key_col_on_connection(conn, column_name):
                return False
            self._columns_seen.add(column_name)
        return True

    def dispose(self) -> None:
        """Close every connection."""
        super().dispose()
        with self._shards_lock:
            _close(self._shards)


def _close(shards: OrderedDict[str, _Shard]) -> None:
    while shards:
        shards.popitem()[1].engine.dispose()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  (asked before every statement)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class KeptPostgresEventLog(LockingEventLog, PostgresEventLogStorage):
    """Dagster's event log in PostgreSQL, with a connection that stays open."""

    def __init__(self, postgres_url: str) -> None:
        self._run_locks = AdvisoryLocks(postgres_url)
        super().__init__(postgres_url)
        self._engine = create_pg_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=20,
            pool_recycle=600,
            pool_pre_ping=True,
        )

    @property
    def run_locks(self) -> RunLocks:
        """In the database that has the records."""
        return self._run_locks


class KeptSqliteStorage(DagsterSqliteStorage):
    """Dagster's records in SQLite, the event log on connections that stay open."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = KeptSqliteEventLog(str(self._event_log_storage._base_dir))


class KeptPostgresStorage(DagsterPostgresStorage):
    """Dagster's records in PostgreSQL, the event log on a connection that stays open."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        self._event_log_storage = KeptPostgresEventLog(postgres_url)
