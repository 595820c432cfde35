"""Which providers of security labels a server has loaded: without its provider a label can't be set."""

from collections.abc import Iterable

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute, savepoint, transaction


def loaded_providers(connection: Connection, names: Iterable[str]) -> frozenset[str]:
    """Those of some providers that are loaded, as far as a session can tell: no catalog lists them.

    The server looks for the provider before it asks anything else (PostgreSQL docs: SECURITY LABEL). What is tried is
    undone.
    """
    return frozenset(name for name in names if _is_loaded(connection, name))


def _is_loaded(connection: Connection, name: str) -> bool:
    label = sql.SQL("SECURITY LABEL FOR {} ON SCHEMA pg_catalog IS NULL").format(sql.Identifier(name))
    try:
        with transaction(connection), savepoint(connection):
            execute(connection, label)
    except errors.InvalidParameterValue:
        return False
    except psycopg2.Error:
        if connection.closed:
            raise
    return True
