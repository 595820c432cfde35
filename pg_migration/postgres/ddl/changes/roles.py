"""Roles that owners, grants and policies name. They belong to the server, not to a schema, so they are not migrated."""

from collections.abc import Collection, Iterable

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.catalog.objects import large_objects
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.roles.reach import MEMBERSHIP_OPTIONS_SINCE

ROLES = "SELECT rolname FROM pg_catalog.pg_roles"


def missing_roles(connection: Connection, source: Catalog) -> tuple[str, ...]:
    """The roles that the source's DDL names and the server of ``connection`` does not have, by name."""
    present = {name for (name,) in fetch(connection, ROLES)} if source.roles else set()
    return tuple(name for name in source.roles if name not in present)


def create_roles(connection: Connection, names: Iterable[str], become: Collection[str] = ()) -> None:
    """Make roles that can own and hold privileges, but not log in.

    Args:
        become: those that the role that connects has to act for. Unless it is a superuser it becomes a member of them;
            from 16 on whoever creates a role may do that, but is none by that alone (docs: createrole_self_grant).

    Raises:
        psycopg2.Error: where the role that connects may not create roles, or a name begins with ``pg_``.
    """
    wanted = list(names)
    if not wanted:
        return
    options = " WITH INHERIT TRUE, SET TRUE" if connection.server_version >= MEMBERSHIP_OPTIONS_SINCE else ""
    ((superuser,),) = fetch(connection, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")
    for name in wanted:
        statement = sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name))
        if name in become and not superuser:
            statement += sql.SQL("; GRANT {} TO CURRENT_USER" + options).format(sql.Identifier(name))
        execute(connection, statement)


def acted_for(source: Catalog) -> frozenset[str]:
    """The roles that whoever makes the objects has to act for: owners and grantors."""
    return frozenset(role for item in source.objects for role in item.becomes) | large_objects.acted_for(
        source.large_objects
    )
