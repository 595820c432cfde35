"""The tables of the ledger: made, and brought to the version that this program works with.

Each file in upgrades/ brings a ledger from the version before to the one that it is numbered with. All of them together
are the schema; a file that was released is never changed, what is new comes in a new one.
"""

from weakref import WeakKeyDictionary

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute, fetch, gathered
from pg_migration.postgres.errors import LedgerTooNew, NotPermitted
from pg_migration.postgres.roles.reach import quoted
from pg_migration.postgres.sql_files import sql_folder

# PostgreSQL reserves schema names that begin with pg_ (docs: CREATE SCHEMA), hence the underscore.
SCHEMA = "_pg_migration"
UPGRADES = sql_folder("ledger/upgrades")
LATEST = len(UPGRADES)

# Who may not read the version has yet to be told so (`preflight`); a ledger without one is older than versions.
READABLE = """
SELECT n.oid IS NOT NULL, c.oid IS NOT NULL
  FROM (SELECT) AS always
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) '_pg_migration'
  LEFT JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
                                 AND c.relname OPERATOR(pg_catalog.=) 'version'
                                 AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                                 AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
"""
_MAKERS = """
SELECT current_user, pg_catalog.current_database(), pg_catalog.pg_get_userbyid(n.nspowner)
  FROM (SELECT) AS always
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) '_pg_migration'
"""


TABLES = """
SELECT c.relname FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
 WHERE n.nspname OPERATOR(pg_catalog.=) '_pg_migration' AND c.relkind OPERATOR(pg_catalog.=) 'r'
"""

# The ledger's tables by connection. They are made, and never dropped.
_tables: WeakKeyDictionary[Connection, frozenset[str]] = WeakKeyDictionary()


def has(connection: Connection, table: str) -> bool:
    """Whether a database has a table of the ledger: for whoever reads, which makes none.

    There are none where nothing was migrated yet, and those that upgrades add only from the next run on.
    """
    if table not in _tables.get(connection, ()):
        _tables[connection] = frozenset(name for (name,) in fetch(connection, TABLES))
    return table in _tables[connection]


def version(connection: Connection) -> int | None:
    """The version of a database's ledger, 0 where it has none yet; None where there is no ledger.

    Raises:
        LedgerTooNew: it is newer than this program.
    """
    ((there, readable),) = fetch(connection, READABLE)
    found = 0 if there else None
    if readable:
        ((found,),) = fetch(connection, "SELECT coalesce(pg_catalog.max(version), 0) FROM _pg_migration.version")
    if found is not None and found > LATEST:
        ((database,),) = fetch(connection, "SELECT pg_catalog.current_database()")
        raise LedgerTooNew(
            f"a newer pg_migration keeps the books of the target database {database}: the version of its schema "
            f"{SCHEMA} is {found}, and this program knows versions up to {LATEST}. Nothing was changed. Use the newer "
            f"program for this target, or drop the books, which forgets what was loaded: DROP SCHEMA {SCHEMA} CASCADE;"
        )
    return found


def create(connection: Connection, known: int | None = None) -> None:
    """Make the ledger where it is missing, and upgrade an older one, all or nothing; call it under the target's lock.

    Args:
        connection: to the target, in autocommit mode.
        known: the version that it had when the caller has looked; nobody makes it older.

    Raises:
        NotPermitted: when the role may not create a schema in the target database, or change the tables there.
        LedgerTooNew: as `version`.
    """
    if known == LATEST or (known := version(connection)) == LATEST:
        return
    try:
        with gathered(connection):
            if known is None:
                execute(connection, "CREATE SCHEMA _pg_migration")
            for number, statements in enumerate(UPGRADES[known or 0 :], start=(known or 0) + 1):
                execute(connection, statements)
                execute(connection, "INSERT INTO _pg_migration.version (version) VALUES (%s)", (number,))
    except psycopg2.errors.InsufficientPrivilege as error:
        raise _not_permitted(connection, error) from None


def _not_permitted(connection: Connection, error: psycopg2.Error) -> NotPermitted:
    ((role, database, owner),) = fetch(connection, _MAKERS)
    if owner is None:
        return NotPermitted(
            f"role {role} may not create the bookkeeping schema {SCHEMA} in the target database {database} "
            f"({error.diag.message_primary}). As its owner run: GRANT CREATE ON DATABASE "
            f"{quoted(database)} TO {quoted(role)};"
        )
    return NotPermitted(
        f"role {role} may not upgrade the bookkeeping schema {SCHEMA} of the target database {database} to version "
        f"{LATEST} ({error.diag.message_primary}). Connect as {owner} once, or as a superuser run: "
        f"GRANT {quoted(owner)} TO {quoted(role)};"
    )
