"""The bookkeeping in the target's ``_pg_migration`` schema: which rows are there, from which run and snapshot."""

import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.endpoint import Endpoint
from pg_migration.postgres.errors import AnotherRunActive, LockLost, NotPermitted, server_message
from pg_migration.postgres.session import Connections, execute, fetch, transaction
from pg_migration.postgres.snapshot import Snapshot
from pg_migration.postgres.sql_files import sql_file

# PostgreSQL reserves schema names that begin with pg_ (docs: CREATE SCHEMA), hence the underscore.
SCHEMA = "_pg_migration"
LOCK_KEY = 0x70675F6D6967  # "pg_mig"; advisory locks are per database, so one number serves every target

# A server that is busy notices late that a client has left, also one that said goodbye.
LEAVING_SECONDS = 3
ORPHAN_SECONDS = 30  # how long sessions of a run that is dead may take to end

Cut = Sequence[tuple[str, list[str]]]
"""The ranges of a table by their keys, each with the predicates of its chunks in order."""


@dataclass(frozen=True)
class LoadedRange:
    """A range whose chunks are all in the table."""

    key: str
    run_id: str
    snapshot: str
    rows: int
    bytes: int
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True)
class ChunkEntry:
    """One ledger row, less what its COPY moved."""

    table: TableName
    range_key: str
    chunk: int
    chunks: int
    run_id: str
    copied_by: str
    snapshot: str
    predicate: str
    started_at: datetime


@dataclass(frozen=True)
class StoredPlan:
    """How a run cut one table, and what the table looked like on both sides then; see ledger.sql."""

    table: TableName
    source_relation: int
    source_file: int
    source_structure: str
    target_structure: str
    settings: Mapping[str, object]
    ranges: Cut


@dataclass(frozen=True)
class CommittedChunk:
    """A chunk that is in its table. ``target_xid`` wrote it, that many transactions of the target ago."""

    range_key: str
    chunk: int
    predicate: str
    rows: int
    bytes: int
    target_xid: int
    target_age: int
    copied_by: str


@dataclass(frozen=True)
class Interrupted:
    """A table with chunks of a run that did not succeed, in the relation that the target has under this name now."""

    plan: StoredPlan
    run_id: str
    source_server: str
    snapshot_xmin: int
    chunks: tuple[CommittedChunk, ...]


def session_name(run_id: str) -> str:
    """The application_name of a run's sessions."""
    return f"pg_migration run {run_id[:8]}"


def create(connection: Connection) -> None:
    """Make the bookkeeping schema where it is missing.

    Raises:
        NotPermitted: when the role may not create a schema in the target database.
    """
    present = fetch(connection, "SELECT to_regclass('_pg_migration.target_state') IS NOT NULL")
    if present == [(True,)]:
        return
    statements = sql_file("ledger.sql")
    try:
        with transaction(connection):
            execute(connection, statements)
    except psycopg2.errors.InsufficientPrivilege as error:
        ((role, database),) = fetch(connection, "SELECT current_user, current_database()")
        raise NotPermitted(
            f"role {role} may not create the bookkeeping schema {SCHEMA} in the target database {database} "
            f"({error.diag.message_primary}). As its owner run: GRANT CREATE ON DATABASE "
            f'"{database}" TO "{role}";'
        ) from None


class TargetLock:
    """The right to write to one target: a session-level advisory lock, held until its connections close."""

    def __init__(self, connections: Connections, target: Endpoint, run_id: str) -> None:
        self._connection = connections.open(target)
        execute(self._connection, "SELECT set_config('application_name', %s, false)", (f"pg_migration run {run_id}",))

    def acquire(self) -> None:
        """Take the lock, or refuse when it does not get free soon.

        Raises:
            AnotherRunActive: naming the run that has it.
        """
        deadline = time.monotonic() + LEAVING_SECONDS
        while fetch(self._connection, "SELECT pg_try_advisory_lock(%s)", (LOCK_KEY,)) != [(True,)]:
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

    def demand_held(self) -> None:
        """Make sure that the lock's session lives, and with it that the server did not restart since.

        Raises:
            LockLost: it does not. Chunks are committed without waiting for the disk, and UNLOGGED tables lose their
                rows in a crash, so nothing that was loaded before can be relied on.
        """
        try:
            execute(self._connection, "SELECT 1")
        except psycopg2.Error as error:
            raise LockLost(
                f"the target ended the session that holds the run's lock ({server_message(error)}): the server was "
                f"restarted, or somebody terminated the session. Start the run again; it loads anew what is not sure."
            ) from None

    def wait(self) -> None:
        """Take the lock, however long its holder needs."""
        execute(self._connection, "SELECT pg_advisory_lock(%s)", (LOCK_KEY,))


def end_orphans(connection: Connection, run_id: str) -> None:
    """End the target's sessions of runs that are not alive any more; call it with the target's lock in hand.

    A server notices that a client was killed only when it has something to say to it: until then a CREATE INDEX goes
    on, and would meet the next run's. The ledger knows a run only once it has had the lock, so one that never finished
    has lost it.

    Raises:
        AnotherRunActive: they do not end.
    """
    deadline = time.monotonic() + ORPHAN_SECONDS
    while names := fetch(connection, _END_ORPHANS, {"own": session_name(run_id)}):
        if time.monotonic() > deadline:
            listed = ", ".join(sorted({name for name, _ in names}))
            raise AnotherRunActive(f"the target still has sessions of {listed}, which ended without a result")
        time.sleep(0.1)


# Materialized, so that no session is ended before every condition was looked at.
_END_ORPHANS = """
WITH orphan AS MATERIALIZED (
    SELECT a.application_name, a.pid FROM pg_stat_activity a
    WHERE a.datname = current_database() AND pg_has_role(a.usesysid, 'USAGE') AND a.pid <> pg_backend_pid()
      AND a.application_name <> %(own)s
      AND a.application_name IN (
          SELECT 'pg_migration run ' || left(run_id, 8) FROM _pg_migration.run WHERE finished_at IS NULL)
)
SELECT application_name, pg_terminate_backend(pid) FROM orphan
"""


def open_run(
    connection: Connection,
    run_id: str,
    source: Endpoint,
    snapshot: Snapshot,
    identities: Mapping[str, object] | None = None,
) -> None:
    """Record that a run has begun to read one snapshot, and which two databases it connects.

    A second snapshot under the same id leaves none whose chunks could be told from the other's.
    """
    execute(
        connection,
        "INSERT INTO _pg_migration.run (run_id, source, snapshot, snapshot_at, snapshot_xmin, source_server, "
        "identities) VALUES (%s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (run_id) DO UPDATE SET snapshot = excluded.snapshot, snapshot_at = excluded.snapshot_at, "
        "finished_at = NULL, succeeded = NULL, snapshot_xmin = NULL, source_server = NULL, "
        "identities = excluded.identities",
        (
            *(run_id, source.description, snapshot.name, snapshot.taken_at, snapshot.xmin, snapshot.server),
            json.dumps(identities) if identities is not None else None,
        ),
    )


def close_run(connection: Connection, run_id: str, succeeded: bool) -> None:
    """Record how a run ended."""
    execute(
        connection,
        "UPDATE _pg_migration.run SET finished_at = clock_timestamp(), succeeded = %s WHERE run_id = %s",
        (succeeded, run_id),
    )


def forget(connection: Connection, tables: Iterable[TableName]) -> None:
    """Drop what the ledger says of tables, in the transaction that empties them; under any search_path."""
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            "DELETE FROM _pg_migration.chunk c USING (VALUES %s) AS t (schema_name, table_name) "
            "WHERE (c.schema_name, c.table_name) OPERATOR(pg_catalog.=) (t.schema_name, t.table_name)",
            list(tables),
            template="(%s::pg_catalog.text, %s::pg_catalog.text)",
        )


def forget_range(connection: Connection, table: TableName, range_key: str) -> None:
    """Drop what the ledger says of one range, in the transaction that replaces it; under any search_path."""
    execute(
        connection,
        "DELETE FROM _pg_migration.chunk "
        "WHERE (schema_name, table_name, range_key) OPERATOR(pg_catalog.=) (%s, %s, %s)",
        (*table, range_key),
    )


def record(connection: Connection, entry: ChunkEntry, rows: int, size: int) -> None:
    """Write one chunk's row, with the rows and bytes that it moved, in the transaction of its COPY.

    It runs under the search_path that the COPY needs.
    """
    execute(
        connection,
        "INSERT INTO _pg_migration.chunk (schema_name, table_name, range_key, chunk, chunks, relation, run_id, "
        "snapshot, predicate, row_count, byte_count, started_at, copied_by, target_xid) VALUES (%s, %s, %s, %s, %s, "
        "pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s, %s)), %s, %s, %s, %s, %s, %s, %s, "
        "pg_catalog.txid_current())",
        (
            *(*entry.table, entry.range_key, entry.chunk, entry.chunks, *entry.table, entry.run_id, entry.snapshot),
            *(entry.predicate, rows, size, entry.started_at.isoformat(), entry.copied_by),
        ),
    )


def recorded(connection: Connection, entry: ChunkEntry) -> tuple[int, int] | None:
    """Rows and bytes of a chunk that the same run has committed; None when it has not."""
    found = fetch(
        connection,
        "SELECT row_count, byte_count FROM _pg_migration.chunk "
        "WHERE (schema_name, table_name, range_key, chunk, run_id) = (%s, %s, %s, %s, %s)",
        (*entry.table, entry.range_key, entry.chunk, entry.run_id),
    )
    return (found[0][0], found[0][1]) if found else None


def loaded_ranges(connection: Connection, table: TableName) -> tuple[LoadedRange, ...]:
    """The complete ranges of a table, as long as it still is the relation that they were loaded into."""
    return all_loaded_ranges(connection, [table]).get(table, ())


def all_loaded_ranges(
    connection: Connection, tables: Collection[TableName]
) -> Mapping[TableName, tuple[LoadedRange, ...]]:
    """As `loaded_ranges`, for several tables in one query; tables with nothing complete are left out."""
    found: dict[TableName, list[LoadedRange]] = {}
    for schema, table, *rest in fetch(
        connection,
        "SELECT schema_name, table_name, range_key, max(run_id), max(snapshot), sum(row_count)::bigint, "
        "sum(byte_count)::bigint, min(started_at), max(finished_at) FROM _pg_migration.chunk "
        "WHERE relation = to_regclass(format('%%I.%%I', schema_name, table_name)) "
        "AND schema_name = ANY (%s) AND table_name = ANY (%s) "
        "GROUP BY schema_name, table_name, range_key HAVING count(*) = max(chunks) ORDER BY 1, 2, 8",
        ([t[0] for t in tables], [t[1] for t in tables]),
    ):
        if (schema, table) in tables:
            found.setdefault((schema, table), []).append(LoadedRange(*rest))
    return {name: tuple(ranges) for name, ranges in found.items()}


def store_plans(connection: Connection, run_id: str, plans: Collection[StoredPlan]) -> None:
    """Write down how a run cuts its tables, in one statement."""
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            "INSERT INTO _pg_migration.plan (schema_name, table_name, run_id, source_relation, source_file, "
            "source_structure, target_structure, settings, ranges) VALUES %s "
            "ON CONFLICT (schema_name, table_name) DO UPDATE SET run_id = excluded.run_id, "
            "source_relation = excluded.source_relation, source_file = excluded.source_file, "
            "source_structure = excluded.source_structure, target_structure = excluded.target_structure, "
            "settings = excluded.settings, ranges = excluded.ranges",
            [
                (
                    *(*plan.table, run_id, plan.source_relation, plan.source_file),
                    *(plan.source_structure, plan.target_structure, json.dumps(plan.settings), json.dumps(plan.ranges)),
                )
                for plan in plans
            ],
            page_size=1000,
        )


def forget_plans(connection: Connection, tables: Collection[TableName]) -> None:
    """Forget how tables were cut, so that no later run goes on with them."""
    execute(
        connection,
        "DELETE FROM _pg_migration.plan "
        "WHERE (schema_name, table_name) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
        ([t[0] for t in tables], [t[1] for t in tables]),
    )


def adopt(connection: Connection, tables: Collection[TableName], run_id: str, snapshot: Snapshot) -> None:
    """Make the chunks of tables those of another run, in whose snapshot they were shown to be the same."""
    execute(
        connection,
        "UPDATE _pg_migration.chunk SET run_id = %s, snapshot = %s "
        "WHERE (schema_name, table_name) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
        (run_id, snapshot.name, [t[0] for t in tables], [t[1] for t in tables]),
    )


def interrupted(connection: Connection, run_id: str) -> Mapping[TableName, Interrupted]:
    """The tables whose every chunk is of the run that planned them, which is not this one and did not succeed."""
    found = {}
    for schema, table, run, server, xmin, *plan, chunks in fetch(connection, _INTERRUPTED, {"run": run_id}):
        stored = StoredPlan((schema, table), *plan)
        committed = tuple(CommittedChunk(*chunk) for chunk in chunks)
        found[schema, table] = Interrupted(stored, run, server, xmin, committed)
    return found


_INTERRUPTED = """
SELECT p.schema_name, p.table_name, r.run_id, r.source_server, r.snapshot_xmin, p.source_relation, p.source_file,
       p.source_structure, p.target_structure, p.settings, p.ranges, c.chunks
FROM _pg_migration.plan p
JOIN _pg_migration.run r ON r.run_id = p.run_id AND r.succeeded IS NOT TRUE AND r.snapshot_xmin IS NOT NULL
JOIN LATERAL (
    SELECT json_agg(json_build_array(
               c.range_key, c.chunk, c.predicate, c.row_count, c.byte_count, c.target_xid,
               txid_snapshot_xmax(txid_current_snapshot()) - c.target_xid, c.copied_by
           ) ORDER BY c.finished_at) AS chunks
    FROM _pg_migration.chunk c
    WHERE (c.schema_name, c.table_name) = (p.schema_name, p.table_name)
    HAVING bool_and(c.run_id = p.run_id AND c.target_xid IS NOT NULL
                    AND c.relation = to_regclass(format('%%I.%%I', p.schema_name, p.table_name)))
) AS c ON true
WHERE p.run_id <> %(run)s
"""
