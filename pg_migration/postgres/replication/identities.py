"""By what a replicated update or delete finds its row, and how that is changed for a while.

Where a table is published that has none, the source refuses every update and delete of it, to everybody. PostgreSQL
docs: "Logical Replication", Replica Identity.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.replication.source_objects import insist
from pg_migration.postgres.replication.state import ChangedIdentity
from pg_migration.postgres.sql_files import sql_file

DEFAULT, NOTHING, FULL, INDEX = "d", "n", "f", "i"
PRIMARY = "primary key"
# From then on a source refuses updates of a table that identifies rows by all columns, generated ones among them.
GENERATED_REFUSED_SINCE = 180000

_FORMS = {DEFAULT: "DEFAULT", NOTHING: "NOTHING", FULL: "FULL", INDEX: "USING INDEX {index}"}
_NOW = """
SELECT c.oid::pg_catalog.int8, n.nspname::text, c.relname::text, c.relreplident::text,
       (SELECT x.relname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
         WHERE i.indrelid = c.oid AND i.indisreplident)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND """
_BY_OID = _NOW + "c.oid = ANY (%s::pg_catalog.oid[])"
_BY_NAME = (
    _NOW + "(n.nspname, c.relname) IN "
    "(SELECT * FROM ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[])))"
)

_ELSEWHERE = """
SELECT c.oid::pg_catalog.int8, pg_catalog.array_agg(p.pubname::text ORDER BY p.pubname)
  FROM pg_catalog.pg_publication p
  JOIN pg_catalog.pg_publication_tables t ON t.pubname = p.pubname
  JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
  JOIN pg_catalog.pg_class c ON c.relname = t.tablename AND c.relnamespace = n.oid
 WHERE p.pubname <> %s AND (p.pubupdate OR p.pubdelete) AND c.oid = ANY (%s::pg_catalog.oid[])
 GROUP BY c.oid
"""


@dataclass(frozen=True)
class TableIdentity:
    """How the rows of a table are, and could be, identified.

    ``identity`` is pg_class.relreplident and ``index`` its index; ``serves`` whether updates can be replicated so.
    ``candidate`` is an index that would serve. ``without_equality`` are types of columns whose values can't be
    compared, ``generated`` tells whether some are generated, ``indexed`` whether it has any index, ``bytes`` its size.
    ``unfit`` are its unique indexes that would not serve, the primary key first, each with the reason.
    """

    oid: int
    name: TableName
    identity: str
    index: str | None
    serves: bool
    candidate: str | None
    candidate_is_primary: bool
    bytes: int
    indexed: bool
    generated: bool
    unfit: tuple[str, ...]
    without_equality: tuple[str, ...]

    def full_fails(self, source_version: int) -> str | None:
        """Why rows can't be identified by all of their columns, if they can't."""
        if self.without_equality:
            return f"it has columns of type {', '.join(self.without_equality)}, whose values can't be compared"
        if self.generated and source_version >= GENERATED_REFUSED_SINCE:
            return "it has generated columns, which the source does not publish"
        return None

    def becoming(self, identity: str, index: str | None = None) -> ChangedIdentity:
        """That it is to be identified otherwise."""
        return ChangedIdentity(self.oid, self.name, self.identity, self.index, identity, index)

    def by_candidate(self) -> ChangedIdentity:
        """That it is to be identified by the index that would serve."""
        return self.becoming(DEFAULT) if self.candidate_is_primary else self.becoming(INDEX, self.candidate)


def identities(source: Connection, tables: Sequence[int]) -> list[TableIdentity]:
    """How the rows of some tables (oids) are identified; in the order of their names."""
    rows = fetch(source, sql_file("replication/queries/identities.sql"), {"tables": list(tables)})
    types = sorted({type_ for *_, of_table in rows for type_ in of_table})
    incomparable: Mapping[int, str] = dict(
        fetch(source, sql_file("replication/queries/no_equality.sql"), {"types": types}) if types else []
    )
    return [
        TableIdentity(
            *(oid, (schema, name), identity, index, serves, candidate, bool(primary), size, indexed, generated),
            tuple(unfit),
            tuple(incomparable[type_] for type_ in of_table if type_ in incomparable),
        )
        for (
            *(oid, schema, name, identity, index, serves, candidate, primary, size, indexed, generated, unfit),
            of_table,
        ) in rows
    ]


def without_identity(source: Connection, tables: Sequence[int]) -> list[TableIdentity]:
    """Those of some tables (oids) whose updates and deletes can't be replicated as they are."""
    return [table for table in identities(source, tables) if not table.serves]


def set_identity(connection: Connection, changed: ChangedIdentity) -> None:
    """Have a table identify its rows as is told; it is locked for a moment.

    Raises:
        MigrationError: somebody kept it locked all the time, or the server refused.
    """
    _alter(connection, changed.oid, changed.name, changed.becomes, changed.by_index)


def published_elsewhere(source: Connection, tables: Sequence[int], name: str) -> Mapping[int, Sequence[str]]:
    """Of some tables (oids) those whose updates or deletions are in other publications than the one of a name, and in
    which."""
    return dict(fetch(source, _ELSEWHERE, (name, list(tables)))) if tables else {}


def undo_identities(connection: Connection, changed: Iterable[ChangedIdentity], by_name: bool = False) -> None:
    """Have tables identify their rows as they did, except where somebody has changed that again, or dropped them.

    Args:
        by_name: for a copy, whose tables have other OIDs.

    Raises:
        MigrationError: as `set_identity`.
    """
    wanted = list(changed)
    if not wanted:
        return
    if by_name:
        schemas, names = zip(*(one.name for one in wanted), strict=True)
        rows = fetch(connection, _BY_NAME, (list(schemas), list(names)))
    else:
        rows = fetch(connection, _BY_OID, ([one.oid for one in wanted],))
    known = {one.name if by_name else one.oid: one for one in wanted}
    for oid, schema, name, identity, index in rows:
        one = known[(schema, name) if by_name else oid]
        if (identity, index) == (one.becomes, one.by_index):
            _alter(connection, oid, (schema, name), one.was, one.index)


def _alter(connection: Connection, oid: int, name: TableName, identity: str, index: str | None) -> None:
    form = sql.SQL(_FORMS[identity]).format(index=sql.Identifier(index or ""))
    statement = sql.SQL("ALTER TABLE ONLY {} REPLICA IDENTITY {}").format(sql.Identifier(*name), form)
    what = f"the replica identity of table {'.'.join(name)} can't be changed"
    insist(connection, what, [oid], lambda: execute(connection, statement), exclusive=True)
