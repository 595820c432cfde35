"""What is read of a table in the source, said once for whoever reads: the copy, the hashes, the counts.

A transform chooses rows and masks columns. Both happen in the source's own query, so that neither a row that was not
chosen nor a value as it was leaves the source.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg2
from psycopg2 import sql

from pg_migration.postgres.catalog.model import Column, RowTransform, Table
from pg_migration.postgres.catalog.schema_renaming import quote


def chosen(transform: RowTransform | None, predicate: sql.Composable) -> sql.Composable:
    """The condition of those rows of a transform that a predicate holds for."""
    if transform is None or not transform.condition:
        return predicate
    return sql.SQL("({}) AND ({})").format(sql.SQL(transform.condition), predicate)


def values(transform: RowTransform | None, columns: Sequence[Column]) -> sql.Composable:
    """The select list of some columns that are stored in rows, by their names where one is masked."""
    masks = dict(transform.masks) if transform is not None else {}
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(sql.SQL(masks[column.name]), sql.Identifier(column.name))
        if column.name in masks
        else sql.Identifier(column.name)
        for column in columns
    )


def masked_rows(
    table: Table, transform: RowTransform, relation: sql.Composable, condition: sql.Composable, limit: int | None = None
) -> sql.Composable:
    """An item of FROM, called as the table, with the rows as the target gets them.

    Args:
        relation: what to read.
        condition: which rows; see `chosen`.
        limit: no more than so many.
    """
    # Each keeps the server from computing a mask once for every use of its column.
    end = sql.SQL("OFFSET 0") if limit is None else sql.SQL(f"LIMIT {limit:d}")
    made: sql.Composable = sql.SQL("(SELECT {} FROM {} WHERE {} {}) AS {}").format(
        values(transform, table.stored_columns), relation, condition, end, sql.Identifier(table.name)
    )
    computed = dict(transform.computed)
    if not table.computed_columns:
        return made
    columns = [
        *(sql.Identifier(column.name) for column in table.stored_columns),
        *(sql.SQL(f"{computed.get(column.name, 'NULL')} AS {quote(column.name)}") for column in table.computed_columns),
    ]
    return sql.SQL("(SELECT {} FROM {} OFFSET 0) AS {}").format(
        sql.SQL(", ").join(columns), made, sql.Identifier(table.name)
    )


# Errors whose messages may show values: of data, of constraints, of functions.
_SHOWING_VALUES = ("22", "23", "2F", "38", "39", "P0")


@contextmanager
def discreet(transform: RowTransform | None) -> Iterator[None]:
    """Keep values as they are in the source out of what is told of an error, where some are not to leave it.

    Raises:
        psycopg2.DataError: in place of an error that may show values.
    """
    try:
        yield
    except psycopg2.Error as error:
        if transform is None or not may_show_values(error):
            raise
        raise psycopg2.DataError(said_discreetly(error)) from None


def may_show_values(error: BaseException) -> bool:
    """Whether a server's message may repeat what is in a row."""
    return isinstance(error, psycopg2.Error) and (error.pgcode or "").startswith(_SHOWING_VALUES)


def said_discreetly(error: BaseException) -> str:
    """What kind of error it was, without the server's words."""
    state = f" (SQLSTATE {error.pgcode})" if isinstance(error, psycopg2.Error) else ""
    return f"{type(error).__name__}{state}; what the server says may show values that are masked, and is in its log"
