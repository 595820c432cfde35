"""Read the system catalogs: one query per object kind, whatever the number of objects."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.connection.session_settings import PINNED, SEARCH_PATH, WRITTEN_WITH, set_configs
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.sql_files import sql_file

Row = Mapping[str, Any]
"""A row of whatever query; those of each by itself are in `rows`."""

# A search_path without users' schemas has the server qualify every name outside pg_catalog, and quoting every
# identifier keeps names readable by a newer server for which they have become keywords. Compiling catalog queries to
# machine code takes longer than running them.
DEPARSING = {
    "search_path": SEARCH_PATH,
    "quote_all_identifiers": "on",
    "jit": "off",
    **{name: PINNED[name] for name in sorted(WRITTEN_WITH)},
}

# parse_ident wants one name at least; no schema has this one, which is longer than names can be.
_NO_SCHEMA = "-" * 64


@cache
def query_text(name: str) -> str:
    """The text of ``queries/<name>.sql``."""
    return sql_file(f"catalog/queries/{name}.sql")


@contextmanager
def catalog_session(connection: Connection, schemas: Mapping[str, str]) -> Iterator[None]:
    """Settings for deparsing while the block runs, undone afterwards.

    In a transaction (of the caller's, or else one read-only REPEATABLE READ of its own), inside a savepoint that is
    rolled back: that restores every setting, also after an error. The queries read the chosen schemas from settings of
    our own, as one qualified name (`parse_ident` needs no cast), so that each can be run by itself in psql.
    """
    own = connection.autocommit and connection.info.transaction_status == TRANSACTION_STATUS_IDLE
    if own:
        execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    execute(connection, "SAVEPOINT pg_migration_catalog")
    try:
        set_locally(connection, DEPARSING)
        chosen = {"pg_migration.schemas": schemas, "pg_migration.target_schemas": schemas.values()}
        set_locally(connection, {name: ".".join(map(quote, names or [_NO_SCHEMA])) for name, names in chosen.items()})
        yield
    finally:
        if not connection.closed:
            execute(connection, "ROLLBACK TO SAVEPOINT pg_migration_catalog")
            if own:
                execute(connection, "ROLLBACK")


def set_locally(connection: Connection, settings: Mapping[str, str]) -> None:
    """SET LOCAL, by way of set_config."""
    execute(connection, sql.SQL("SELECT {}").format(sql.SQL(", ").join(set_configs(settings, local=True))))


def read(connection: Connection, name: str) -> Sequence[Any]:
    """The rows of ``queries/<name>.sql``, by column name; `rows` has their types."""
    return _rows(connection, query_text(name))


def read_relative(connection: Connection, name: str, schemas: Sequence[str]) -> Sequence[Any]:
    """The same, as the server writes it with some schemas on the search_path; call it in a `catalog_session`.

    The names in the query itself must not be found there. A cursor's query is parsed when it is declared, and the path
    is another one only when its rows are fetched. The system's names come first then, too: functions of the server that
    write DDL run queries of their own.
    """
    path = ", ".join(["pg_catalog", *map(quote, schemas), "pg_temp"])
    declare = sql.SQL("DECLARE pg_migration_relative NO SCROLL CURSOR FOR {};\nSELECT {};\nFETCH ALL FROM {}").format(
        sql.SQL(query_text(name)), *set_configs({"search_path": path}, local=True), sql.SQL("pg_migration_relative")
    )
    rows = _rows(connection, declare)
    execute(connection, "CLOSE pg_migration_relative")
    set_locally(connection, {"search_path": SEARCH_PATH})
    return rows


def _rows(connection: Connection, statement: sql.Composable | str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        columns = [column.name for column in cursor.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
