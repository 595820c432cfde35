"""What goes on in a target right now, as its ledger and its server tell it. Nothing is changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.lock_waits import shown_statement
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import MigrationError, NotPermitted, server_message
from pg_migration.postgres.ledger import schema
from pg_migration.postgres.ledger.runs import session_name
from pg_migration.postgres.replication.record import last_replication
from pg_migration.postgres.replication.state import Phase
from pg_migration.postgres.roles.reach import quoted
from pg_migration.postgres.transfer.progress import Progress


class State(str, Enum):
    """How a run is. ``lost``: it has neither ended nor a session any more, since it was killed for example."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True)
class RunStatus:
    """The run that is going on, or the last one. ``finished_at`` is None where it did not come to its end."""

    run_id: str
    source: str
    state: State
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class Session:
    """A busy session of a run in the target: what it does, for how many seconds, and whether it waits for a lock."""

    process: int
    statement: str
    seconds: float
    waits: bool


@dataclass(frozen=True)
class ReplicationStatus:
    """The last replication into a target, and how far it has come; ``reason`` is why it ended."""

    name: str
    phase: Phase
    changed_at: datetime
    reason: str | None


@dataclass(frozen=True)
class Status:
    """What goes on in a target.

    Args:
        at: the target's clock.
        run: None where nothing was ever migrated to it.
        progress: what the run has told last, ``told_seconds`` ago; None where it has told nothing.
        sessions: those of the run that are busy, as far as the role may see them.
        comparing: runs that have just begun or only compare, by the beginnings of their identifiers: they have left
            nothing in the ledger.
        replication: the last one into the target; None where it never followed a source.
    """

    at: datetime
    run: RunStatus | None
    progress: Progress | None = None
    told_seconds: float | None = None
    sessions: Sequence[Session] = ()
    comparing: Sequence[str] = ()
    replication: ReplicationStatus | None = None

    @property
    def is_running(self) -> bool:
        """Whether something goes on."""
        return bool(self.comparing) or (self.run is not None and self.run.state is State.RUNNING)


_READABLE = """
SELECT pg_catalog.clock_timestamp(), n.oid IS NOT NULL,
       pg_catalog.bool_and(pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND
                           pg_catalog.has_table_privilege(c.oid, 'SELECT')),
       pg_catalog.array_remove(pg_catalog.array_agg(c.relname::pg_catalog.text), NULL),
       current_user, pg_catalog.current_database()
  FROM (SELECT) AS always
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) '_pg_migration'
  LEFT JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
                                 AND c.relname::pg_catalog.text OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.text[])
 GROUP BY n.oid
"""

_TABLES = ["run", "progress", "replication"]

# The one that is going on holds the target's lock in a session that is called after it.
_RUN = """
SELECT r.run_id, r.source, r.started_at, r.finished_at, r.succeeded, s.pid IS NOT NULL
FROM _pg_migration.run r
LEFT JOIN pg_stat_activity s ON s.datname = current_database() AND s.application_name = 'pg_migration run ' || r.run_id
     AND r.finished_at IS NULL
ORDER BY s.pid IS NULL, r.started_at DESC
LIMIT 1
"""

_PROGRESS = """
SELECT progress, extract(epoch FROM clock_timestamp() - told_at)::float8 FROM _pg_migration.progress WHERE run_id = %s
"""

_NAMES = """
SELECT DISTINCT application_name FROM pg_stat_activity
WHERE datname = current_database() AND application_name ~ '^pg_migration run .{8}$'
"""

# Of other roles' sessions one sees no more than their names (PostgreSQL docs: pg_read_all_stats).
_SESSIONS = """
SELECT pid, query, extract(epoch FROM clock_timestamp() - query_start)::float8,
       wait_event_type = 'Lock' AND wait_event <> 'extend'  -- which those who fill a table wait for in turn
FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE %s AND state = 'active' AND query_start IS NOT NULL
ORDER BY query_start
"""


def read_status(connection: Connection, target: Endpoint) -> Status:
    """What goes on in the target.

    Args:
        connection: to it.
        target: how messages name it.

    Raises:
        NotPermitted: the role may not read the ledger.
        LedgerTooNew: a newer program has written it.
        MigrationError: the server did not answer.
    """
    try:
        return _read(connection)
    except psycopg2.Error as error:
        raise MigrationError(f"the target {target.description} can't be asked: {server_message(error)}") from error


def _read(connection: Connection) -> Status:
    execute(connection, "SET default_transaction_read_only = on")
    ((now, there, may, tables, role, database),) = fetch(connection, _READABLE, (_TABLES,))
    if tables and not may:
        raise NotPermitted(
            f"role {role} may not read the books of pg_migration in the target database {database}. As their owner "
            f"run: GRANT USAGE ON SCHEMA {schema.SCHEMA} TO {quoted(role)}; GRANT SELECT ON ALL TABLES IN SCHEMA "
            f"{schema.SCHEMA} TO {quoted(role)};"
        )
    names = {name for (name,) in fetch(connection, _NAMES)}
    if not there or not tables or not schema.version(connection):
        return Status(now, None, comparing=_compare(names))
    found = fetch(connection, _RUN)
    if not found:
        return Status(now, None, comparing=_compare(names))
    ((run_id, source, started_at, finished_at, succeeded, alive),) = found
    ended = State.SUCCEEDED if succeeded else State.FAILED
    state = ended if finished_at is not None else State.RUNNING if alive else State.LOST
    recorded = fetch(connection, _PROGRESS, (run_id,)) if "progress" in tables else []
    progress, told_seconds = (_progress(recorded[0][0]), recorded[0][1]) if recorded else (None, None)
    sessions = fetch(connection, _SESSIONS, (f"{session_name(run_id)}%",)) if state is State.RUNNING else []
    return Status(
        now,
        RunStatus(run_id, source, state, started_at, finished_at),
        progress,
        told_seconds,
        [Session(pid, shown_statement(query), seconds, bool(waits)) for pid, query, seconds, waits in sessions],
        _compare(names - {session_name(run_id)}),
        _replication(connection) if "replication" in tables else None,
    )


def _replication(connection: Connection) -> ReplicationStatus | None:
    last = last_replication(connection)
    if last is None or last.changed_at is None:
        return None
    return ReplicationStatus(last.name, last.phase, last.changed_at, last.reason)


def _compare(names: set[str]) -> list[str]:
    """The beginnings of the identifiers of runs."""
    return sorted(name.rpartition(" ")[2] for name in names)


def _progress(recorded: object) -> Progress | None:
    try:
        return Progress.from_data(recorded)
    except ValueError:
        return None
