"""Read the system catalogs: one query per object kind, whatever the number of objects, and many of them in one go."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.reading.rows import ROW_TYPES
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.connection.session_settings import PINNED, SEARCH_PATH, WRITTEN_WITH, select, set_configs
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import MigrationError, server_message
from pg_migration.postgres.sql_files import sql_file

Row = Mapping[str, Any]
"""A row of whatever query; those of each by itself are in `rows`."""

# A search_path without users' schemas has the server qualify every name outside pg_catalog, and quoting every
# identifier keeps names readable by a newer server for which they have become keywords. Compiling catalog queries to
# machine code takes longer than running them, and several processes would mix the rows of one with those of another.
DEPARSING = {
    "search_path": SEARCH_PATH,
    "quote_all_identifiers": "on",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    **{name: PINNED[name] for name in sorted(WRITTEN_WITH)},
}

# parse_ident wants one name at least; no schema has this one, which is longer than names can be.
_NO_SCHEMA = "-" * 64
_SAVEPOINT = "pg_migration_catalog"


@dataclass(frozen=True)
class Query:
    """The query in ``queries/<name>.sql``, and settings that hold while the server writes its rows."""

    name: str
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def relative(cls, name: str, schemas: Sequence[str], **settings: str) -> "Query":
        """As the server writes it with some schemas on the search_path.

        The system's names come first then, too: functions of the server that write DDL run queries of their own.
        """
        path = ", ".join(["pg_catalog", *map(quote, schemas), "pg_temp"])
        return cls(name, {**settings, "search_path": path})


class CatalogSession:
    """Reads catalogs, as many of them at once as the caller names: each reading is one round trip.

    Args:
        connection: in the transaction that is to see it, or about to begin one.
        settings: those that hold for every query.
        before: statements that are sent ahead of the first reading.
        undo: what makes the session usable again after an error; None where only the caller knows.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Mapping[str, str],
        before: Sequence[str] = (),
        undo: str | None = None,
    ) -> None:
        self.connection = connection
        self._settings = dict(settings)
        self._opening = [*map(sql.SQL, before), select(set_configs(settings, local=True))]
        self._undo = undo

    @property
    def begun(self) -> bool:
        """Whether anything was sent."""
        return not self._opening

    def set(self, settings: Mapping[str, str]) -> None:
        """Have settings hold for all further queries."""
        self._settings |= settings
        self._opening.append(select(set_configs(settings, local=True)))

    def read(self, *queries: Query | str) -> dict[str, list[Any]]:
        """The rows of some queries by the queries' names, each by the names of its columns; `rows` has their types.

        Raises:
            MigrationError: naming the query that the server refused.
            psycopg2.errors.LockNotAvailable: it waited too long for a lock, whichever query that was.
        """
        wanted = [Query(query) if isinstance(query, str) else query for query in queries]
        found: dict[str | None, list[str]] = {}
        try:
            rows = self.fetch(_union(part for query in wanted for part in self._parts(query)))
        except psycopg2.Error as error:
            if self.connection.closed or self._undo is None or isinstance(error, psycopg2.errors.LockNotAvailable):
                raise
            raise self._blame(wanted, error) from error
        for name, text in rows:
            found.setdefault(name, []).append(text)
        return {query.name: _decoded(query.name, found.get(query.name, ())) for query in wanted}

    def fetch(self, statement: sql.Composable) -> list[tuple[Any, ...]]:
        """All rows of a query of another kind."""
        message = sql.SQL(";\n").join([*self._opening, statement])
        self._opening = []
        return fetch(self.connection, message)

    def _parts(self, query: Query) -> Iterator[sql.Composable]:
        """A query that gives its rows as documents, between what sets its settings and what takes them back.

        The parts of a UNION ALL run in the order in which they are written, and the server has looked for all names in
        them before.
        """
        former = {name: self._settings.get(name, "") for name in query.settings}
        if query.settings:
            yield select([sql.SQL("NULL::pg_catalog.text"), _concatenated(query.settings)])
        text = sql.SQL(query_text(query.name))
        # A cast from json to text may be one that users have made.
        document = sql.SQL("pg_catalog.concat(pg_catalog.row_to_json(pg_migration_row))")
        rows = select([sql.SQL("{}::pg_catalog.text").format(sql.Literal(query.name)), document])
        yield sql.SQL("{} FROM ({}\n) AS pg_migration_row").format(rows, text)
        if former:
            yield select([sql.SQL("NULL::pg_catalog.text"), _concatenated(former)])

    def _blame(self, queries: Sequence[Query], error: psycopg2.Error) -> MigrationError:
        """What to tell of queries one of which the server refuses: which one it is, if it refuses it again."""
        refused = next((f" ({query.name})" for query in queries if self._is_refused(query)), "")
        return MigrationError(f"the catalogs can't be read{refused}: {server_message(error)}")

    def _is_refused(self, query: Query) -> bool:
        settings = select(set_configs(self._settings, local=True))
        try:
            execute(self.connection, self._undo or "")
            fetch(self.connection, sql.SQL(";\n").join([settings, _union(self._parts(query))]))
        except psycopg2.Error:
            return True
        return False


@cache
def query_text(name: str) -> str:
    """The text of ``queries/<name>.sql``."""
    return sql_file(f"catalog/queries/{name}.sql")


@contextmanager
def catalog_session(
    connection: Connection, schemas: Mapping[str, str], settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[CatalogSession]:
    """Settings for deparsing while the block runs, undone afterwards.

    In a transaction (of the caller's, inside a savepoint that is rolled back, or else one read-only REPEATABLE READ of
    its own): that restores every setting, also after an error. The queries read the chosen schemas from settings of
    our own, as one qualified name (`parse_ident` needs no cast), so that each can be run by itself in psql.

    Args:
        settings: further ones.
    """
    own = connection.autocommit and connection.info.transaction_status == TRANSACTION_STATUS_IDLE
    before, undo = (_BEGIN, "ROLLBACK") if own else (f"SAVEPOINT {_SAVEPOINT}", f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
    chosen = {"pg_migration.schemas": schemas, "pg_migration.target_schemas": schemas.values()}
    names = {name: ".".join(map(quote, names or [_NO_SCHEMA])) for name, names in chosen.items()}
    session = CatalogSession(connection, {**DEPARSING, **names, **settings}, [before], undo)
    try:
        yield session
    finally:
        if session.begun and not connection.closed:
            execute(connection, undo)


_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def set_locally(connection: Connection, settings: Mapping[str, str]) -> None:
    """SET LOCAL, by way of set_config."""
    execute(connection, select(set_configs(settings, local=True)))


def _union(parts: Iterable[sql.Composable]) -> sql.Composable:
    return sql.SQL("\nUNION ALL\n").join(parts)


def _concatenated(settings: Mapping[str, str]) -> sql.Composable:
    return sql.SQL("pg_catalog.concat({})").format(sql.SQL(", ").join(set_configs(settings, local=True)))


def _decoded(query: str, documents: Sequence[str]) -> list[dict[str, Any]]:
    """Rows from what the server made of them: in its documents an OID is a string, and a float may look like an int."""
    if not documents:
        return []
    rows: list[dict[str, Any]] = json.loads(f"[{','.join(documents)}]")
    for column, convert in _conversions(query).items():
        for row in rows:
            if (value := row[column]) is not None:
                row[column] = convert(value)
    return rows


@cache
def _conversions(query: str) -> Mapping[str, Callable[[Any], Any]]:
    """What makes the values of a query's columns of numbers what their types say."""
    found = {}
    for column, hint in get_type_hints(ROW_TYPES[query]).items():
        kinds = set(get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)) - {NoneType}
        for kind in kinds & _CONVERSIONS.keys():
            found[column] = _CONVERSIONS[kind]
    return found


_CONVERSIONS: Mapping[Any, Callable[[Any], Any]] = {
    int: int,
    float: float,
    list[int]: lambda numbers: [*map(int, numbers)],
}
