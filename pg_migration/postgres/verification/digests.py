"""Whether two tables hold the same rows: one digest over all of them on each side.

A row's hash is taken of the pinned text form of every copied column, so it does not depend on the order of rows, on the
server's version (12 and later) or on how values are stored. PostgreSQL's hash functions are fit to compare two servers
today, not to keep a fingerprint: their results may change between major versions on other hardware.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration.postgres.planning.wire_format import PORTABLE_TYPES
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.verification.both_sides import Answers, BothSides, Part, compared_relation
from pg_migration.postgres.verification.partition_trees import Origins, ask_once
from pg_migration.postgres.verification.slices import Slicing

# How fine a share of the rows can be chosen.
_SAMPLE_UNITS = 2**20


@dataclass(frozen=True)
class Digest:
    """Rows as a multiset: how many there are, how many of them were hashed (all, unless a sample was taken), the sum of
    their 64-bit hashes, and the sum of each hash's upper half times its lower half.

    Sums count duplicates, which an exclusive or would cancel; the second one makes it unlikely that changes in several
    rows make up for each other. Digests of parts of a table add up to that of the whole.
    """

    rows: int
    hashed: int
    total: int
    mixed: int

    def __add__(self, other: "Digest") -> "Digest":
        return Digest(
            self.rows + other.rows, self.hashed + other.hashed, self.total + other.total, self.mixed + other.mixed
        )

    @classmethod
    def of(cls, parts: Iterable["Digest"]) -> "Digest":
        """The digest of all parts together."""
        return sum(parts, cls(0, 0, 0, 0))

    def __str__(self) -> str:
        """Short enough to compare with the eye: the sums modulo 2^64, in hexadecimal."""
        return f"{self.total % 2**64:016x}{self.mixed % 2**64:016x}"


@dataclass(frozen=True)
class Hashing:
    """How the rows of a table are hashed, the same on both sides; called, it is a `comparing.Question`.

    Args:
        sample_percent: of some tables only about this share of the rows is hashed, chosen by a hash of the primary
            key, so that both sides choose the same ones. All rows are counted.
        sampled: those tables, by their names in the source.
        shortened: values are hashed by way of a digest of their binary form, where that is portable. It takes longer,
            and can do rows whose text form is larger than the 1 GB that PostgreSQL allows.
    """

    sample_percent: float = 100.0
    sampled: frozenset[TableName] = frozenset()
    shortened: bool = False

    @classmethod
    def of_sample(cls, sample_percent: float, tables: Iterable[Slicing | TablePlan], least_rows: int) -> "Hashing":
        """Tables with more than so many rows, by estimate, and a primary key to choose by, are sampled."""
        if sample_percent >= 100:
            return cls()
        large = (t.table for t in tables if t.rows > least_rows and t.table.primary_key)
        return cls(sample_percent, frozenset(table.key for table in large))

    def __call__(self, connection: Connection, part: Part) -> Digest:
        expression = self.row_hash(connection, part)
        if self.percent_of(part.table) < 100:
            chosen = sql.SQL("({} OPERATOR(pg_catalog.&) {}) OPERATOR(pg_catalog.<) {}").format(
                key_hash(connection, part),
                sql.Literal(_SAMPLE_UNITS - 1),
                sql.Literal(round(self.sample_percent / 100 * _SAMPLE_UNITS)),
            )
            expression = sql.SQL("CASE WHEN {} THEN {} END").format(chosen, expression)
        # OFFSET 0 keeps the hash from being computed once for each sum.
        statement = sql.SQL(
            "SELECT pg_catalog.count(*), pg_catalog.count(h), coalesce(pg_catalog.sum(h), 0), coalesce(pg_catalog.sum("
            "(h OPERATOR(pg_catalog.>>) 32) OPERATOR(pg_catalog.*) (h OPERATOR(pg_catalog.&) 4294967295)), 0) "
            "FROM (SELECT {} AS h {} OFFSET 0) AS hashes"
        )
        ((rows, hashed, total, mixed),) = part.fetch(connection, statement.format(expression, part.rows))
        return Digest(int(rows), int(hashed), int(total), int(mixed))

    def percent_of(self, table: Table) -> float:
        """The share of a table's rows that is hashed, about."""
        return self.sample_percent if table.key in self.sampled else 100.0

    def for_large_rows(self) -> "Hashing":
        """The same, for rows whose text form is too large."""
        return replace(self, shortened=True)

    def row_hash(self, connection: Connection, part: Part) -> sql.Composable:
        """A 64-bit hash of a row's compared columns, by name and in the source's order."""
        return hash_of(connection, part, list(self.columns(connection, part).values()))

    def columns(self, connection: Connection, part: Part) -> Mapping[str, sql.Composable]:
        """What is hashed of each compared column."""
        names = [column.name for column in part.table.compared_columns]
        senders = _senders(connection, part) if self.shortened else {}
        found: dict[str, sql.Composable] = {}
        for name in names:
            column, sender = sql.Identifier(name), senders.get(name)
            digest = sql.SQL("pg_catalog.sha256(pg_catalog.{}({}))")
            found[name] = digest.format(sql.Identifier(sender), column) if sender else column
        return found


def digest_tables(
    sides: BothSides,
    slicings: Sequence[Slicing],
    hashing: Hashing,
    origins: Origins,
    workers: int,
    known: Mapping[TableName, Mapping[Side, Digest]] | None = None,
) -> Iterator[tuple[Answers[Digest], Hashing]]:
    """The digests of tables, each with how its rows were hashed: other than asked for where they are too large.

    Args:
        slicings: as for `BothSides.ask`.
        origins: of tables, which are read only where the digests of those do not add up to theirs.
        workers: connections to each side.
        known: digests of whole tables by ``hashing``, by names in the source: those sides are not read.
    """
    tables = {slicing.table.key: slicing.table for slicing in slicings}
    adding_up = {n: found for n, found in origins.items() if n in tables and _add_up(found, tables[n], hashing)}
    too_large: list[Slicing] = []
    for found in ask_once(sides, hashing, slicings, adding_up, workers, known):
        if found.too_large:
            too_large.append(found.slicing)
        else:
            yield found, hashing
    hashing = hashing.for_large_rows()
    for found in ask_once(sides, hashing, too_large, adding_up, workers):
        yield found, hashing


def _add_up(origins: Iterable[Table], table: Table, hashing: Hashing) -> bool:
    """Whether digests of tables that hold a table's rows are together what its own would be, of no fewer of the rows.

    They are where a row's text is the same: its columns have the same order, and names in values the same schema.
    """
    columns = [column.name for column in table.compared_columns]
    return all(
        [column.name for column in origin.compared_columns] == columns
        and compared_relation(origin)[0][0] == compared_relation(table)[0][0]
        and hashing.percent_of(origin) >= hashing.percent_of(table)
        for origin in origins
    )


def hash_of(connection: Connection, part: Part, values: Sequence[sql.Composable]) -> sql.Composable:
    """A 64-bit hash of several values of a row, the same on both servers.

    ROW tells NULL from the empty string; collation C makes the hash one of bytes. Between databases of different
    encodings they are those of UTF-8, whatever the server stores; SQL_ASCII is taken for that.
    """
    text = sql.SQL("ROW({})::pg_catalog.text").format(sql.SQL(", ").join(values))
    if not part.same_encoding and connection.info.parameter_status("server_encoding") not in ("UTF8", "SQL_ASCII"):
        # No function hashes bytea by itself. That of an array is 31 times 1 plus the hash of its one element, modulo
        # 2^64: the subtraction can't overflow but for 31 hashes of all.
        return sql.SQL(
            "(pg_catalog.hash_array_extended(ARRAY[pg_catalog.convert_to({}, 'UTF8')], 0) OPERATOR(pg_catalog.-) 31)"
        ).format(text)
    return sql.SQL('pg_catalog.hashtextextended({} COLLATE pg_catalog."C", 0)').format(text)


def key_hash(connection: Connection, part: Part) -> sql.Composable:
    """The same of the primary key."""
    return hash_of(connection, part, [sql.Identifier(name) for name in part.table.primary_key])


def _senders(connection: Connection, part: Part) -> Mapping[str, str]:
    """The send functions of the columns that have a portable binary form."""
    statement = sql_file("verification/binary_forms.sql")
    relation = sql.Identifier(*part.name).as_string(connection)
    rows = fetch(connection, statement, {"relation": relation, "portable": list(PORTABLE_TYPES)})
    return {name: send for name, send in rows if send is not None}


def count_as_digest(connection: Connection, part: Part) -> Digest:
    """The same as a digest of which no row was hashed."""
    return Digest(count_rows(connection, part), 0, 0, 0)


def count_rows(connection: Connection, part: Part) -> int:
    """``count(*)`` of some rows on one side, a `comparing.Question`."""
    ((rows,),) = part.fetch(connection, sql.SQL("SELECT pg_catalog.count(*) {}").format(part.rows))
    return int(rows)
