"""Make one object in the target."""

from collections.abc import Sequence

import psycopg2
from psycopg2 import errorcodes
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import SchemaObject
from pg_migration.postgres.catalog.reading import set_locally
from pg_migration.postgres.catalog.renaming import quote
from pg_migration.postgres.ddl.meaning import MeaningChanged, demand_same_meaning, make_as_meant, needs_a_path
from pg_migration.postgres.session import execute, transaction
from pg_migration.postgres.values_path import SYSTEM

# What PostgreSQL says when a function's body names something without a schema and the search_path does not have it.
NAME_NOT_FOUND = frozenset(
    {
        errorcodes.UNDEFINED_FUNCTION,
        errorcodes.UNDEFINED_TABLE,
        errorcodes.UNDEFINED_OBJECT,
        errorcodes.INVALID_SCHEMA_NAME,
    }
)


def make(connection: Connection, item: SchemaObject, statements: Sequence[str], application: Sequence[str]) -> None:
    """Run statements of an object, in one transaction.

    They run as the session is, without users' schemas on the search_path, since every name in them is qualified; where
    that fails because a function body is not written so carefully, they run again with the object's schema on the path,
    as it was when the source's own application made the object. What the path itself gives a meaning to is made as it
    is meant.

    Args:
        connection: to the target, in autocommit mode.
        statements: all of the object's, or some of them.
        application: as `values_path.application_path`.

    Raises:
        MeaningChanged: they would make something that means another thing than the source's object.
        psycopg2.Error: the server's refusal.
    """
    text = ";\n".join(statements)
    begins = tuple(statements[:1]) == item.statements[:1]
    path = _usual_path(item, application)
    if begins and needs_a_path(item):
        make_as_meant(connection, item, text, path)
        return
    try:
        execute(connection, text)
    except psycopg2.Error as error:
        if connection.closed or error.pgcode not in NAME_NOT_FOUND or not item.search_path:
            raise
        first = error
    else:
        return
    try:
        with transaction(connection):
            set_locally(connection, {"search_path": path})
            execute(connection, text)
            if begins:
                demand_same_meaning(connection, item)
    except (psycopg2.Error, MeaningChanged):
        if connection.closed:
            raise
        raise first from None


def _usual_path(item: SchemaObject, application: Sequence[str]) -> str:
    """As sessions of the source's application have it, the system's names first where it says nothing else."""
    names = [*filter(None, [item.search_path]), *application]
    return ", ".join(map(quote, [*(() if SYSTEM in names else (SYSTEM,)), *names, "pg_temp"]))
