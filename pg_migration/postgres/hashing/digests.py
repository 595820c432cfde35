"""Whether two tables hold the same rows: one digest over all of them on each side.

A row's hash is taken of every copied column (`value_hashes`), so it does not depend on the order of rows, on the
server's version (12 and later) or on how values are stored. What each side computes by itself, stored generated
columns, has sums of its own: there the two may differ although the rows are the same. PostgreSQL's hash functions are
fit to compare servers of one byte order; what another version of this program hashed is told by its form
(`Hashing.form`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Protocol

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Column, Table, TableName
from pg_migration.postgres.hashing.part import Part
from pg_migration.postgres.hashing.value_hashes import ValueHashes, form_of, together

# How fine a share of the rows can be chosen.
_SAMPLE_UNITS = 2**20

# Of a row's hash h. The seed makes it depend on every bit, as the function alone folds one half over the other.
MIXED = sql.SQL("pg_catalog.hashint8extended(h, h)")


@dataclass(frozen=True)
class Digest:
    """Rows as a multiset: how many there are, how many of them were hashed (all, unless a sample was taken), the sum of
    their 64-bit hashes, and the sum of hashes of these.

    Sums count duplicates, which an exclusive or would cancel. No change of one row leaves the first one as it is; the
    second one makes it unlikely that changes in several rows make up for each other: values that changed places, say.
    Digests of parts of a table add up to that of the whole. ``computed`` are the sums of the hashes of each generated
    column: equal digests may have others. None: not known.
    """

    rows: int
    hashed: int
    total: int
    mixed: int
    computed: tuple[int, ...] | None = field(default=(), compare=False)

    def __add__(self, other: "Digest") -> "Digest":
        computed = None
        if self.computed is not None and other.computed is not None:
            pairs = zip_longest(self.computed, other.computed, fillvalue=0)  # what has no rows may have no sums
            computed = tuple(ours + theirs for ours, theirs in pairs)
        return Digest(
            self.rows + other.rows,
            self.hashed + other.hashed,
            self.total + other.total,
            self.mixed + other.mixed,
            computed,
        )

    @classmethod
    def of(cls, parts: Iterable["Digest"]) -> "Digest":
        """The digest of all parts together."""
        return sum(parts, cls(0, 0, 0, 0))

    def __str__(self) -> str:
        """Short enough to compare with the eye: the sums modulo 2^64, in hexadecimal."""
        return f"{self.total % 2**64:016x}{self.mixed % 2**64:016x}"


class Sized(Protocol):
    """A table and about how many rows it has."""

    @property
    def table(self) -> Table: ...

    @property
    def rows(self) -> int: ...


@dataclass(frozen=True)
class Hashing:
    """How the rows of a table are hashed, the same on both sides; called, it is a `comparing.Question`.

    Args:
        sample_percent: of some tables only about this share of the rows is hashed, chosen by a hash of the primary
            key, so that both sides choose the same ones. All rows are counted.
        sampled: those tables, by their names in the source.
    """

    sample_percent: float = 100.0
    sampled: frozenset[TableName] = frozenset()

    @classmethod
    def of_sample(cls, sample_percent: float, tables: Iterable[Sized], least_rows: int) -> "Hashing":
        """Tables with more than so many rows, by estimate, and a primary key to choose by, are sampled."""
        if sample_percent >= 100:
            return cls()
        large = (t.table for t in tables if t.rows > least_rows and t.table.primary_key)
        return cls(sample_percent, frozenset(table.key for table in large))

    def __call__(self, connection: Connection, part: Part) -> Digest:
        expressions = [self.row_hash(connection, part), *self._computed(connection, part)]
        if self.percent_of(part.table) < 100:
            chosen = sql.SQL("({} OPERATOR(pg_catalog.&) {}) OPERATOR(pg_catalog.<) {}").format(
                self.key_hash(connection, part),
                sql.Literal(_SAMPLE_UNITS - 1),
                sql.Literal(round(self.sample_percent / 100 * _SAMPLE_UNITS)),
            )
            expressions = [sql.SQL("CASE WHEN {} THEN {} END").format(chosen, value) for value in expressions]
        names = [sql.SQL("h"), *(sql.SQL(f"g{number}") for number in range(1, len(expressions)))]
        sums = [*names[:1], MIXED, *names[1:]]
        # OFFSET 0 keeps the hash from being computed once for each sum.
        statement = sql.SQL(
            "SELECT pg_catalog.count(*), pg_catalog.count(h), {} FROM (SELECT {} {} OFFSET 0) AS hashes"
        ).format(
            sql.SQL(", ").join(map(_sum_of, sums)),
            sql.SQL(", ").join(map(sql.SQL("{} AS {}").format, expressions, names)),
            part.rows,
        )
        ((rows, hashed, total, mixed, *computed),) = part.fetch(connection, statement)
        return Digest(int(rows), int(hashed), int(total), int(mixed), tuple(map(int, computed)))

    def column_sums(self, connection: Connection, part: Part) -> Mapping[str, int]:
        """The sum of the hashes of each compared column, a `Question`: in which columns rows differ."""
        columns = self.columns(connection, part)
        if not columns:
            return {}
        sums = sql.SQL(", ").join(map(_sum_of, columns.values()))
        (found,) = part.fetch(connection, sql.SQL("SELECT {} {}").format(sums, part.rows))
        return {name: int(total) for name, total in zip(columns, found, strict=True)}

    def percent_of(self, table: Table) -> float:
        """The share of a table's rows that is hashed, about."""
        return self.sample_percent if table.key in self.sampled else 100.0

    def form(self, table: Table, same_encoding: bool) -> str:
        """What digests of a table are made of, in short: only those of one form can be compared.

        Args:
            same_encoding: as of the `Part` that is hashed.
        """
        share = self.percent_of(table)
        form = form_of(table.stored_columns, same_encoding)
        return form if share == 100 else f"{form}/{share:g}%"

    def row_hash(self, connection: Connection, part: Part) -> sql.Composable:
        """A 64-bit hash of a row's compared columns, by name and in the source's order, never NULL."""
        return together(list(self.columns(connection, part).values()))

    def key_hash(self, connection: Connection, part: Part) -> sql.Composable:
        """The same of the primary key, which may be generated."""
        table = part.table
        columns = self._hashes(connection, part, [*table.stored_columns, *table.computed_columns])
        return together([columns[name] for name in table.primary_key])

    def columns(self, connection: Connection, part: Part) -> Mapping[str, sql.Composable]:
        """The hash of each copied column."""
        return self._hashes(connection, part, part.table.stored_columns)

    def _computed(self, connection: Connection, part: Part) -> Sequence[sql.Composable]:
        """The hash of each generated column that is stored."""
        return list(self._hashes(connection, part, part.table.computed_columns).values())

    @staticmethod
    def _hashes(connection: Connection, part: Part, columns: Sequence[Column]) -> Mapping[str, sql.Composable]:
        """The hash of each of some columns.

        Between databases of different encodings it is that of the text in UTF-8, whatever the server stores; SQL_ASCII
        is taken for that.
        """
        encoding = connection.info.parameter_status("server_encoding")
        hashes = ValueHashes(in_utf8=not part.same_encoding and encoding not in ("UTF8", "SQL_ASCII"))
        # By places, which are the same in a table and in those that hold its rows.
        return {column.name: hashes.of(column, place) for place, column in enumerate(columns, 1)}


def _sum_of(value: sql.Composable) -> sql.Composable:
    return sql.SQL("coalesce(pg_catalog.sum({}), 0)").format(value)


def count_as_digest(connection: Connection, part: Part) -> Digest:
    """The same as a digest of which no row was hashed."""
    return Digest(count_rows(connection, part), 0, 0, 0)


def count_rows(connection: Connection, part: Part) -> int:
    """``count(*)`` of some rows on one side, a `comparing.Question`."""
    ((rows,),) = part.fetch(connection, sql.SQL("SELECT pg_catalog.count(*) {}").format(part.rows))
    return int(rows)
