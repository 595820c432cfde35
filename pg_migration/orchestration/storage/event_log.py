"""Dagster's event log on connections that stay open.

A migration records about eight events for each table. Dagster's own storages open a connection for every statement: in
SQLite that is half of what an event costs, since closing the only connection also writes the log back into the file;
in PostgreSQL it is nearly all of it. What is recorded, and where, is the same as with Dagster's own classes, so records
can be read by either.
"""

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy
from dagster import EventLogEntry
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import create_pg_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool

from pg_migration.orchestration.dagster_internals.storing import (
    INDEX_SHARD_NAME,
    SQLITE_BUSY_TIMEOUT_SECONDS,
    ConfigurableClassData,
    DagsterSqliteStorage,
    SqliteEventLogStorage,
)

# Dagster reads this variable. Unset, it writes one by one what is planned when a run is made: three events a table.
BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = "1000"

# Databases of single runs that are kept open beside the index: one is written, others are looked at.
MAX_SHARDS = 8


@dataclass
class _Shard:
    """One SQLite file, its connection, and the transaction that is open on it."""

    engine: Engine
    file: tuple[int, int]
    open: Connection | None = None


class KeptSqliteEventLog(SqliteEventLogStorage):
    """Dagster's event log in SQLite, with one open connection for each of the files used last."""

    def __init__(self, base_dir: str) -> None:
        self._shards: OrderedDict[str, _Shard] = OrderedDict()
        self._tables_seen: set[str] = set()
        self._columns_seen: set[str] = set()
        self._shards_lock = threading.RLock()
        super().__init__(base_dir)
        self._finalizer = weakref.finalize(self, _close, self._shards)

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


class KeptPostgresEventLog(PostgresEventLogStorage):
    """Dagster's event log in PostgreSQL, with a connection that stays open."""

    def __init__(self, postgres_url: str) -> None:
        super().__init__(postgres_url)
        self._engine = create_pg_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=20,
            pool_recycle=600,
            pool_pre_ping=True,
        )


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
