"""Rows of many megabytes: libpq holds one whole, several times over, so not every worker may read such rows at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg2 import sql

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.wide_copy import COPIES_OF_A_ROW

NARROW_BYTES = 2**20
MOST_BYTES = 200 * 2**20
STOP_POLL_SECONDS = 0.2

# Of these the server knows the length without reading the value.
_MEASURED_TYPES = ("text", "character varying", "bytea")


def is_wide(row_bytes: int) -> bool:
    """Whether memory has to be shared out between those who copy rows of this width."""
    return row_bytes > NARROW_BYTES


def widest_row(table: Table, types: dict[str, str], binary: bool) -> sql.Composable | None:
    """A query for the bytes of the widest row on the wire, about; None where rows can't get that large.

    That is what text and bytea values add up to.

    The server tells their lengths without reading them (only the main fork of the table is read).

    Args:
        types: the built-in type of each column, by name.
        binary: whether rows travel in binary; in text a byte of bytea takes two.
    """
    lengths = [
        sql.SQL("(coalesce(pg_catalog.octet_length({}), 0) OPERATOR(pg_catalog.*) {}::pg_catalog.int8)").format(
            sql.Identifier(name), sql.Literal(2 if type_name == "bytea" and not binary else 1)
        )
        for name, type_name in types.items()
        if type_name in _MEASURED_TYPES
    ]
    if not lengths:
        return None
    return sql.SQL("SELECT coalesce(pg_catalog.max({}), 0) FROM ONLY {}").format(
        sql.SQL(" OPERATOR(pg_catalog.+) ").join(lengths), sql.Identifier(table.schema, table.name)
    )


class RowMemory:
    """The memory that rows on their way may take, shared by all workers of a load."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        """
        Args:
            stopping: whether those who wait should give up waiting.
        """
        self._stopping = stopping
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, row_bytes: int) -> Iterator[bool]:
        """Wait until a row of this width has room; one that is wider than all there is gets it alone.

        Yields:
            Whether the row counts as wide, so that the connection that read it holds on to a large buffer.
        """
        wanted = min(row_bytes * COPIES_OF_A_ROW, MOST_BYTES) if is_wide(row_bytes) else 0
        with self._changed:
            while wanted and self._taken + wanted > MOST_BYTES and not self._stopping():
                self._changed.wait(STOP_POLL_SECONDS)
            self._taken += wanted
        try:
            yield wanted > 0
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()
