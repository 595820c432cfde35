"""The databases of a server, and the statement that makes one of them on another server.

PostgreSQL docs: CREATE DATABASE; "Locale Providers". template0 holds nothing that somebody has added, and any encoding
and locale can be chosen with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import ConnectionFailed, MigrationError, server_message
from pg_migration.postgres.sql_files import sql_file

# Where a session can be that is about another database; createdb tries them in this order, too.
MAINTENANCE = ("postgres", "template1")
PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
PROVIDERS_SINCE = 150000
RULES_SINCE = 160000

_HOLDS_SOMETHING = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
     WHERE n.nspname OPERATOR(pg_catalog.!~) '^pg_' AND n.nspname OPERATOR(pg_catalog.<>) 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                          AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'))
"""


@dataclass(frozen=True)
class ServerDatabase:
    """A database, with what can be chosen only when it is made.

    ``provider`` is libc, icu or builtin, ``locale`` that of the latter two, ``rules`` are ICU's.
    """

    name: str
    encoding: str
    collate: str
    ctype: str
    provider: str = "libc"
    locale: str | None = None
    rules: str | None = None
    may_connect: bool = True


def databases_of(end: Endpoint) -> list[ServerDatabase]:
    """The databases of a server but templates, and but the empty one that servers come with.

    Args:
        end: how to connect to any database of it.

    Raises:
        MigrationError: it can't be asked.
    """
    with Connections("pg_migration init") as connections:
        found = _listed(connections.open(end))
        return [one for one in found if one.name != MAINTENANCE[0] or _holds_something(connections, end, one)]


def _listed(connection: Connection) -> list[ServerDatabase]:
    try:
        rows = fetch(connection, sql_file("databases/server_databases.sql"))
    except psycopg2.Error as error:
        raise MigrationError(f"the databases of the server can't be listed: {server_message(error)}") from None
    return [
        ServerDatabase(
            name=name,
            encoding=encoding,
            collate=known["datcollate"],
            ctype=known["datctype"],
            provider=PROVIDERS.get(known.get("datlocprovider", "c"), "libc"),
            locale=known.get("datlocale") or known.get("daticulocale"),
            rules=known.get("daticurules"),
            may_connect=may_connect,
        )
        for name, encoding, may_connect, known in rows
    ]


def _holds_something(connections: Connections, end: Endpoint, database: ServerDatabase) -> bool:
    if not database.may_connect:
        return False
    ((holds,),) = fetch(connections.open(end.at(database.name)), _HOLDS_SOMETHING)
    return bool(holds)


def make_like(source: Endpoint, target: Endpoint) -> str | None:
    """Make the database of the target, where it does not exist, with the encoding and locale of the source's.

    Returns:
        The statement that was run; None where the database is there.

    Raises:
        MigrationError: it can't be made, with the statement that was tried.
    """
    with Connections("pg_migration create database") as connections, _beside(connections, target) as beside:
        if beside is None:  # a server that lets nobody look beside the database itself
            connections.open(target)
            return None
        if fetch(beside, "SELECT FROM pg_catalog.pg_database WHERE datname = %s", (target.database,)):
            return None
        like = next((d for d in _listed(connections.open(source)) if d.name == source.database), None)
        if like is None:
            raise MigrationError(f"database {source.database} of the source is a template: name another one")
        statement = create_statement(like, target.database, beside)
        try:
            execute(beside, statement)
        except psycopg2.Error as error:
            raise MigrationError(
                f"the target database {target.description} can't be made: {server_message(error)}. The statement "
                f"was: {statement}; run it as a role that may, with a locale that this server has, and start again"
            ) from None
        return statement


@contextmanager
def _beside(connections: Connections, end: Endpoint) -> Iterator[Connection | None]:
    """A session in another database of the same server, if there is one that lets us in."""
    for name in MAINTENANCE:
        try:
            connection = connections.open(end.at(name))
        except ConnectionFailed as error:
            if error.transient:
                raise
            continue
        yield connection
        return
    yield None


def create_statement(like: ServerDatabase, name: str, connection: Connection) -> str:
    """CREATE DATABASE on another server.

    Args:
        connection: to that server, which quotes names and has a version.
    """
    version = connection.server_version
    options: list[tuple[str, str | None]] = [("ENCODING", like.encoding)]
    if version >= PROVIDERS_SINCE:
        options.append(("LOCALE_PROVIDER", like.provider))
    options += [("LC_COLLATE", like.collate), ("LC_CTYPE", like.ctype)]
    if like.provider != "libc":
        options.append((f"{like.provider}_LOCALE".upper(), like.locale))
    if version >= RULES_SINCE:
        options.append(("ICU_RULES", like.rules))
    told = " ".join(f"{o} {sql.Literal(value).as_string(connection)}" for o, value in options if value is not None)
    return f"CREATE DATABASE {sql.Identifier(name).as_string(connection)} TEMPLATE template0 {told}"
