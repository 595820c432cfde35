"""Exact row counts of both sides."""

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.comparing import Part


def count_rows(connection: Connection, part: Part) -> int:
    """``count(*)`` of some rows on one side, a `comparing.Question`."""
    ((rows,),) = part.fetch(connection, sql.SQL("SELECT pg_catalog.count(*) {}").format(part.rows))
    return int(rows)
