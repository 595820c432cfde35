"""Exact row counts of both sides."""

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.comparing import compared_relation
from pg_migration.postgres.ledger import TableName
from pg_migration.postgres.session import fetch


def count_rows(connection: Connection, name: TableName, table: Table) -> int:
    """``count(*)`` of one table on one side, a `comparing.Question`."""
    only = sql.SQL("" if compared_relation(table)[1] else "ONLY ")
    ((rows,),) = fetch(connection, sql.SQL("SELECT count(*) FROM {}{}").format(only, sql.Identifier(*name)))
    return int(rows)
