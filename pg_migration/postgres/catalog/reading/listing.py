"""The short list of tables that Dagster definitions are made of: one query, read whenever code is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.model import TableName
from pg_migration.postgres.catalog.patterns import is_excluded
from pg_migration.postgres.catalog.reading.catalog_session import Query, catalog_session
from pg_migration.postgres.catalog.reading.rows import ListedTableRow


@dataclass(frozen=True)
class ListedColumn:
    """A column as people see it."""

    name: str
    type: str
    not_null: bool


@dataclass(frozen=True)
class TableListing:
    """A table that a migration copies. ``references`` are the tables that its foreign keys point to, if any."""

    schema: str
    name: str
    kind: str
    comment: str | None
    columns: tuple[ListedColumn, ...]
    references: tuple[TableName, ...]


@dataclass(frozen=True)
class Contents:
    """What there is to migrate: tables, and whether the database has large objects."""

    tables: tuple[TableListing, ...]
    has_large_objects: bool


def list_tables(
    connection: Connection, schemas: Mapping[str, str], exclude: Sequence[str] = ()
) -> tuple[TableListing, ...]:
    """The tables in some schemas, without those that match a pattern of ``exclude`` (as in `discover`).

    Partitions and children of an excluded table are left out by `discover` only: this is a listing by name.
    """
    found = list_contents(connection, schemas).tables
    return tuple(table for table in found if not is_excluded(table.schema, table.name, exclude))


def list_contents(connection: Connection, schemas: Mapping[str, str]) -> Contents:
    """All tables in some schemas, and whether there are large objects, in one round trip."""
    with catalog_session(connection, schemas, {"quote_all_identifiers": "off"}) as session:
        listing = Query.relative("table_listing", list(schemas))
        found = session.read(listing, "large_objects")
    rows: Sequence[ListedTableRow] = found[listing.name]
    tables = (
        TableListing(
            schema=row["schema"],
            name=row["name"],
            kind=row["kind"],
            comment=row["comment"],
            columns=tuple(ListedColumn(name, kind, not_null == "true") for name, kind, not_null in row["columns"]),
            references=tuple((schema, name) for schema, name in row["references"]),
        )
        for row in rows
    )
    return Contents(tuple(tables), bool(found["large_objects"]))
