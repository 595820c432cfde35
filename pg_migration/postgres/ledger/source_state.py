"""What the statistics of the source said of each table when it was copied."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table, TableName
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
            "OR NOT EXISTS (SELECT FROM _pg_migration.chunk c WHERE "
            "(c.run_id, c.schema_name, c.table_name) = (s.run_id, s.schema_name, s.table_name))",
            (run_id,),
        )
        execute_rows(target, "INSERT INTO _pg_migration.source_state VALUES %s", rows)


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
