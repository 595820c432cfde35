"""Whether new sessions of a database may write: its own default, and the roles that have another one.

A session that is there already keeps what it has, and any session may say otherwise for itself: only locks keep
everybody from writing (`fence`). PostgreSQL docs: default_transaction_read_only, ALTER DATABASE, ALTER ROLE.
"""

from collections.abc import Sequence

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute, fetch

_DEFAULT = """
SELECT pg_catalog.split_part(setting, '=', 2)
  FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase
 CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS setting
 WHERE s.setrole OPERATOR(pg_catalog.=) '0'::pg_catalog.oid
   AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
   AND pg_catalog.split_part(setting, '=', 1) OPERATOR(pg_catalog.=) 'default_transaction_read_only'
"""
# A role's own setting goes before the database's, whatever it is: it holds for new sessions of the role.
_OVERRIDING = """
SELECT r.rolname::pg_catalog.text
  FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) s.setrole
 CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS setting
  LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase
 WHERE coalesce(d.datname, pg_catalog.current_database()) OPERATOR(pg_catalog.=) pg_catalog.current_database()
   AND pg_catalog.split_part(setting, '=', 1) OPERATOR(pg_catalog.=) 'default_transaction_read_only'
   AND NOT pg_catalog.split_part(setting, '=', 2)::pg_catalog.bool
 ORDER BY 1
"""


def read_only_default(connection: Connection) -> str | None:
    """What the database says of new sessions, as it is written there; None where it says nothing."""
    found = fetch(connection, _DEFAULT)
    return str(found[0][0]) if found else None


def overriding_roles(connection: Connection) -> Sequence[str]:
    """The roles whose new sessions write whatever the database says."""
    return [str(role) for (role,) in fetch(connection, _OVERRIDING)]


def make_read_only(connection: Connection) -> None:
    """Have new sessions of the database read only, unless they say otherwise."""
    _set(connection, "on")


def undo_read_only(connection: Connection, before: str | None) -> None:
    """Have the database say of new sessions what it said before."""
    _set(connection, before)


def write_anyway(connection: Connection) -> None:
    """Have a session of ours write whatever the database says of new ones."""
    execute(connection, "SET default_transaction_read_only = off")


def _set(connection: Connection, value: str | None) -> None:
    """In a session that may itself be read only by then."""
    ((database,),) = fetch(connection, "SELECT pg_catalog.current_database()")
    form = "RESET default_transaction_read_only" if value is None else "SET default_transaction_read_only = {value}"
    change = sql.SQL(form).format(value=sql.Literal(value))
    write_anyway(connection)
    execute(connection, sql.SQL("ALTER DATABASE {} {}").format(sql.Identifier(database), change))
