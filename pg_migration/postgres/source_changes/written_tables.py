"""Which tables of the source were written to since they were copied, without reading them.

PostgreSQL counts the rows that are written, and publishes the count a moment after the commit, aborted ones too. So a
mark that was read before a copy's snapshot was taken tells of every later write; it may also tell of one that the copy
has, and of one that was rolled back. Then a table is copied once more than it had to be, but never once too few.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.ledger.schema import has
from pg_migration.postgres.ledger.source_state import LARGE_OBJECTS, large_objects_copied_at
from pg_migration.postgres.sql_files import sql_file


@dataclass(frozen=True)
class Marks:
    """What tables looked like at a time of the source's clock: their names in the source, and a mark of each.

    That of all large objects together is under `LARGE_OBJECTS`, where it was asked for.
    """

    at: datetime
    by_table: Mapping[TableName, str]


def read_marks(source: Connection, schemas: Collection[str], large_objects: bool = False) -> Marks:
    """The marks of all tables in some schemas, now. Partitioned tables have none: their partitions do.

    Args:
        large_objects: whether to read a mark of these, too.

    The connection must not be in a transaction, in which statistics stand still.

    Raises:
        ConfigurationError: the source is a standby, which counts nothing of what its primary writes.
    """
    ((now, standby),) = fetch(source, "SELECT clock_timestamp(), pg_is_in_recovery()")
    if standby:
        raise ConfigurationError(
            "the source is a standby, whose statistics do not count what its primary writes: which tables changed "
            "can't be told. Migrate by a schedule instead, or give the primary as the source"
        )
    statement = sql_file("source_changes/written_tables.sql")
    rows = fetch(source, statement, {"schemas": list(schemas), "large_objects": large_objects})
    marks = {(schema, name): mark for schema, name, mark in rows if schema != LARGE_OBJECTS[0]}
    of_large_objects = [mark for schema, _, mark in sorted(rows) if schema == LARGE_OBJECTS[0]]
    return Marks(now, marks | ({LARGE_OBJECTS: "; ".join(of_large_objects)} if of_large_objects else {}))


def copied_at(target: Connection, source: Endpoint) -> Mapping[TableName, datetime]:
    """Of each table in the target, the time of the oldest snapshot that its rows are of (the source's clock).

    Tables that a run left unfinished, or that failed their checks, are not among them. Under `LARGE_OBJECTS` is when
    all large objects of a source were copied last.
    """
    if not has(target, "chunk"):
        return {}
    of_large_objects = large_objects_copied_at(target, source)
    return ({LARGE_OBJECTS: of_large_objects} if of_large_objects is not None else {}) | {
        (schema, name): at
        for schema, name, at in fetch(
            target,
            "SELECT c.schema_name, c.table_name, min(r.snapshot_at) FROM _pg_migration.chunk c "
            "LEFT JOIN _pg_migration.run r USING (run_id) "
            "WHERE c.relation = to_regclass(format('%I.%I', c.schema_name, c.table_name)) "
            "GROUP BY 1, 2 HAVING bool_and(coalesce(r.succeeded, false))",
        )
    }
