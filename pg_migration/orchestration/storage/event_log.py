"""Dagster's event log on connections that stay open, and written a moment's events at a time.

A migration records about six events for each table. Dagster's own storages open a connection for every statement: in
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
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy
from dagster import DagsterEventType, EventLogEntry
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import create_pg_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool

from pg_migration.orchestration.dagster_internals.storing import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    ASSET_KEY_INDEX_COLS,
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
    INDEX_SHARD_NAME,
    SQLITE_BUSY_TIMEOUT_SECONDS,
    ConfigurableClassData,
    DagsterSqliteStorage,
    SqlEventLogStorageTable,
    SqliteEventLogStorage,
    read_revisions_once,
)
from pg_migration.orchestration.storage.reading import AnsweringTogether
from pg_migration.orchestration.storage.run_locks import AdvisoryLocks, FileLocks, RunLocks
from pg_migration.orchestration.storage.writing import Entry, derive, entries, evaluations, insert, materializations

read_revisions_once()

# Dagster reads this variable. Unset, it writes one by one what is planned when a run is made: three events a table.
BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = "1000"

# A run's events are gathered for so long, or until there are so many.
GATHER_SECONDS = 0.5
GATHERED_MOST = 1000

# Of a run whose process is known to hold its lock for as long as it lives. The UI hides tags that begin like this.
HOLDS_LOCK_TAG = ".dagster/pg_migration/holds_lock"
ENDS = (DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED)

# What SQLite's index has besides the file of the run.
MIRRORED = {*ASSET_EVENTS, *ASSET_CHECK_EVENTS, *EVENT_TYPE_TO_PIPELINE_RUN_STATUS}

# Databases of single runs that are kept open beside the index: one is written, others are looked at.
MAX_SHARDS = 8


class LockingEventLog(AnsweringTogether, ABC):
    """An event log whose process holds the lock of each run that it executes, and gathers the run's events a moment.

    Whoever reads in this process sees what is gathered; others see it within a moment. What says how a run stands is
    written at once, with all before it.
    """

    def __init__(self, *arguments: Any) -> None:
        self._own_runs: set[str] = set()
        self._gathered: list[EventLogEntry] = []
        self._gathering = threading.Lock()
        self._flushing = threading.Lock()
        self._timer: threading.Timer | None = None
        self._lost: Exception | None = None
        self._here = _Here()
        super().__init__(*arguments)

    @property
    @abstractmethod
    def run_locks(self) -> RunLocks:
        """The locks of this instance's runs."""

    @abstractmethod
    def write(self, events: Sequence[EventLogEntry]) -> None:
        """Write events of one run, in one transaction of each database that they belong in."""

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event; the first of a run takes its lock, the last lets it go."""
        kind = event.dagster_event_type
        if kind is DagsterEventType.RUN_START:
            self.execute_here(event.run_id)
        if event.run_id in self._own_runs and kind not in EVENT_TYPE_TO_PIPELINE_RUN_STATUS:
            self._gather(event)
            return
        self.flush()
        self.write([event])
        if kind in ENDS:
            self._own_runs.discard(event.run_id)
            self.ended()
            self.run_locks.release(event.run_id)

    def execute_here(self, run_id: str) -> None:
        """Take this process for the one that executes a run."""
        if run_id not in self._own_runs:
            self._own_runs.add(run_id)
            if self.run_locks.hold(run_id) and self.has_instance:
                self._instance.add_run_tags(run_id, {HOLDS_LOCK_TAG: "true"})

    def executes(self) -> bool:
        """Whether this process executes a run, as far as its events tell."""
        return bool(self._own_runs)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run in one transaction."""
        self.flush()
        self.write(events)

    def _gather(self, event: EventLogEntry) -> None:
        with self._gathering:
            self._gathered.append(event)
            if self._timer is None:
                self._timer = threading.Timer(GATHER_SECONDS, self._flush_later)
                self._timer.daemon = True
                self._timer.start()
        if len(self._gathered) >= GATHERED_MOST or self._lost is not None:
            self.flush()

    def _flush_later(self) -> None:
        try:
            self.flush()
        except Exception as error:  # is for the run to hear of, with its next event
            self._lost = error

    def flush(self) -> None:
        """Write what is gathered; not inside a transaction of this thread, which may still be undone.

        Raises:
            Exception: what the database says of it, or has said when nobody was there to hear.
        """
        if self._here.inside or not (self._gathered or self._lost):
            return
        with self._flushing, self.inside():
            with self._gathering:
                events, self._gathered = self._gathered, []
                lost, self._lost = self._lost, None
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            if lost is not None:
                raise lost
            for _, of_run in groupby(events, key=lambda event: event.run_id):
                self.write(list(of_run))

    @contextmanager
    def inside(self) -> Iterator[None]:
        """While this thread has a transaction."""
        self._here.inside += 1
        try:
            yield
        finally:
            self._here.inside -= 1

    def _derive(self, found: Sequence[Entry], connection: Connection, dated: bool) -> list[Entry]:
        written = insert(connection, found)
        rest = derive(self, connection, written, dated)
        self.wrote(materializations(written), evaluations(written))
        return rest

    def _store_the_rest(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.store_asset_check_event(entry.event, entry.id)

    def dispose(self) -> None:
        """Write what is gathered."""
        self.flush()
        super().dispose()


class _Here(threading.local):
    """What is of one thread alone: how many transactions it is in."""

    inside = 0


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
        self.flush()
        with self.inside(), self._shards_lock:
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

    def write(self, events: Sequence[EventLogEntry]) -> None:
        """Write events of one run into its file, and what others ask for across runs into the index."""
        found = entries(self, events)
        mirrored = [entry for entry in found if entry.kind in MIRRORED]
        with self._connect(events[0].run_id) as of_run:
            of_run.execute(sqlalchemy.insert(SqlEventLogStorageTable), [entry.row for entry in found])
            rest: list[Entry] = []
            if mirrored:
                with self._connect(INDEX_SHARD_NAME) as index:
                    rest = self._derive(mirrored, index, self._has_asset_key_index_cols_on_connection(index))
        self._store_the_rest(rest)

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
        """Write what is gathered, and close every connection."""
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

    def __init__(self, postgres_url: str, make_tables: bool = True, tokens: Any = None) -> None:
        self._run_locks = AdvisoryLocks(postgres_url)
        super().__init__(postgres_url, make_tables, None, tokens)
        self._engine = create_pg_engine(
            postgres_url,
            tokens,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=20,
            pool_recycle=600,
            pool_pre_ping=True,
            # Many rows of one statement in one message to the server.
            executemany_mode="values_plus_batch",
        )

    @property
    def run_locks(self) -> RunLocks:
        """In the database that has the records."""
        return self._run_locks

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        self.flush()
        with self.inside(), super()._connect() as connection:
            yield connection

    def write(self, events: Sequence[EventLogEntry]) -> None:
        """Write events, and all that Dagster keeps of them, in one transaction."""
        dated = self.has_secondary_index(ASSET_KEY_INDEX_COLS)
        with self.index_transaction() as connection:
            rest = self._derive(entries(self, events), connection, dated)
        self._store_the_rest(rest)


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
