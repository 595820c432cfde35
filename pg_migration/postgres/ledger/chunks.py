"""The bookkeeping in the target's ``_pg_migration`` schema: which rows are there, from which run and snapshot."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.statements import execute, execute_rows, fetch, gathered
from pg_migration.postgres.snapshot.snapshot import Snapshot

# A server that is busy notices late that a client has left, also one that said goodbye.
LEAVING_SECONDS = 3


ChunkName = tuple[str, int]
"""A chunk of a table: the key of its range, and its number in that."""


@dataclass(frozen=True)
class LoadedRange:
    """A range whose chunks are all in the table."""

    key: str
    run_id: str
    snapshot: str
    rows: int
    bytes: int
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True)
class Placed:
    """Where the rows of a chunk are in the target.

    ``transaction`` wrote them, which is their ``xmin``. ``file`` is the one that the table was stored in then. Before
    they were written it had ``first_page`` pages, and then ``end_page``; None where that is not known any more.
    """

    transaction: int
    file: int | None
    first_page: int = 0
    end_page: int | None = None


@dataclass(frozen=True)
class Recorded:
    """A chunk that was committed: its rows and bytes, and where they are."""

    rows: int
    bytes: int
    placed: Placed


@dataclass(frozen=True)
class ChunkEntry:
    """One ledger row, less what its COPY moved."""

    table: TableName
    range_key: str
    chunk: int
    chunks: int
    run_id: str
    copied_by: str
    snapshot: str
    predicate: str
    started_at: datetime


def forget(connection: Connection, tables: Iterable[TableName]) -> None:
    """Drop what the ledger says of tables, in the transaction that empties them; under any search_path."""
    execute_rows(
        connection,
        "DELETE FROM _pg_migration.chunk c USING (VALUES %s) AS t (schema_name, table_name) "
        "WHERE (c.schema_name, c.table_name) OPERATOR(pg_catalog.=) (t.schema_name, t.table_name)",
        list(tables),
        template="(%s::pg_catalog.text, %s::pg_catalog.text)",
    )


def forget_range(connection: Connection, table: TableName, range_key: str) -> None:
    """Drop what the ledger says of one range, in the transaction that replaces it; under any search_path."""
    execute(
        connection,
        "DELETE FROM _pg_migration.chunk "
        "WHERE (schema_name, table_name, range_key) OPERATOR(pg_catalog.=) (%s, %s, %s)",
        (*table, range_key),
    )


def record(connection: Connection, entry: ChunkEntry, rows: int, size: int, placed: Placed) -> Placed:
    """Write one chunk's row, with the rows and bytes that it moved, in the transaction of its COPY, and commit that.

    It runs under the search_path that the COPY needs.

    Args:
        placed: where they were going to be.

    Returns:
        Where they are.
    """
    with gathered(connection):
        _insert(connection, entry, rows, size)
        execute(connection, "COMMIT")
        ((written, block),) = fetch(connection, _SIZE, entry.table)
    return replace(placed, end_page=(written or 0) // int(block))


_SIZE = (
    "SELECT pg_catalog.pg_relation_size(pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s, %s))), "
    "pg_catalog.current_setting('block_size')"
)


def _insert(connection: Connection, entry: ChunkEntry, rows: int, size: int) -> None:
    execute(
        connection,
        "INSERT INTO _pg_migration.chunk (schema_name, table_name, range_key, chunk, chunks, relation, run_id, "
        "snapshot, predicate, row_count, byte_count, started_at, copied_by, target_xid) VALUES (%s, %s, %s, %s, %s, "
        "pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s, %s)), %s, %s, %s, %s, %s, %s, %s, "
        "pg_catalog.txid_current())",
        (
            *(*entry.table, entry.range_key, entry.chunk, entry.chunks, *entry.table, entry.run_id, entry.snapshot),
            *(entry.predicate, rows, size, entry.started_at.isoformat(), entry.copied_by),
        ),
    )


def place(connection: Connection, table: TableName) -> tuple[Placed, bool]:
    """Where the rows are going to be that the transaction writes to a table, and whether that is UNLOGGED.

    It may be asked under any search_path.
    """
    ((transaction, file, size, block, persistence),) = fetch(
        connection,
        "SELECT pg_catalog.txid_current(), pg_catalog.pg_relation_filenode(t.relation), "
        "pg_catalog.pg_relation_size(t.relation), pg_catalog.current_setting('block_size'), "
        "(SELECT c.relpersistence FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) t.relation) "
        "FROM (SELECT pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s, %s))) AS t (relation)",
        table,
    )
    return Placed(transaction, file, (size or 0) // int(block)), persistence == "u"


def recorded(connection: Connection, entry: ChunkEntry) -> Recorded | None:
    """A chunk that the same run has committed; None when it has not."""
    found = fetch(
        connection,
        "SELECT row_count, byte_count, target_xid, pg_relation_filenode(relation) FROM _pg_migration.chunk "
        "WHERE (schema_name, table_name, range_key, chunk, run_id) = (%s, %s, %s, %s, %s)",
        (*entry.table, entry.range_key, entry.chunk, entry.run_id),
    )
    if not found:
        return None
    ((rows, size, transaction, file),) = found
    return Recorded(rows, size, Placed(transaction, file))


def hashed_chunks(connection: Connection, tables: Collection[TableName]) -> Mapping[TableName, frozenset[ChunkName]]:
    """The chunks of some tables that have a digest."""
    found: dict[TableName, set[ChunkName]] = {}
    for schema, table, *chunk in fetch(
        connection,
        "SELECT schema_name, table_name, range_key, chunk FROM _pg_migration.chunk WHERE digest_form IS NOT NULL "
        "AND (schema_name, table_name) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
        ([t[0] for t in tables], [t[1] for t in tables]),
    ):
        found.setdefault((schema, table), set()).add((chunk[0], chunk[1]))
    return {name: frozenset(chunks) for name, chunks in found.items()}


def loaded_ranges(connection: Connection, table: TableName) -> tuple[LoadedRange, ...]:
    """The complete ranges of a table, as long as it still is the relation that they were loaded into."""
    return all_loaded_ranges(connection, [table]).get(table, ())


def all_loaded_ranges(
    connection: Connection, tables: Collection[TableName]
) -> Mapping[TableName, tuple[LoadedRange, ...]]:
    """As `loaded_ranges`, for several tables in one query; tables with nothing complete are left out."""
    found: dict[TableName, list[LoadedRange]] = {}
    for schema, table, *rest in fetch(
        connection,
        "SELECT schema_name, table_name, range_key, max(run_id), max(snapshot), sum(row_count)::bigint, "
        "sum(byte_count)::bigint, min(started_at), max(finished_at) FROM _pg_migration.chunk "
        "WHERE relation = to_regclass(format('%%I.%%I', schema_name, table_name)) "
        "AND schema_name = ANY (%s) AND table_name = ANY (%s) "
        "GROUP BY schema_name, table_name, range_key HAVING count(*) = max(chunks) ORDER BY 1, 2, 8",
        ([t[0] for t in tables], [t[1] for t in tables]),
    ):
        if (schema, table) in tables:
            found.setdefault((schema, table), []).append(LoadedRange(*rest))
    return {name: tuple(ranges) for name, ranges in found.items()}


def adopt(connection: Connection, tables: Collection[TableName], run_id: str, snapshot: Snapshot) -> None:
    """Make the chunks of tables those of another run, in whose snapshot they were shown to be the same."""
    execute(
        connection,
        "UPDATE _pg_migration.chunk SET run_id = %s, snapshot = %s "
        "WHERE (schema_name, table_name) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
        (run_id, snapshot.name, [t[0] for t in tables], [t[1] for t in tables]),
    )


def carry(connection: Connection, origin: TableName, table: TableName, run_id: str, snapshot: Snapshot) -> None:
    """Say of a table what the ledger says of another one whose rows it was given, in the transaction that did that.

    It makes the rows those of a run, in whose snapshot they were shown to be the same. It may be under any search_path.
    """
    execute(
        connection,
        "INSERT INTO _pg_migration.chunk (schema_name, table_name, range_key, chunk, chunks, relation, run_id, "
        "snapshot, predicate, row_count, byte_count, started_at, finished_at, target_xid, copied_by, digest_form, "
        "digest_hashed, digest_total, digest_mixed) SELECT %s, %s, c.range_key, c.chunk, c.chunks, "
        "pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s, %s)), %s, %s, c.predicate, c.row_count, "
        "c.byte_count, c.started_at, c.finished_at, pg_catalog.txid_current(), c.copied_by, c.digest_form, "
        "c.digest_hashed, c.digest_total, c.digest_mixed FROM _pg_migration.chunk c "
        "WHERE (c.schema_name, c.table_name) OPERATOR(pg_catalog.=) (%s::pg_catalog.text, %s::pg_catalog.text)",
        (*table, *table, run_id, snapshot.name, *origin),
    )
