"""Whose rows are in the target: what a migration may empty, and what nobody said that it may.

Ours is what the ledger shows as loaded from the same source into this very table of this very database, also when
people have written to it since. Empty tables are nobody's.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.statements import execute, execute_rows, fetch, gathered
from pg_migration.postgres.ledger.schema import has
from pg_migration.postgres.ledger.source_identity import Identity, place_in
from pg_migration.postgres.sql_files import sql_file

TABLES_PER_QUERY = 500
# Up to this size rows are counted; beyond it the server's estimate has to do.
MAX_BYTES_COUNTED = 64 * 2**20

# Since 15 a session has counted all that it wrote by the time it is gone; before, counts come some time later.
COUNTS_AT_ONCE = 150000
MAX_WAITING_SECONDS = 2.0


@dataclass(frozen=True)
class Databases:
    """The two ends of a migration. ``server`` is the life of the source's server, see `Snapshot.server`."""

    source: Identity
    target: Identity
    server: str | None = None


@dataclass(frozen=True)
class UnknownRows:
    """A table of the target whose rows are not ours, and why not.

    ``rows`` are counted where that is ``exact``, else estimated; None where the server has no estimate either.
    """

    table: TableName
    reason: str
    rows: int | None
    exact: bool

    def __str__(self) -> str:
        rows = (
            "rows, nobody knows how many" if self.rows is None else f"{self.rows:,} row{'s' if self.rows != 1 else ''}"
        )
        return f"{'.'.join(self.table)} ({'' if self.exact or self.rows is None else 'about '}{rows})"


@dataclass(frozen=True)
class Written:
    """A table of ours that others have written to since it was loaded, by what the server has counted."""

    table: TableName
    inserted: int
    updated: int
    deleted: int

    def __str__(self) -> str:
        counts = {"inserted": self.inserted, "updated": self.updated, "deleted": self.deleted}
        told = ", ".join(f"{number:,} {what}" for what, number in counts.items() if number)
        return f"{'.'.join(self.table)} ({told})"


@dataclass(frozen=True)
class _Relation:
    table: TableName
    oid: int
    bytes: int
    estimate: int


def unknown_rows(
    target: Connection, ends: Databases, emptied: Collection[TableName], dropped: Collection[TableName] = ()
) -> list[UnknownRows]:
    """The tables whose rows would be lost and are not ours.

    Args:
        emptied: tables of the target that would be emptied, or some rows of which would be replaced.
        dropped: tables that would be dropped, and with them what inherits from them.

    Raises:
        psycopg2.Error: a table can't be read.
    """
    present = _present(target, emptied, dropped)
    reasons = _reasons(target, ends, present)
    suspects = [relation for relation in present if reasons.get(relation.oid, "") is not None]
    filled = _filled(target, suspects)
    return list(_counted(target, [relation for relation in suspects if relation.oid in filled], reasons))


def ours(target: Connection, ends: Databases, tables: Collection[TableName]) -> set[TableName]:
    """Of some tables of the target, those whose rows, if there are any, may go: they are ours, or there are none."""
    theirs = {found.table for found in unknown_rows(target, ends, (), tables)}
    return set(tables) - theirs


def written(target: Connection, tables: Collection[TableName]) -> list[Written]:
    """Of some tables, those that others have written to since our last run recorded how far the server had counted.

    A server whose statistics were reset since counts from zero: what it has counted is of others all the same.
    """
    if not has(target, "target_state"):
        return []
    found = []
    for schema, name, *pairs in fetch(target, _WRITTEN, _names(tables)):
        counts = [now - then if now >= then else now for then, now in zip(pairs[:3], pairs[3:], strict=True)]
        if any(counts):
            found.append(Written((schema, name), *counts))
    return found


def forget_counts(target: Connection, tables: Collection[TableName]) -> None:
    """Forget how far the server had counted; call it before the tables are loaded."""
    execute(
        target,
        "DELETE FROM _pg_migration.target_state WHERE (schema_name, table_name) IN "
        "(SELECT * FROM unnest(%(schemas)s::text[], %(names)s::text[]))",
        _names(tables),
    )


def record_counts(target: Connection, tables: Collection[TableName], session: str, alive: Collection[int]) -> None:
    """Record how far the server has counted what was written to tables, when our sessions have written all they will.

    Args:
        session: the application_name of the sessions that wrote.
        alive: the processes of those that are open and write nothing more.
    """
    if not tables or target.server_version < COUNTS_AT_ONCE:
        return
    deadline = time.monotonic() + MAX_WAITING_SECONDS
    while fetch(target, _STILL_THERE, (session, list(alive))):
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)
    rows = fetch(target, _COUNTS, _names(tables))
    with gathered(target):
        forget_counts(target, tables)
        execute_rows(target, "INSERT INTO _pg_migration.target_state VALUES %s", rows)


_STILL_THERE = """
SELECT FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = %s AND pid <> ALL (%s::int[]) AND pid <> pg_backend_pid()
"""

_COUNTS = """
SELECT n.nspname, c.relname, c.oid, pg_stat_get_tuples_inserted(c.oid), pg_stat_get_tuples_updated(c.oid),
       pg_stat_get_tuples_deleted(c.oid)
  FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS w (schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
 WHERE c.relkind = 'r'
"""

_WRITTEN = """
SELECT s.schema_name, s.table_name, s.inserted, s.updated, s.deleted, pg_stat_get_tuples_inserted(s.relation),
       pg_stat_get_tuples_updated(s.relation), pg_stat_get_tuples_deleted(s.relation)
  FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS w (schema, name)
  JOIN _pg_migration.target_state s ON (s.schema_name, s.table_name) = (w.schema, w.name)
 WHERE s.relation = to_regclass(format('%%I.%%I', s.schema_name, s.table_name))
 ORDER BY 1, 2
"""


def _names(tables: Collection[TableName]) -> dict[str, list[str]]:
    return {"schemas": [schema for schema, _ in tables], "names": [name for _, name in tables]}


def _present(target: Connection, emptied: Collection[TableName], dropped: Collection[TableName]) -> Sequence[_Relation]:
    wanted = {**dict.fromkeys(emptied, False), **dict.fromkeys(dropped, True)}
    parameters = {**_names(wanted), "dropped": list(wanted.values())}
    rows = fetch(target, sql_file("ledger/own_rows.sql"), parameters) if wanted else []
    return [_Relation((schema, name), oid, size, estimate) for schema, name, oid, size, estimate in rows]


def _reasons(target: Connection, ends: Databases, relations: Sequence[_Relation]) -> Mapping[int, str | None]:
    """By oid why the rows of a relation are not ours, None where they are; without what the ledger does not know."""
    if not relations or not has(target, "chunk"):
        return {}
    found: dict[int, str | None] = {}
    rows = fetch(
        target, sql_file("ledger/own_rows_ledger.sql"), {"relations": [relation.oid for relation in relations]}
    )
    for oid, same, runs, *loaded in rows:
        reason = why_not_ours(ends, runs, *loaded)
        found[oid] = found.get(oid) or reason or (None if same else "the table was made anew since it was loaded")
    return found


def why_not_ours(
    ends: Databases,
    runs: Sequence[str],
    source: str | None,
    server: str | None,
    identities: Mapping[str, Mapping[str, str]] | None,
) -> str | None:
    """Why what some runs loaded is not of these databases."""
    if source is None:
        return f"loaded by run {runs[0]}, of which the bookkeeping has lost the source"
    if identities is None:  # of an earlier version, which wrote down the address only
        same = place_in(source) in ends.source.places or (server is not None and server == ends.server)
        return None if same else f"loaded from another source, at {source}"
    if differs := ends.target.differs_from(Identity.recorded(identities["target"])):
        return f"the bookkeeping was copied here with the database; it is that of a target {differs}"
    if differs := ends.source.differs_from(Identity.recorded(identities["source"])):
        return f"loaded from another source, {differs}"
    return None


def _filled(target: Connection, relations: Sequence[_Relation]) -> set[int]:
    one = sql.SQL("SELECT {oid} WHERE EXISTS (SELECT FROM ONLY {table})")
    return {oid for (oid,) in _about_each(target, one, relations)}


def _counted(
    target: Connection, relations: Sequence[_Relation], reasons: Mapping[int, str | None]
) -> Iterator[UnknownRows]:
    small = [relation for relation in relations if relation.bytes <= MAX_BYTES_COUNTED]
    counts: dict[int, int] = dict(_about_each(target, sql.SQL("SELECT {oid}, count(*) FROM ONLY {table}"), small))
    for relation in relations:
        reason = reasons.get(relation.oid) or "the bookkeeping does not know them"
        rows = counts.get(relation.oid, relation.estimate if relation.estimate > 0 else None)
        yield UnknownRows(relation.table, reason, rows, relation.oid in counts)


def _about_each(target: Connection, one: sql.SQL, relations: Sequence[_Relation]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(relations), TABLES_PER_QUERY):
        queries = [
            one.format(oid=sql.Literal(relation.oid), table=sql.Identifier(*relation.table))
            for relation in relations[start : start + TABLES_PER_QUERY]
        ]
        yield from fetch(target, sql.SQL(" UNION ALL ").join(queries))
