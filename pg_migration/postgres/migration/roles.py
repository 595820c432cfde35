"""Make the roles that a migration needs on the target's server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import discover
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.errors import MigrationError, server_message
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.schemas import EVERY_SCHEMA, map_schemas
from pg_migration.postgres.roles.server_roles import RolesPlan, RoleStatement, needed_roles, plan_roles, receiver


@dataclass(frozen=True)
class RoleMade:
    """What became of a statement: ``error`` says why it was refused."""

    statement: RoleStatement
    error: str | None


def roles_of(source: Endpoint, schemas: str, passwords: bool = True) -> RolesPlan:
    """The statements that make, on any server, the roles which a source's objects and its database need.

    Args:
        schemas: as `Migration.source_schemas`.
        passwords: with the verifiers of passwords, where the role that connects may read them.

    Raises:
        MigrationError: when the source can't be asked.
    """
    with Connections("pg_migration roles") as connections:
        return _plan(connections, source, schemas, None, passwords)


def roles_to_make(migration: Migration, passwords: bool = True) -> RolesPlan:
    """Of these statements those that make what the target lacks; nothing is written.

    Args:
        passwords: as `roles_of`.

    Raises:
        MigrationError: when a server can't be asked.
    """
    with _for_target(migration, passwords) as (_, plan):
        return plan


def make_roles(migration: Migration, passwords: bool = True) -> tuple[RolesPlan, list[RoleMade]]:
    """Run them on the target; a statement that is refused stops no other.

    Args:
        passwords: as `roles_of`.

    Raises:
        MigrationError: when a server can't be asked.
    """
    with _for_target(migration, passwords) as (target, plan):
        return plan, [_made(target, statement) for statement in plan.statements]


@contextmanager
def _for_target(migration: Migration, passwords: bool) -> Iterator[tuple[Connection, RolesPlan]]:
    """A connection to the target, and what it lacks."""
    with Connections("pg_migration roles") as connections:
        target = connections.open(migration.target)
        yield target, _plan(connections, migration.source, migration.source_schemas, target, passwords)


def _plan(
    connections: Connections, end: Endpoint, schemas: str, target: Connection | None, passwords: bool
) -> RolesPlan:
    try:
        source = connections.open(end)
        whole = schemas.strip() == EVERY_SCHEMA
        catalog = discover(source, map_schemas(schemas, None, source), readable=False, whole=whole)
        needed = needed_roles(source, catalog.roles, passwords)
        return plan_roles(needed, receiver(target) if target is not None else None, source)
    except psycopg2.Error as error:
        raise MigrationError(f"the roles can't be read: {server_message(error)}") from None


def _made(target: Connection, statement: RoleStatement) -> RoleMade:
    try:
        execute(target, statement.text)
    except psycopg2.Error as error:
        return RoleMade(statement, server_message(error))
    return RoleMade(statement, None)
