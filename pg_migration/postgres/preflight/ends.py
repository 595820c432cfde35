"""The two servers that preflight asks, and its queries."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.statements import Question, fetch
from pg_migration.postgres.ddl import Reconciliation
from pg_migration.postgres.roles.reach import Reach
from pg_migration.postgres.sql_files import sql_file


@dataclass(frozen=True)
class Ends:
    """A connection to each side, and how the target is called. ``schemas`` maps source to target names.

    ``reach`` is what the target's role may do for others. ``structure`` reads the target's catalog, and decides what is
    to be done to it; None where that can't be told.
    """

    source: Connection
    target: Connection
    target_endpoint: Endpoint
    schemas: Mapping[str, str]
    reach: Reach
    structure: Callable[[], tuple[Catalog, Reconciliation] | None]


@dataclass(frozen=True)
class Intent:
    """What the run is going to do, as far as it matters whether it can."""

    workers: int
    partition_threshold: int
    create_roles: bool


@cache
def query(name: str) -> str:
    """The text of ``queries/<name>.sql``."""
    return sql_file(f"preflight/queries/{name}.sql")


def ask(connection: Connection, name: str, **parameters: object) -> list[tuple[Any, ...]]:
    """The rows of one of the queries."""
    return fetch(connection, *question(name, **parameters))


def question(name: str, **parameters: object) -> Question:
    """What `ask` asks."""
    return query(name), parameters or None


def names_in_target(catalog: Catalog) -> dict[str, list[str]]:
    """The tables of a catalog by their names in the target, as parameters of a query."""
    names = [catalog.target_name(table.key) for table in catalog.tables]
    return {"schemas": [schema for schema, _ in names], "names": [name for _, name in names]}
