"""Exact row counts of both sides."""

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.comparing import Part
from pg_migration.postgres.session import fetch


def count_rows(connection: Connection, part: Part) -> int:
    """``count(*)`` of some rows on one side, a `comparing.Question`."""
    ((rows,),) = fetch(connection, sql.SQL("SELECT count(*) {}").format(part.rows))
    return int(rows)
