"""Rows of many megabytes: libpq holds one whole, several times over, so not every worker may read such rows at once."""

from psycopg2 import sql

from pg_migration.postgres.catalog import Table

NARROW_BYTES = 2**20


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
