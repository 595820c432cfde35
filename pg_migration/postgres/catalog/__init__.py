"""Discovery: what is in a database, read from the system catalogs, with the DDL that makes it again."""

from pg_migration.postgres.catalog.discover import configurations, discover, installed_extensions
from pg_migration.postgres.catalog.model import (
    MATERIALIZED_ROWS,
    Address,
    Catalog,
    Column,
    ConfigurationTable,
    ForeignKey,
    LargeObjects,
    Lookup,
    Notice,
    Phase,
    PrivilegesOfLargeObjects,
    ReferringColumn,
    RowTransform,
    SchemaObject,
    Sequence,
    Table,
    TableName,
)
from pg_migration.postgres.catalog.patterns import matches
from pg_migration.postgres.catalog.reading.listing import ListedColumn, TableListing, list_contents, list_tables
from pg_migration.postgres.catalog.reading.surroundings import Surroundings, read_surroundings

__all__ = [
    "MATERIALIZED_ROWS",
    "Address",
    "Catalog",
    "Column",
    "ConfigurationTable",
    "ForeignKey",
    "LargeObjects",
    "ListedColumn",
    "Lookup",
    "Notice",
    "Phase",
    "PrivilegesOfLargeObjects",
    "ReferringColumn",
    "RowTransform",
    "SchemaObject",
    "Sequence",
    "Surroundings",
    "Table",
    "TableListing",
    "TableName",
    "configurations",
    "discover",
    "installed_extensions",
    "list_contents",
    "list_tables",
    "matches",
    "read_surroundings",
]
