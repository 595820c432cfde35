"""Whether anything was written to a table since its rows were hashed, without reading them again.

The server counts the rows that are inserted, updated and deleted, and whatever empties or rewrites a table gives it
another file. PostgreSQL docs: "The Cumulative Statistics System"; counts are exact, and of every session that is gone,
since version 15. One that is there may keep what it has counted to itself for a while.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.sql_files import sql_file

COUNTS_ARE_EXACT = 150000


@dataclass(frozen=True)
class Counts:
    """What a server has counted for a table, and the file that this is stored in."""

    relation: int
    file: int | None
    inserted: int
    updated: int
    deleted: int


@dataclass(frozen=True)
class Written:
    """What we wrote to a table: so many rows, in that file, since the server had counted so far."""

    before: Counts
    file: int | None
    rows: int

    def is_all(self, now: Counts | None) -> bool:
        """Whether nobody has written anything else since, by what the server has counted by now."""
        expected = Counts(
            self.before.relation,
            self.file,
            self.before.inserted + self.rows,
            self.before.updated,
            self.before.deleted,
        )
        return now == expected


# A session is gone from this view when all is told that it has counted. What those of other roles do is hidden (NULL).
_OTHERS = """
SELECT FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.pid <> ALL (%s::int[]) AND a.pid <> pg_backend_pid()
   AND coalesce(a.application_name, '') NOT IN (%s, %s)
   AND coalesce(a.backend_type, '') NOT IN ('autovacuum worker', 'parallel worker')
   AND NOT coalesce(a.state IS NULL AND a.query = '', false)  -- it has only just connected
   AND NOT coalesce(a.state = 'idle' AND a.state_change
                    < (SELECT me.backend_start FROM pg_stat_activity me WHERE me.pid = pg_backend_pid()), false)
 LIMIT 1
"""


def may_be_written(connection: Connection, ours: Collection[int], names: tuple[str, str]) -> bool:
    """Whether another session may have written something that is not counted yet; to be asked before the counts.

    Args:
        connection: is older than what is asked about.
        ours: processes of sessions that have told what they have counted.
        names: application names of others such.
    """
    return bool(fetch(connection, _OTHERS, (list(ours), *names)))


def read_counts(connection: Connection, tables: Collection[TableName]) -> Mapping[TableName, Counts]:
    """What the server has counted for some tables by now; nothing where it does not count, or not exactly.

    Raises:
        psycopg2.Error: the server can't be asked.
    """
    if connection.server_version < COUNTS_ARE_EXACT or not tables:
        return {}
    names = {"schemas": [schema for schema, _ in tables], "names": [name for _, name in tables]}
    rows = fetch(connection, sql_file("hashing/counts.sql"), names)
    return {(schema, name): Counts(*rest) for schema, name, *rest in rows}
