"""The positions that sequences were set to."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute_rows, fetch
from pg_migration.postgres.ledger.schema import has

SequenceName = tuple[str, str]


@dataclass(frozen=True)
class Position:
    """The value a sequence gave last, or will give next when it was never called."""

    last_value: int
    is_called: bool


def record_positions(connection: Connection, positions: Mapping[SequenceName, Position]) -> None:
    """Write down where the source's sequences stood when they were read; names are the target's."""
    rows = [(*name, str(p.last_value), p.is_called) for name, p in positions.items()]
    execute_rows(
        connection,
        "INSERT INTO _pg_migration.sequence_position (schema_name, sequence_name, last_value, is_called) "
        "VALUES %s ON CONFLICT (schema_name, sequence_name) DO UPDATE SET "
        "read_at = excluded.read_at, last_value = excluded.last_value, is_called = excluded.is_called",
        rows,
        template="(%s, %s, %s::bigint, %s)",
    )


POSITIONS = (
    "SELECT schema_name, sequence_name, to_char(read_at, 'YYYY-MM-DD HH24:MI:SS'), last_value, is_called "
    "FROM _pg_migration.sequence_position"
)


def recorded_positions(connection: Connection) -> Mapping[SequenceName, tuple[str, Position]]:
    """When the source was read for each sequence of the target, and what it said."""
    if not has(connection, "sequence_position"):
        return {}
    rows = fetch(connection, POSITIONS)
    return {(schema, name): (at, Position(value, called)) for schema, name, at, value, called in rows}
