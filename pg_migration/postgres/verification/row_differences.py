"""Which rows differ between the two sides, when a table's digests do.

The slices that differ are narrowed by hashing their rows into buckets, on both sides, until few enough rows are left
to be read one by one. Buckets are by primary key, so that a changed row stays in its bucket, and by the row's own hash
in a table without one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.hashing.digests import MIXED, Digest, Hashing
from pg_migration.postgres.hashing.part import Part
from pg_migration.postgres.hashing.value_hashes import text_of
from pg_migration.postgres.verification.both_sides import Answers, BothSides
from pg_migration.postgres.verification.slices import WHOLE

BUCKET_BITS = 12
HASH_BITS = 64
MAX_BUCKETS_READ = 20
MAX_ROWS_READ = 20_000
MAX_ROWS_SHOWN = 20

_DIGITS = re.compile("([0-9]+)")


@dataclass(frozen=True)
class RowDifference:
    """One row that is not the same: ``kind`` is missing (in the target), extra (there only) or different.

    ``row`` is its primary key as text, or its hash in a table without one; ``columns`` are those that differ.
    """

    kind: str
    row: str
    columns: tuple[str, ...] = ()


def ranges_that_differ(answers: Answers[Digest]) -> tuple[str, ...]:
    """The key ranges whose digests differ; nothing for a table that was not compared by ranges."""
    source, target = answers.source, answers.target
    assert isinstance(source, tuple)
    assert isinstance(target, tuple)
    pairs = zip(answers.slicing.ranges, source, target, strict=True) if answers.slicing.ranges else ()
    return tuple(piece.key for piece, ours, theirs in pairs if ours != theirs)


def differences(sides: BothSides, answers: Answers[Digest], hashing: Hashing) -> tuple[RowDifference, ...]:
    """The first rows that differ between the two sides.

    Args:
        answers: the digests of both sides, which are not equal.
        hashing: how they were made.

    Raises:
        ConnectionFailed, SnapshotLost, psycopg2.Error: when a side can't be read.
    """

    def look(connections: Sequence[Connection]) -> tuple[RowDifference, ...]:
        sides_read = [*zip(Side, connections, strict=True)]
        parts = [sides.part(side, answers.table, WHOLE, connection) for side, connection in sides_read]
        ends = [End(connection, part, hashing) for connection, part in zip(connections, parts, strict=True)]
        found: list[RowDifference] = []
        for predicate in unequal_slices(answers):
            found += _differences_within(ends, predicate)
            if len(found) >= MAX_ROWS_SHOWN:
                break
        return tuple(found[:MAX_ROWS_SHOWN])

    return sides.on(list(Side), look)


def key_text(connection: Connection, part: Part, hashing: Hashing) -> sql.Composable:
    """What a row is called: its primary key as text, or its hash in a table without one."""
    if part.table.primary_key:
        columns = {column.name: column for column in part.table.columns}
        return text_of([columns[name] for name in part.table.primary_key])
    return sql.SQL("pg_catalog.format('%s', {})").format(hashing.row_hash(connection, part))


def unequal_slices(answers: Answers[Digest]) -> Iterator[sql.Composable]:
    """Conditions under which the differing rows are: the key ranges that differ, or just the whole table."""
    slicing = answers.slicing
    if not slicing.ranges:
        yield WHOLE
        return
    unequal = set(ranges_that_differ(answers))
    yield from (piece.predicate(slicing.key) for piece in slicing.ranges if piece.key in unequal)


def _differences_within(ends: Sequence["End"], predicate: sql.Composable) -> list[RowDifference]:
    """Some of the differing rows that a condition holds for."""
    parts = [replace(end.part, predicate=predicate) for end in ends]
    for shift in range(0, HASH_BITS - BUCKET_BITS + 1, BUCKET_BITS):
        ours, theirs = (end.buckets(part, shift) for end, part in zip(ends, parts, strict=True))
        unequal = sorted(b for b in ours.keys() | theirs.keys() if ours.get(b) != theirs.get(b))[:MAX_BUCKETS_READ]
        parts = [part.narrowed(end.in_buckets(unequal, shift)) for end, part in zip(ends, parts, strict=True)]
        if sum(side[b][0] for side in (ours, theirs) for b in unequal if b in side) <= MAX_ROWS_READ:
            break
    source, target = (end.rows(part) for end, part in zip(ends, parts, strict=True))
    found = _compare(source, target)[:MAX_ROWS_SHOWN]
    changed = [difference.row for difference in found if difference.kind == "different"]
    if not ends[0].part.table.primary_key:
        return found
    columns = differing_columns(ends, parts, changed)
    return [replace(difference, columns=columns.get(difference.row, ())) for difference in found]


def differing_columns(
    ends: Sequence["End"], parts: Sequence[Part], keys: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """Of rows that differ, by their keys, which columns do."""
    if not keys:
        return {}
    ours, theirs = (end.columns(part, keys) for end, part in zip(ends, parts, strict=True))
    return {key: _unequal(ours.get(key, {}), theirs.get(key, {})) for key in keys}


class End:
    """One table on one side, asked for the hashes of its rows."""

    def __init__(self, connection: Connection, part: Part, hashing: Hashing) -> None:
        self.connection = connection
        self.part = part
        self._columns = hashing.columns(connection, part)
        self._hash = hashing.row_hash(connection, part)
        self._key = key_text(connection, part, hashing)
        self._key_hash = hashing.key_hash(connection, part) if part.table.primary_key else self._hash

    def buckets(self, part: Part, shift: int) -> Mapping[int, tuple[int, int]]:
        """Rows and a sum of their hashes in every bucket of some rows."""
        statement = sql.SQL(
            "SELECT b, pg_catalog.count(*), pg_catalog.sum({}) "
            "FROM (SELECT {} AS b, {} AS h {} OFFSET 0) AS hashes GROUP BY b"
        )
        rows = self._fetch(statement.format(MIXED, self._bucket(shift), self._hash, part.rows))
        return {bucket: (count, total) for bucket, count, total in rows}

    def in_buckets(self, buckets: Sequence[int], shift: int) -> sql.Composable:
        """The condition of being in one of some buckets."""
        return sql.SQL("{} OPERATOR(pg_catalog.=) ANY ({}::pg_catalog.int8[])").format(
            self._bucket(shift), sql.Literal(list(buckets))
        )

    def rows(self, part: Part) -> Mapping[str, Mapping[int, int]]:
        """How often each hash comes, by key (by itself, where there is no key)."""
        statement = sql.SQL(
            "SELECT k, h, pg_catalog.count(*) FROM (SELECT {} AS k, {} AS h {} OFFSET 0) AS hashes GROUP BY k, h"
        )
        found: dict[str, dict[int, int]] = {}
        for key, value, times in self._fetch(statement.format(self._key, self._hash, part.rows)):
            found.setdefault(key, {})[value] = times
        return found

    def columns(self, part: Part, keys: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        """The hash of each column of those of some rows that have one of some keys."""
        chosen = sql.SQL("{} OPERATOR(pg_catalog.=) ANY ({}::pg_catalog.text[])").format(
            self._key, sql.Literal(list(keys))
        )
        statement = sql.SQL("SELECT {}, {} {}").format(
            self._key, sql.SQL(", ").join(self._columns.values()), part.narrowed(chosen).rows
        )
        return {key: dict(zip(self._columns, row, strict=True)) for key, *row in self._fetch(statement)}

    def versions(self, part: Part, keys: Sequence[str]) -> Mapping[str, tuple[tuple[int, str], ...]]:
        """Of those of some rows that have one of some keys the hash and the transaction that wrote it."""
        chosen = sql.SQL("k OPERATOR(pg_catalog.=) ANY ({}::pg_catalog.text[])").format(sql.Literal(list(keys)))
        statement = sql.SQL(
            "SELECT k, h, x FROM (SELECT {} AS k, {} AS h, pg_catalog.format('%s', xmin) AS x {} OFFSET 0) AS rows "
            "WHERE {} ORDER BY k, h, x"
        )
        found: dict[str, tuple[tuple[int, str], ...]] = {}
        for key, value, writer in self._fetch(statement.format(self._key, self._hash, part.rows, chosen)):
            found[key] = (*found.get(key, ()), (value, writer))
        return found

    def _fetch(self, statement: sql.Composable) -> list[tuple[Any, ...]]:
        return self.part.fetch(self.connection, statement)

    def _bucket(self, shift: int) -> sql.Composable:
        return sql.SQL("(({} OPERATOR(pg_catalog.>>) {}) OPERATOR(pg_catalog.&) {})").format(
            self._key_hash, sql.Literal(shift), sql.Literal(2**BUCKET_BITS - 1)
        )


def _compare(source: Mapping[str, Mapping[int, int]], target: Mapping[str, Mapping[int, int]]) -> list[RowDifference]:
    found = []
    for key in sorted(source.keys() | target.keys(), key=in_reading_order):
        ours, theirs = source.get(key, {}), target.get(key, {})
        if ours != theirs:
            surplus = sum(ours.values()) - sum(theirs.values())
            found.append(RowDifference("different" if not surplus else "missing" if surplus > 0 else "extra", key))
    return found


def in_reading_order(key: str) -> list[tuple[int, str]]:
    """Puts (5) before (1000): a number is as large as its digits are many, then as they read."""
    parts = _DIGITS.split(key)  # every second one is digits
    return [(len(part) if place % 2 else 0, part) for place, part in enumerate(parts)]


def _unequal(ours: Mapping[str, int], theirs: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(name for name in ours if ours[name] != theirs.get(name))
