"""The tables of the ledger."""

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute, fetch, transaction
from pg_migration.postgres.errors import NotPermitted
from pg_migration.postgres.sql_files import sql_file

# PostgreSQL reserves schema names that begin with pg_ (docs: CREATE SCHEMA), hence the underscore.
SCHEMA = "_pg_migration"


def create(connection: Connection) -> None:
    """Make the bookkeeping schema where it is missing.

    Raises:
        NotPermitted: when the role may not create a schema in the target database.
    """
    present = fetch(connection, "SELECT to_regclass('_pg_migration.target_state') IS NOT NULL")
    if present == [(True,)]:
        return
    statements = sql_file("ledger/schema.sql")
    try:
        with transaction(connection):
            execute(connection, statements)
    except psycopg2.errors.InsufficientPrivilege as error:
        ((role, database),) = fetch(connection, "SELECT current_user, current_database()")
        raise NotPermitted(
            f"role {role} may not create the bookkeeping schema {SCHEMA} in the target database {database} "
            f"({error.diag.message_primary}). As its owner run: GRANT CREATE ON DATABASE "
            f'"{database}" TO "{role}";'
        ) from None
