"""Whether two tables hold the same rows: one hash over all of them on each side, and where it differs, which rows.

The hash is taken of the pinned text form of every copied column, so it does not depend on the order of rows, on the
server's version (12 and later) or on how values are stored. PostgreSQL's hash functions are fit to compare two servers
today, not to keep a fingerprint: their results may change between major versions on other hardware.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.comparing import BothSides, compared_relation
from pg_migration.postgres.endpoint import Side
from pg_migration.postgres.ledger import TableName
from pg_migration.postgres.session import fetch

BUCKETS = 4096
MOST_BUCKETS_READ = 20
MOST_ROWS_SHOWN = 20


@dataclass(frozen=True)
class Digest:
    """The rows of one table as a multiset: how many, the sum of their 64-bit hashes, and the sum of each hash's
    upper half times its lower half.

    Sums count duplicates, which an exclusive or would cancel; the second one makes it unlikely that changes in several
    rows make up for each other.
    """

    rows: int
    total: int
    mixed: int


@dataclass(frozen=True)
class RowDifference:
    """One row that is not the same: ``kind`` is missing (in the target), extra (there only) or different.

    ``row`` is its primary key as text, or its hash in a table without one; ``columns`` are those that differ.
    """

    kind: str
    row: str
    columns: tuple[str, ...] = ()


def digest(connection: Connection, name: TableName, table: Table) -> Digest:
    """The digest of one table on one side, a `comparing.Question`."""
    _resolve_names_in(connection, name[0])
    statement = sql.SQL(
        "SELECT count(*), coalesce(sum(h), 0), coalesce(sum((h >> 32) * (h & 4294967295)), 0) "
        "FROM (SELECT {hash} AS h FROM {table}) AS hashes"
    )
    expression = row_hash(connection, table)
    ((rows, total, mixed),) = fetch(connection, statement.format(hash=expression, table=_relation(name, table)))
    return Digest(int(rows), int(total), int(mixed))


def row_hash(connection: Connection, table: Table) -> sql.Composable:
    """A 64-bit hash of a row's copied columns, by name and in the source's order, the same on both servers.

    ROW tells NULL from the empty string; collation C makes the hash one of bytes.
    """
    return _hash(connection, [c.name for c in table.stored_columns])


def _hash(connection: Connection, columns: Sequence[str]) -> sql.Composable:
    text = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(sql.Identifier(name) for name in columns))
    ((encoding,),) = fetch(connection, "SHOW server_encoding")
    if encoding not in ("UTF8", "SQL_ASCII"):
        # The hash is over bytes: those of UTF-8, whatever the server stores. SQL_ASCII takes them as they are.
        text = sql.SQL("convert_from(convert_to({}, 'UTF8'), 'SQL_ASCII')").format(text)
    return sql.SQL('hashtextextended({} COLLATE "C", 0)').format(text)


def _relation(name: TableName, table: Table) -> sql.Composable:
    only = sql.SQL("" if compared_relation(table)[1] else "ONLY ")
    return only + sql.Identifier(*name)


def _resolve_names_in(connection: Connection, schema: str) -> None:
    """Names inside values (regclass) come out without the schema, which may be called otherwise on the other side."""
    fetch(connection, "SELECT set_config('search_path', format('%%I, pg_catalog', %s::text), false)", (schema,))


def differences(sides: BothSides, table: Table) -> tuple[RowDifference, ...]:
    """The first rows that differ between the two sides, found with two passes over each.

    The first pass hashes rows into buckets (by primary key, so that a changed row stays in its bucket), the second
    reads the buckets that differ.

    Raises:
        ConnectionFailed, psycopg2.Error: when a side can't be read.
    """
    ends = tuple(_End(sides.open(side), sides.name(side, compared_relation(table)[0]), table) for side in Side)
    try:
        ours, theirs = (end.buckets() for end in ends)
        unequal = sorted(b for b in ours.keys() | theirs.keys() if ours.get(b) != theirs.get(b))[:MOST_BUCKETS_READ]
        source, target = (end.rows(unequal) for end in ends)
        found = _compare(source, target)[:MOST_ROWS_SHOWN]
        return tuple(_with_columns(ends, table, difference) for difference in found)
    finally:
        for end in ends:
            end.connection.close()


class _End:
    """One table on one side, asked for the hashes of its rows."""

    def __init__(self, connection: Connection, name: TableName, table: Table) -> None:
        _resolve_names_in(connection, name[0])
        self.connection = connection
        self._relation = _relation(name, table)
        self._columns = [c.name for c in table.stored_columns]
        self._hash = row_hash(connection, table)
        key = list(table.primary_key)
        self._key = (
            sql.SQL("ROW({})::text").format(sql.SQL(", ").join(map(sql.Identifier, key)))
            if key
            else sql.SQL("({})::text").format(self._hash)
        )
        self._bucket = sql.SQL("({} & {})").format(
            _hash(connection, key) if key else self._hash, sql.Literal(BUCKETS - 1)
        )

    def buckets(self) -> Mapping[int, tuple[int, int]]:
        """Rows and the sum of their hashes in every bucket."""
        statement = sql.SQL("SELECT {}, count(*), sum({}) FROM {} GROUP BY 1")
        rows = fetch(self.connection, statement.format(self._bucket, self._hash, self._relation))
        return {bucket: (count, total) for bucket, count, total in rows}

    def rows(self, buckets: Sequence[int]) -> Mapping[str, list[int]]:
        """The hashes of every row in some buckets, by key (by hash, where there is no key)."""
        statement = sql.SQL("SELECT {}, {} FROM {} WHERE {} = ANY ({}::bigint[])")
        wanted = sql.Literal(list(buckets))
        found: dict[str, list[int]] = {}
        for key, value in fetch(
            self.connection, statement.format(self._key, self._hash, self._relation, self._bucket, wanted)
        ):
            found.setdefault(key, []).append(value)
        return {key: sorted(values) for key, values in found.items()}

    def columns(self, key: str) -> Mapping[str, int]:
        """The hash of each column of the row with a key."""
        hashes = sql.SQL(", ").join(_hash(self.connection, [name]) for name in self._columns)
        statement = sql.SQL("SELECT {} FROM {} WHERE {} = {}")
        rows = fetch(self.connection, statement.format(hashes, self._relation, self._key, sql.Literal(key)))
        return dict(zip(self._columns, rows[0], strict=True)) if rows else {}


def _compare(source: Mapping[str, list[int]], target: Mapping[str, list[int]]) -> list[RowDifference]:
    found = []
    for key in sorted(source.keys() | target.keys()):
        ours, theirs = source.get(key, []), target.get(key, [])
        if ours != theirs:
            kinds = {True: "missing", False: "extra"}
            kind = "different" if len(ours) == len(theirs) else kinds[len(ours) > len(theirs)]
            found.append(RowDifference(kind, key))
    return found


def _with_columns(ends: Sequence[_End], table: Table, difference: RowDifference) -> RowDifference:
    if difference.kind != "different" or not table.primary_key:
        return difference
    ours, theirs = (end.columns(difference.row) for end in ends)
    columns = tuple(name for name in ours if ours[name] != theirs.get(name))
    return RowDifference(difference.kind, difference.row, columns)
