"""What is around the migrated schemas: other relations, and what is said of the database. None of it is copied."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.model import Notice, TableName
from pg_migration.postgres.catalog.reading.catalog_session import Query, catalog_session
from pg_migration.postgres.catalog.reading.rows import SaidOfDatabaseRow


@dataclass(frozen=True)
class Surroundings:
    """Of a target: the database's name, its tables of every kind and views, and statements that say what it is like.

    ``extensions`` are those that it has, and in which schema.
    """

    database: str
    relations: frozenset[TableName]
    statements: frozenset[str]
    extensions: Mapping[str, str]


def read_surroundings(connection: Connection) -> Surroundings:
    """Look at the database of a connection."""
    database = str(connection.info.dbname)
    with catalog_session(connection, {}) as session:
        found = session.read("relations", "installed_extensions", said_of_database(database))
    return Surroundings(
        database,
        frozenset((row["schema"], row["name"]) for row in found["relations"]),
        frozenset(row["statement"] for row in found["database"]),
        {row["name"]: row["schema"] for row in found["installed_extensions"]},
    )


def said_of_database(name: str) -> Query:
    """What is said of a database itself, as statements for the database of this name."""
    return Query("database", {"pg_migration.target_database": name, "quote_all_identifiers": "off"})


def database_notices(database: str, rows: Sequence[SaidOfDatabaseRow], target: Surroundings) -> Iterator[Notice]:
    """What is said of the source's database and not of the target's.

    Args:
        database: the source's name.
        rows: of `said_of_database`, for the target's name.
    """
    for row in rows:
        if row["statement"] not in target.statements:
            yield Notice(
                "database",
                f"{database}, {row['what']}",
                f"what is said of the database itself is not copied; the target gets it by {row['statement']}",
            )
