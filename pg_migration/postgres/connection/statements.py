"""Run one statement, or several in a transaction."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

Parameters = Sequence[Any] | Mapping[str, Any] | None


def execute(connection: Connection, statement: sql.Composable | str, parameters: Parameters = None) -> int:
    """Run one statement, without fetching; the number of rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.rowcount


def fetch(
    connection: Connection, statement: sql.Composable | str, parameters: Parameters = None
) -> list[tuple[Any, ...]]:
    """All rows of one query."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """A transaction on an autocommit connection: commit at the end of the block, roll back when it raises."""
    execute(connection, "BEGIN")
    try:
        yield
    except BaseException:
        with suppress(psycopg2.Error):
            execute(connection, "ROLLBACK")
        raise
    execute(connection, "COMMIT")
