"""What the statistics of the source said of each table when it was copied."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.statements import Question, asked_together, execute, execute_rows, fetch, gathered
from pg_migration.postgres.ledger.schema import has
from pg_migration.postgres.sql_files import sql_file

# A standby's snapshot does not list the transactions that were under way (PostgreSQL keeps them elsewhere in recovery),
# so all from the oldest of them on count as newer, although rows of some may have been copied.
_SNAPSHOT = """
SELECT CASE WHEN standby THEN format('%1$s:%1$s:', txid_snapshot_xmin(seen)) ELSE format('%s', seen) END, standby
FROM (SELECT txid_current_snapshot() AS seen, pg_is_in_recovery() AS standby) AS now
"""

UNCOUNTED = -1

# All of them together count as one table.
LARGE_OBJECTS: TableName = ("pg_catalog", "pg_largeobject")


@dataclass(frozen=True)
class SourceState:
    """What a table of the source looked like in the snapshot of the run that copied it.

    The counts are `UNCOUNTED` where the source was a standby.
    """

    snapshot_at: datetime
    relation: int
    file: int | None
    transactions: str
    inserted: int
    updated: int
    deleted: int


def record(source: Connection, target: Connection, run_id: str, tables: Mapping[Table, TableName]) -> None:
    """Write down what tables look like in a run's snapshot.

    Args:
        source: a connection that sees the snapshot.
        target: where the bookkeeping is.
        tables: with their names in the target.
    """
    if not tables:
        return
    names = {table.oid: name for table, name in tables.items()}
    states: Question = (sql_file("source_changes/table_state.sql"), {"tables": list(names)})
    with asked_together(source, [(_SNAPSHOT, None), states]):
        ((transactions, standby),) = fetch(source, _SNAPSHOT)
        rows = [
            (run_id, *names[oid], oid, file, transactions, *([UNCOUNTED] * len(counters) if standby else counters))
            for oid, file, *counters in fetch(source, *states)
        ]
    with gathered(target):
        execute(
            target,
            "DELETE FROM _pg_migration.source_state s WHERE run_id = %s "
            "OR (s.schema_name, s.table_name) <> (%s, %s) AND NOT EXISTS (SELECT FROM _pg_migration.chunk c WHERE "
            "(c.run_id, c.schema_name, c.table_name) = (s.run_id, s.schema_name, s.table_name))",
            (run_id, *LARGE_OBJECTS),
        )
        execute_rows(target, "INSERT INTO _pg_migration.source_state VALUES %s", rows)


def record_large_objects(target: Connection, run_id: str) -> None:
    """Write down that a run has copied all large objects, in the place of earlier runs from the same source."""
    execute(
        target,
        "WITH gone AS (DELETE FROM _pg_migration.source_state s USING _pg_migration.run earlier, _pg_migration.run r "
        "WHERE r.run_id = %s AND earlier.source = r.source AND s.run_id = earlier.run_id "
        "AND (s.schema_name, s.table_name) = (%s, %s) AND s.run_id <> r.run_id) "
        "INSERT INTO _pg_migration.source_state (run_id, schema_name, table_name, relation, transactions, inserted, "
        "updated, deleted) VALUES (%s, %s, %s, 'pg_largeobject'::regclass, '', %s, %s, %s) ON CONFLICT DO NOTHING",
        (run_id, *LARGE_OBJECTS, run_id, *LARGE_OBJECTS, *[UNCOUNTED] * 3),
    )


def large_objects_copied_at(target: Connection, source: Endpoint) -> datetime | None:
    """The snapshot of the last run that has copied all large objects of a source, and has succeeded."""
    if not has(target, "source_state"):
        return None
    ((at,),) = fetch(
        target,
        "SELECT max(r.snapshot_at) FROM _pg_migration.source_state s JOIN _pg_migration.run r USING (run_id) "
        "WHERE (s.schema_name, s.table_name) = (%s, %s) AND r.source = %s AND r.succeeded",
        (*LARGE_OBJECTS, source.description),
    )
    return at if isinstance(at, datetime) else None


def state_at_copy(target: Connection, name: TableName) -> SourceState | None:
    """What the source's table looked like when the rows that the target has were copied, the earliest of them first.

    None when the target's bookkeeping does not know.
    """
    if not has(target, "source_state"):
        return None
    rows = fetch(
        target,
        "SELECT r.snapshot_at, s.relation, s.file, s.transactions, s.inserted, s.updated, s.deleted "
        "FROM _pg_migration.source_state s JOIN _pg_migration.run r USING (run_id) "
        "WHERE (s.schema_name, s.table_name) = (%s, %s) AND EXISTS (SELECT FROM _pg_migration.chunk c "
        "WHERE (c.run_id, c.schema_name, c.table_name) = (s.run_id, s.schema_name, s.table_name)) "
        "ORDER BY r.snapshot_at LIMIT 1",
        name,
    )
    return SourceState(*rows[0]) if rows else None


def counted_writes(
    target: Connection, run_id: str, pairs: Collection[tuple[TableName, str, TableName]]
) -> set[TableName]:
    """The tables of the source that its statistics have counted writes to since earlier runs have read them.

    They may count some that these runs have read, as a count is published a moment after the commit; and one that comes
    later yet may be missing.

    Args:
        run_id: a run that has written down what they look like now.
        pairs: by which name that run has a table, which earlier run has read it, and by which name.

    Returns:
        The names that the run has for them.
    """
    rows = fetch(
        target,
        "SELECT w.schema_name, w.table_name FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[]) "
        "AS w (schema_name, table_name, run_id, earlier_schema, earlier_table) "
        "JOIN _pg_migration.source_state now ON (now.run_id, now.schema_name, now.table_name) "
        "= (%s, w.schema_name, w.table_name) "
        "JOIN _pg_migration.source_state was ON (was.run_id, was.schema_name, was.table_name) "
        "= (w.run_id, w.earlier_schema, w.earlier_table) "
        "WHERE (now.relation, now.file, now.inserted, now.updated, now.deleted) "
        "IS DISTINCT FROM (was.relation, was.file, was.inserted, was.updated, was.deleted)",
        (
            *([name[0] for name, *_ in pairs], [name[1] for name, *_ in pairs], [run for _, run, _ in pairs]),
            *([earlier[0] for *_, earlier in pairs], [earlier[1] for *_, earlier in pairs], run_id),
        ),
    )
    return set(rows)
