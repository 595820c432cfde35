"""Tell whether somebody has altered a database, without reading all that it holds.

PostgreSQL writes a row of a system catalog anew whenever DDL changes it, and a row's xmin is the transaction that wrote
it (PostgreSQL docs, System Columns; a frozen row keeps its xmin). So the rows of all catalogs, each by its xmin, are
the same as long as nobody has altered anything.
"""

from functools import cache
from weakref import WeakKeyDictionary

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import Question, fetch

CatalogState = tuple[tuple[object, ...], ...]
"""For each system catalog that a role may read: its name, the number of its rows and a sum over their xmin."""

# Statistics, rows of users, and what other databases of the cluster write to.
_NO_STRUCTURE = (
    "pg_database",
    "pg_largeobject",
    "pg_largeobject_metadata",
    "pg_replication_origin",
    "pg_shdepend",
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_subscription_rel",
)

_READABLE = """
SELECT c.relname FROM pg_catalog.pg_class c
 WHERE c.relnamespace OPERATOR(pg_catalog.=) 11::pg_catalog.oid AND c.relkind OPERATOR(pg_catalog.=) 'r'
   AND c.relname OPERATOR(pg_catalog.<>) ALL (%s::pg_catalog.name[])
   AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
 ORDER BY 1
"""


READABLE: Question = (_READABLE, (list(_NO_STRUCTURE),))

# Which catalogs a session may read, in the statement that looks at them.
_statements: WeakKeyDictionary[Connection, sql.Composable] = WeakKeyDictionary()


def catalog_state(connection: Connection) -> CatalogState:
    """What is the same later on when nobody has altered anything in between; else it may be another one."""
    prepare(connection)
    return tuple(fetch(connection, _statements[connection]))


def prepare(connection: Connection) -> None:
    """Ask `READABLE`, which a session is asked once."""
    if connection not in _statements:
        _statements[connection] = _statement(tuple(str(name) for (name,) in fetch(connection, *READABLE)))


@cache
def _statement(catalogs: tuple[str, ...]) -> sql.Composable:
    each = sql.SQL(
        "SELECT {}, pg_catalog.count(*), pg_catalog.sum(pg_catalog.age(xmin) OPERATOR(pg_catalog.-)"
        " pg_catalog.age('3'::pg_catalog.xid)) FROM {} WHERE xmin OPERATOR(pg_catalog.<>) '1'::pg_catalog.xid"
    )
    parts = (each.format(sql.Literal(name), sql.Identifier("pg_catalog", name)) for name in catalogs)
    return sql.SQL(" UNION ALL ").join(parts)
