"""What is around the migrated schemas: other relations, and what is said of the database. None of it is copied."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.model import Notice, TableName
from pg_migration.postgres.catalog.reading.catalog_session import catalog_session, read, set_locally
from pg_migration.postgres.catalog.reading.rows import SaidOfDatabaseRow
from pg_migration.postgres.connection.statements import fetch


@dataclass(frozen=True)
class Surroundings:
    """Of a target: the database's name, its tables of every kind and views, and statements that say what it is like."""

    database: str
    relations: frozenset[TableName]
    statements: frozenset[str]


def read_surroundings(connection: Connection) -> Surroundings:
    """Look at the database of a connection."""
    database = str(connection.info.dbname)
    relations = fetch(
        connection,
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
        " WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}')"
        " AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid",
    )
    with catalog_session(connection, {}):
        statements = [statement for _, statement in _said_of_database(connection, database)]
    return Surroundings(database, frozenset(relations), frozenset(statements))


def database_notices(connection: Connection, target: Surroundings) -> Iterator[Notice]:
    """What is said of the source's database and not of the target's; call it in a `catalog_session`."""
    for what, statement in _said_of_database(connection, target.database):
        if statement not in target.statements:
            yield Notice(
                "database",
                f"{connection.info.dbname}, {what}",
                f"what is said of the database itself is not copied; the target gets it by {statement}",
            )


def _said_of_database(connection: Connection, name: str) -> list[tuple[str, str]]:
    set_locally(connection, {"pg_migration.target_database": name, "quote_all_identifiers": "off"})
    rows: Sequence[SaidOfDatabaseRow] = read(connection, "database")
    return [(row["what"], row["statement"]) for row in rows]
