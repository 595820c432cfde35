"""Whether what is replicated is still built as it was: DDL is not replicated (PostgreSQL docs: "Restrictions").

A table, partition or column that the source gets is not in the target by itself. Where rows come that the target has no
place for, replication stops, or, worse, goes on without them. One query tells: cheap enough to be asked twice a minute.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.catalog.patterns import is_excluded
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.figures import listed
from pg_migration.postgres.replication.state import PublishedTable, Replication
from pg_migration.postgres.sql_files import sql_file

_PUBLISHED = """
SELECT schemaname::pg_catalog.text, tablename::pg_catalog.text FROM pg_catalog.pg_publication_tables
 WHERE pubname OPERATOR(pg_catalog.=) %s::pg_catalog.name
"""
Columns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FoundTable:
    """A table that holds rows, as it is now; ``identified`` tells whether its rows can be told from each other, and
    ``keyed`` whether the root has a key, so that those of partitions to come will be.
    """

    table: PublishedTable
    unlogged: bool
    identified: bool
    keyed: bool

    @property
    def published(self) -> TableName:
        """What a publication should name. By a root it has partitions to come, whose updates and deletions would be
        refused where these have no key."""
        return self.table.root if self.keyed else self.table.name


class Change(Enum):
    """What can have become of a table."""

    NEW = "new"
    GONE = "gone"
    COLUMNS = "columns"
    MOVED = "moved"
    UNIDENTIFIED = "unidentified"
    UNPUBLISHED = "unpublished"
    UNLOGGED = "unlogged"


@dataclass(frozen=True)
class TableChange:
    """One table that is not as it was. ``now`` is the table as it is, where there is one."""

    change: Change
    name: TableName
    was: PublishedTable | None = None
    now: FoundTable | None = None

    def __str__(self) -> str:
        name = ".".join(self.name)
        if self.change is Change.NEW:
            assert self.now is not None
            root = self.now.table.root
            if root != self.name:
                return f"partition {name} of {'.'.join(root)} is new, and the target does not get its rows"
            return f"table {name} is new, and is not replicated"
        if self.change is Change.COLUMNS:
            assert self.was is not None
            assert self.now is not None
            return f"columns of {name} were changed: {listed(_told(self.was.columns, self.now.table.columns))}"
        if self.change is Change.MOVED:
            assert self.was is not None
            assert self.now is not None
            old, new = self.was, self.now.table
            if old.name != new.name:
                return f"table {'.'.join(old.name)} is called {'.'.join(new.name)} now"
            return f"table {name} belonged to {'.'.join(old.root)}, and belongs to {'.'.join(new.root)} now"
        return f"table {name} {_WORDS[self.change]}"


_WORDS = {
    Change.GONE: "was dropped, or made anew",
    Change.UNIDENTIFIED: "has lost its replica identity, so that its updates and deletions are refused",
    Change.UNPUBLISHED: "is not in the publication any more, so that its changes do not arrive",
    Change.UNLOGGED: "is UNLOGGED now, so that its changes do not arrive",
}


def tables_of(connection: Connection, schemas: Collection[str]) -> Sequence[FoundTable]:
    """The tables of some schemas that hold rows, partitions among them, as they are now."""
    rows = fetch(connection, sql_file("replication/queries/tables.sql"), {"schemas": sorted(schemas)})
    return [
        FoundTable(
            PublishedTable(oid, (schema, name), (root_schema, root), tuple((n, t) for n, t in columns)),
            unlogged,
            identified,
            keyed,
        )
        for oid, schema, name, root_schema, root, unlogged, identified, keyed, columns in rows
    ]


def changed_tables(
    source: Connection, replication: Replication, exclude: Sequence[str] = (), schemas: Iterable[str] = ()
) -> Sequence[TableChange]:
    """Which tables are not as they were when the replication began.

    Args:
        exclude: patterns of the tables that are not migrated.
        schemas: further ones to look for new tables in, besides those of the tables that are known.
    """
    known = {table.oid: table for table in replication.tables}
    left_out = set(replication.reloaded)
    looked_in = {name[0] for name in (*(t.name for t in replication.tables), *left_out)} | set(schemas)
    now = tables_of(source, looked_in)
    rows = fetch(source, _PUBLISHED, (replication.name,)) if known else []
    published = {(schema, name) for schema, name in rows}
    return [*_of_known(known, {t.table.oid: t for t in now}, published), *_new(now, known, left_out, exclude)]


def structure_changes(
    source: Connection, replication: Replication, exclude: Sequence[str] = (), schemas: Iterable[str] = ()
) -> Sequence[str]:
    """`changed_tables`, and what else of the publication is not as it was made; for people."""
    altered = altered_publication(source, replication.name)
    changes = changed_tables(source, replication, exclude, schemas)
    gone = altered == [_GONE.format(replication.name)]
    return [*altered, *(str(change) for change in changes if not (gone and change.change is Change.UNPUBLISHED))]


def altered_publication(publisher: Connection, name: str) -> list[str]:
    """How a publication of ours was altered, so that changes do not arrive; for people."""
    rows = fetch(publisher, _PUBLICATION, (name,))
    if not rows:
        return [_GONE.format(name)]
    ((options, filtered),) = rows
    lacking = [word for word in ("insert", "update", "delete", "truncate") if not options[f"pub{word}"]]
    told = []
    if lacking:
        told.append(f"publication {name} was altered: it does not publish {' and '.join(lacking)} any more. {_ALTERED}")
    if options.get("pubviaroot"):
        told.append(f"publication {name} was altered: publish_via_partition_root is on. {_ALTERED}")
    if filtered:
        told.append(
            f"publication {name} was altered: of {listed(filtered)} it publishes some rows or columns only. {_ALTERED}"
        )
    return told


_ALTERED = "What was written since is missing: pg_migration abandon, and follow anew"
_GONE = "publication {} is gone: what is written does not arrive any more. pg_migration abandon, and follow anew"
# Its options, and the tables of which not everything is published (from 15 on).
_PUBLICATION = """
SELECT pg_catalog.to_jsonb(p),
       (SELECT pg_catalog.json_agg(pg_catalog.concat(n.nspname, '.', c.relname) ORDER BY 1)
          FROM (SELECT r.prrelid, pg_catalog.to_jsonb(r) AS told FROM pg_catalog.pg_publication_rel r
                 WHERE r.prpubid OPERATOR(pg_catalog.=) p.oid) AS r
          JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.prrelid
          JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
         WHERE (r.told OPERATOR(pg_catalog.->>) 'prqual') IS NOT NULL
            OR (r.told OPERATOR(pg_catalog.->>) 'prattrs') IS NOT NULL)
  FROM pg_catalog.pg_publication p WHERE p.pubname OPERATOR(pg_catalog.=) %s::pg_catalog.name
"""


def _of_known(
    known: Mapping[int, PublishedTable], now: Mapping[int, FoundTable], published: Collection[TableName]
) -> Iterator[TableChange]:
    for oid, was in known.items():
        found = now.get(oid)
        if found is None:
            yield TableChange(Change.GONE, was.name, was)
            continue
        table = found.table
        if (table.name, table.root) != (was.name, was.root):
            yield TableChange(Change.MOVED, was.name, was, found)
        if table.columns != was.columns:
            yield TableChange(Change.COLUMNS, was.name, was, found)
        if not found.identified:
            yield TableChange(Change.UNIDENTIFIED, was.name, was, found)
        if found.unlogged:  # the server lets a partition be it whose root is published
            yield TableChange(Change.UNLOGGED, was.name, was, found)
        elif table.name not in published:
            yield TableChange(Change.UNPUBLISHED, was.name, was, found)


def _new(
    now: Sequence[FoundTable], known: Mapping[int, PublishedTable], left_out: set[TableName], exclude: Sequence[str]
) -> Iterator[TableChange]:
    for found in now:
        name = found.table.name
        if found.table.oid not in known and name not in left_out and not is_excluded(*name, exclude):
            yield TableChange(Change.NEW, name, None, found)


def _told(was: Columns, now: Columns) -> Iterator[str]:
    old, new = dict(was), dict(now)
    yield from (f"{name} is new" for name in new if name not in old)
    yield from (f"{name} is gone" for name in old if name not in new)
    yield from (f"{name} was {old[name]} and is {new[name]}" for name in old if name in new and old[name] != new[name])
    if old == new and was != now:
        yield "their order is another one"
