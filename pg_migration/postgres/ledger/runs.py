"""The runs that the ledger knows, and what each target was filled with."""

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import AnotherRunActive, ConfigurationError
from pg_migration.postgres.ledger.schema import has
from pg_migration.postgres.snapshot.snapshot import SharedSnapshot, Snapshot

ORPHAN_SECONDS = 30  # how long sessions of a run that is dead may take to end


def session_name(run_id: str) -> str:
    """The application_name of a run's sessions."""
    return f"pg_migration run {run_id[:8]}"


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


def shared_snapshot(connection: Connection, owner: str) -> SharedSnapshot:
    """The snapshot that another run holds.

    Raises:
        ConfigurationError: the target's ledger does not know that run, or it has ended.
    """
    found = has(connection, "run") and fetch(
        connection,
        "SELECT snapshot, snapshot_at FROM _pg_migration.run WHERE run_id = %s AND finished_at IS NULL",
        (owner,),
    )
    if not found:
        raise ConfigurationError(f"the target's ledger has no run {owner} that holds a snapshot: it has ended")
    return SharedSnapshot(*found[0])


@dataclass(frozen=True)
class Applied:
    """A transform by its digest, the moment that it was applied at, and whether the run that did so has succeeded."""

    digest: str
    moment: datetime
    succeeded: bool


def applied_transforms(connection: Connection, schemas: Collection[str]) -> frozenset[Applied]:
    """Those of some schemas of the target; none for who may not read the ledger, and compares rows as they are."""
    if not has(connection, "transform"):
        return frozenset()
    try:
        rows = fetch(
            connection,
            "SELECT t.digest, t.moment, coalesce(r.succeeded, false) FROM _pg_migration.transform t "
            "LEFT JOIN _pg_migration.run r ON r.run_id = t.run_id WHERE t.schema_name = ANY (%s)",
            (list(schemas),),
        )
    except psycopg2.errors.InsufficientPrivilege:
        return frozenset()
    return frozenset(Applied(*row) for row in rows)


def has_rows(connection: Connection, schemas: Collection[str]) -> bool:
    """Whether a run has copied something into some schemas of the target, as far as the ledger knows."""
    if not has(connection, "chunk"):
        return False
    statement = "SELECT EXISTS (SELECT FROM _pg_migration.chunk WHERE schema_name = ANY (%s))"
    ((found,),) = fetch(connection, statement, (list(schemas),))
    return bool(found)


def record_transform(
    connection: Connection, schemas: Collection[str], run_id: str, applied: tuple[str, datetime] | None
) -> None:
    """Write down what a run applies to all tables of some schemas: digest and moment; None for rows as they are."""
    execute(connection, "DELETE FROM _pg_migration.transform WHERE schema_name = ANY (%s)", (list(schemas),))
    if applied is not None:
        execute(
            connection,
            "INSERT INTO _pg_migration.transform (schema_name, run_id, digest, moment) "
            "SELECT s, %s, %s, %s FROM pg_catalog.unnest(%s::pg_catalog.text[]) AS s",
            (run_id, *applied, list(schemas)),
        )
