"""Make one object in the target."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg2
from psycopg2 import errorcodes
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import SchemaObject, installed_extensions
from pg_migration.postgres.catalog.reading.catalog_session import set_locally
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.catalog.values_path import SYSTEM
from pg_migration.postgres.connection.statements import execute, fetch, transaction
from pg_migration.postgres.ddl.reconciliation.operator_lookup import (
    MeaningChanged,
    check_same_meaning,
    make_as_meant,
    needs_a_path,
)

SAFE_MAINTENANCE_SINCE = 170000
ALTERING_FUNCTIONS = 0x70675F6D69677261

# What PostgreSQL says when a function's body names something without a schema and the search_path does not have it.
NAME_NOT_FOUND = frozenset(
    {
        errorcodes.UNDEFINED_FUNCTION,
        errorcodes.UNDEFINED_TABLE,
        errorcodes.UNDEFINED_OBJECT,
        errorcodes.INVALID_SCHEMA_NAME,
    }
)


def make(
    connection: Connection, item: SchemaObject, statements: Sequence[str], application: Sequence[str]
) -> str | None:
    """Run statements of an object, in one transaction.

    They run as the session is, without users' schemas on the search_path, since every name in them is qualified; where
    that fails because a function body is not written so carefully, they run again with the object's schema on the path,
    as it was when the source's own application made the object. What the path itself gives a meaning to is made as it
    is meant. From 17 on PostgreSQL does not use the session's path when it builds an index or fills a materialized
    view: there the functions that are called get one of their own for as long as that takes.

    Args:
        connection: to the target, in autocommit mode.
        statements: all of the object's, or some of them.
        application: as `values_path.application_path`.

    Returns:
        What people have to know of how it was made, if anything.

    Raises:
        MeaningChanged: they would make something that means another thing than the source's object.
        psycopg2.Error: the server's refusal.
    """
    text = ";\n".join(statements)
    begins = tuple(statements[:1]) == item.statements[:1]
    if begins and needs_a_path(item):
        make_as_meant(connection, item, text, usual_path(connection, item.search_path, application))
        return None
    try:
        execute(connection, text)
    except psycopg2.Error as error:
        if connection.closed or error.pgcode not in NAME_NOT_FOUND or not item.search_path:
            raise
        first = error
    else:
        return None
    # From 17 on some commands look in pg_catalog alone, whatever the session's path (release notes of 17, "Migration").
    ways: list[tuple[str, ...]] = [()]
    if item.calls and connection.server_version >= SAFE_MAINTENANCE_SINCE:
        ways.append(item.calls)
    path = usual_path(connection, item.search_path, application)
    for functions in ways:
        if _is_made_on_path(connection, item, text, functions, path, begins):
            return by_path(functions, path) if functions else None
    raise first


def _is_made_on_path(
    connection: Connection, item: SchemaObject, text: str, functions: Sequence[str], path: str, begins: bool
) -> bool:
    try:
        with transaction(connection), on_path(connection, functions, path):
            execute(connection, text)
            if begins:
                check_same_meaning(connection, item)
    except (psycopg2.Error, MeaningChanged):
        if connection.closed:
            raise
        return False
    return True


@contextmanager
def on_path(connection: Connection, functions: Sequence[str], path: str) -> Iterator[None]:
    """A search_path for the session and for functions that have none, in the transaction that is open.

    When the block ends, the functions are again as they were; nobody else ever sees them otherwise.
    """
    if functions:
        # Two sessions can't alter one function at once.
        fetch(connection, "SELECT pg_catalog.pg_advisory_xact_lock(%s)", (ALTERING_FUNCTIONS,))
    for function in functions:
        execute(connection, f"ALTER FUNCTION {function} SET search_path = {path}")
    set_locally(connection, {"search_path": path})
    yield
    for function in functions:
        execute(connection, f"ALTER FUNCTION {function} RESET search_path")


def by_path(functions: Sequence[str], path: str) -> str:
    """What to tell of functions that only a search_path has made work."""
    remedies = "; ".join(f"ALTER FUNCTION {function} SET search_path = {path}" for function in functions)
    return (
        "it calls functions that find names by the search_path, which REINDEX, REFRESH, ANALYZE and autovacuum do not "
        "use from PostgreSQL 17 on. The functions had one while it was made, and are as in the source again. Those "
        f"commands will fail on the target until somebody says, for the functions that need it: {remedies}"
    )


def usual_path(connection: Connection, schema: str, application: Sequence[str]) -> str:
    """As sessions of the source's application have it, the system's names first where it says nothing else.

    Schemas of extensions come last: many applications have them on a path that no setting of the database tells.
    """
    extensions = sorted(set(installed_extensions(connection).values()) - {SYSTEM})
    names = dict.fromkeys([*filter(None, [schema]), *application, *extensions])
    return ", ".join(map(quote, [*(() if SYSTEM in names else (SYSTEM,)), *names, "pg_temp"]))
