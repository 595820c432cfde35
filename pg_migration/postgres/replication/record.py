"""What the ledger in the target says of replications."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute, fetch, transaction
from pg_migration.postgres.ledger.schema import has
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.replication.state import ChangedIdentity, Phase, PublishedTable, Replication

_COLUMNS = (
    "name, phase, run_id, source, target, tables, reloaded, max_retained_wal, max_lag_seconds, identities, "
    "consistent_point, fence, fence_transaction, validated_at, read_only_before, target_read_only_before, "
    "way_back, reason, begun_at, changed_at"
)
_LAST = f"SELECT {_COLUMNS} FROM _pg_migration.replication ORDER BY begun_at DESC, name LIMIT 1"
_INSERT = """
INSERT INTO _pg_migration.replication
       (name, phase, run_id, source, target, tables, reloaded, max_retained_wal, max_lag_seconds, identities,
        consistent_point, fence, fence_transaction, validated_at, read_only_before, target_read_only_before, way_back,
        reason)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (name) DO UPDATE
   SET phase = excluded.phase, tables = excluded.tables, reloaded = excluded.reloaded,
       identities = excluded.identities, consistent_point = excluded.consistent_point, fence = excluded.fence,
       fence_transaction = excluded.fence_transaction, validated_at = excluded.validated_at,
       read_only_before = excluded.read_only_before, target_read_only_before = excluded.target_read_only_before,
       way_back = excluded.way_back, reason = excluded.reason,
       changed_at = pg_catalog.clock_timestamp()
"""


def last_replication(connection: Connection) -> Replication | None:
    """The last one into a target; None where there was none, or no ledger."""
    if not has(connection, "replication"):
        return None
    rows = fetch(connection, _LAST)
    return _recorded(*rows[0]) if rows else None


def record(connection: Connection, replication: Replication) -> None:
    """Write down how a replication stands, before the step that makes it so is taken; it is on disk then."""
    with transaction(connection):
        execute(connection, "SET LOCAL synchronous_commit = on")
        execute(
            connection,
            _INSERT,
            (
                *(replication.name, replication.phase.value, replication.run_id),
                *(json.dumps(end.as_record()) for end in (replication.source, replication.target)),
                json.dumps([asdict(table) for table in replication.tables]),
                json.dumps(replication.reloaded),
                *(replication.max_retained_wal, replication.max_lag_seconds),
                json.dumps([asdict(changed) for changed in replication.identities]),
                *(replication.consistent_point, replication.fence, replication.fence_transaction),
                *(replication.validated_at, replication.read_only_before, replication.target_read_only_before),
                *(replication.way_back, replication.reason),
            ),
        )


def record_validation(connection: Connection, name: str) -> None:
    """Write down that all rows were shown to be the same now, unless something else has become of it meanwhile."""
    execute(
        connection,
        "UPDATE _pg_migration.replication SET validated_at = pg_catalog.clock_timestamp() "
        "WHERE name = %s AND phase = %s",
        (name, Phase.FOLLOWING.value),
    )


def forget_validation(connection: Connection, name: str) -> None:
    """Write down that rows may differ since they were last compared, as something was wrong."""
    execute(
        connection,
        "UPDATE _pg_migration.replication SET validated_at = NULL WHERE name = %s AND phase = %s "
        "AND validated_at IS NOT NULL",
        (name, Phase.FOLLOWING.value),
    )


def record_resumption(connection: Connection, name: str, position: str) -> bool:
    """Write down that a replication is to go on after an error; False where it was for the last one at that position.

    Args:
        position: up to which the target has confirmed to have everything.
    """
    statement = (
        "UPDATE _pg_migration.replication SET resumed_at = %s WHERE name = %s AND resumed_at IS DISTINCT FROM %s"
    )
    return execute(connection, statement, (position, name, position)) == 1


def _recorded(
    name: str,
    phase: str,
    run_id: str,
    source: Mapping[str, Any],
    target: Mapping[str, Any],
    tables: list[dict[str, Any]],
    reloaded: list[list[str]],
    max_retained_wal: int,
    max_lag_seconds: int,
    identities: list[dict[str, Any]],
    *rest: Any,
) -> Replication:
    return Replication(
        name,
        Phase(phase),
        run_id,
        Identity.recorded(source),
        Identity.recorded(target),
        tuple(
            PublishedTable(t["oid"], _name(t["name"]), _name(t["root"]), tuple((n, k) for n, k in t["columns"]))
            for t in tables
        ),
        tuple(map(_name, reloaded)),
        max_retained_wal,
        max_lag_seconds,
        changed_identities(identities),
        *rest,
    )


def changed_identities(records: Iterable[Mapping[str, Any]]) -> tuple[ChangedIdentity, ...]:
    """From what dataclasses.asdict made of each."""
    return tuple(ChangedIdentity(**{**record, "name": _name(record["name"])}) for record in records)


def _name(parts: list[str]) -> tuple[str, str]:
    schema, name = parts
    return schema, name
