"""Roles that owners, grants and policies name. They belong to the server, not to a schema, so they are not migrated."""

from collections.abc import Iterable

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.session import execute, fetch


def missing_roles(connection: Connection, source: Catalog) -> tuple[str, ...]:
    """The roles that the source's DDL names and the server of ``connection`` does not have, by name."""
    present = {name for (name,) in fetch(connection, "SELECT rolname FROM pg_catalog.pg_roles")}
    return tuple(name for name in source.roles if name not in present)


def create_roles(connection: Connection, names: Iterable[str]) -> None:
    """Make roles that can own and hold privileges, but not log in.

    Raises:
        psycopg2.Error: where the role that connects may not create roles, or a name begins with ``pg_``.
    """
    for name in names:
        execute(connection, sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
