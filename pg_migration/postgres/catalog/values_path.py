"""Where functions find names while rows are read or written, and only then.

Our own statements look for names in pg_catalog alone. A statement over users' tables can't always: functions behind
checks, generated columns and indexes may name things without a schema, the planner looks into those behind indexes
before it reads a row, and the text of a regclass is the name that the path leads to. Such a statement runs with the
path that the source's applications have, and is itself qualified, operators and types included, so that nothing in it
is found there. (Words that stand for an operator are none of it: IN, BETWEEN, IS DISTINCT FROM, NULLIF, LIKE.)
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import RowTransform, Table, TableName
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.connection.session_settings import SEARCH_PATH, select, set_configs
from pg_migration.postgres.connection.statements import execute, fetch, send_ahead
from pg_migration.postgres.sql_files import sql_file

SYSTEM = "pg_catalog"

# What a database without a setting of its own has its sessions look in, besides the schema of their role.
DEFAULT_PATH: tuple[str, ...] = ("public",)

_ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]+))\s*(?:,|$)')


def application_path(settings: Iterable[tuple[str, str]], schemas: Mapping[str, str]) -> tuple[str, ...]:
    """The schemas that sessions of the source's database look for names in.

    Args:
        settings: what the database sets (`Catalog.settings`).
        schemas: the name that each migrated schema has on the side that is meant.
    """
    setting = dict(settings).get("search_path")
    if setting is None:
        names = list(DEFAULT_PATH)
    else:
        names = [quoted.replace('""', '"') if quoted else plain.strip() for quoted, plain in _ELEMENT.findall(setting)]
    # The role that migrates is none of those that "$user" is meant for.
    return tuple(schemas.get(name, name) for name in names if name != "$user")


@dataclass(frozen=True)
class ValuesPath:
    """The path for the rows of one relation, or of several that are read together.

    Args:
        schemas: those that the relations are in.
        application: as `application_path`.
        relation: the one relation, if its rows name objects.
        written: rows are written, not read.
        by_place: the rows are found by their places (ctid), of which the planner thinks too little: it takes each for a
            page to be read from anywhere, and so reads the whole table instead.
    """

    schemas: tuple[str, ...]
    application: tuple[str, ...] = DEFAULT_PATH
    relation: TableName | None = None
    written: bool = False
    by_place: bool = False

    @classmethod
    def of(
        cls,
        table: Table,
        name: TableName,
        application: Sequence[str],
        written: bool = False,
        transform: RowTransform | None = None,
    ) -> "ValuesPath":
        """The path for one table, or what holds its rows on one side, by its name there.

        Args:
            transform: what is read of it, on the side that it is read from.
        """
        by_place = transform is not None and transform.chosen_one_by_one
        return cls((name[0],), tuple(application), name if table.names_objects else None, written, by_place)

    def setting(self) -> sql.Composable:
        """The statement that sets it for the rest of the transaction."""
        return sql.SQL("{};\n{}").format(_BY_PLACE, self._path()) if self.by_place else self._path()

    def _path(self) -> sql.Composable:
        own = ", ".join(map(quote, self.schemas))
        first = self.application.index(SYSTEM) if SYSTEM in self.application else 0
        path = ", ".join([*map(quote, (*self.application[:first], SYSTEM)), own, *map(quote, self.application[first:])])
        if self.relation is None:
            return _USUAL.format(sql.Literal(path))
        relation = ".".join(map(quote, self.relation))
        return _filled({"relation": relation, "written": self.written, "own": own, "path": path})


_BY_PLACE = sql.SQL("SET LOCAL enable_seqscan = off")
_NOT_BY_PLACE = sql.SQL("RESET enable_seqscan")

# As in values_path.sql where no relation is named: short, so that people who look at the server's activity see what
# comes after it in a message.
_USUAL = sql.SQL(
    "SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', {}, "
    "(SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(n.nspname), ', ') FROM pg_catalog.pg_extension e "
    "JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace), 'pg_temp'), true)"
)


def _filled(values: Mapping[str, Any]) -> sql.Composable:
    pieces = re.split(r"%\((\w+)\)s", sql_file("catalog/values_path.sql"))
    return sql.Composed(sql.Literal(values[p]) if n % 2 else sql.SQL(p) for n, p in enumerate(pieces))


def fetch_rows(connection: Connection, path: ValuesPath, statement: sql.Composable) -> list[tuple[Any, ...]]:
    """All rows of one query over users' tables, in which every name is qualified, with their own path while it runs."""
    # Several statements in one message are one transaction.
    rows = fetch(connection, sql.SQL("{};\n{}").format(path.setting(), statement))
    if connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
        leave(connection, path)
    return rows


def run(connection: Connection, path: ValuesPath, statement: sql.Composable) -> None:
    """The same with a command, outside of a transaction."""
    execute(connection, sql.SQL("{};\n{}").format(path.setting(), statement))


def leave(connection: Connection, path: ValuesPath) -> None:
    """Look for names where all other statements do, from the next one on for the rest of the transaction."""
    usual: sql.Composable = select(set_configs({"search_path": SEARCH_PATH}, local=True))
    send_ahead(connection, sql.SQL("{};\n{}").format(_NOT_BY_PLACE, usual) if path.by_place else usual)
