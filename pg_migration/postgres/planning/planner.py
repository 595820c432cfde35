"""What a load will do, decided before it writes: ranges, chunks, the format on the wire, and the order."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import RowTransform, Table
from pg_migration.postgres.catalog.source_rows import chosen, discreet
from pg_migration.postgres.catalog.values_path import DEFAULT_PATH, ValuesPath, fetch_rows
from pg_migration.postgres.connection.statements import Question, asked_together, fetch
from pg_migration.postgres.planning.key_ranges import CUTTABLE_TYPES, WHOLE_TABLE, KeyColumn, Range, cut, parse
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.planning.page_ranges import page_range
from pg_migration.postgres.planning.plan import Chunk, RangePlan, TablePlan, in_order
from pg_migration.postgres.planning.row_width import widest_row
from pg_migration.postgres.planning.wire_format import PORTABLE_TYPES
from pg_migration.postgres.sql_files import sql_file

SAMPLED_ROWS_PER_CHUNK = 100
MIN_SAMPLED_PAGES = 500
TABLES_PER_QUERY = 200
CHUNK_BYTES = 256 * 2**20

# Values out of line are looked at for their width where they are more than this and than the rest of the table. Even a
# value that compresses as well as any, a hundredfold, is then no wider than a few megabytes.
MIN_TOAST_BYTES = 64 * 2**10

# pg_stats.correlation below which rows that follow each other in the key lie all over the table: to read one range of
# the key then costs about as much as to read the table, so ranges are not cut any further.
MIN_CORRELATION = 0.5

# How many times as many rows as planned a range may have, before the table is not cut by its key at all.
MAX_RANGES_IN_ONE = 2


@dataclass(frozen=True)
class _Size:
    rows: int
    bytes: int
    pages: int
    heap: bool
    main_bytes: int


@dataclass(frozen=True)
class Planner:
    """Cuts tables of one source, read through a connection that sees the run's snapshot.

    ``encoding`` is what `copying.raw_encoding` says of the two databases. Text in binary COPY is in the encoding of the
    session, which is UTF8, so another one means the text format. ``application`` is as `application_path`.
    """

    connection: Connection
    settings: LoadSettings
    encoding: str | None = None
    application: tuple[str, ...] = DEFAULT_PATH
    _types: dict[int, tuple[str, bool]] = field(default_factory=dict)

    def plan(self, tables: Sequence[Table]) -> tuple[TablePlan, ...]:
        """Plan whole tables, the largest first.

        A fixed number of queries, and one sample for each table that is cut or was never analyzed.
        """
        with asked_together(self.connection, [*self._types_question(tables), self._sizes_question(tables)]):
            self._learn_types(tables)
            sizes = self._sizes(tables)
        plans = [self._plan_table(table, sizes[table.oid]) for table in tables]
        return in_order(plans)

    def plan_ranges(self, table: Table, keys: Sequence[str]) -> TablePlan:
        """Plan only the ranges that partition keys name.

        Raises:
            ConfigurationError: when a key is none of the table's.
        """
        size = self._sizes([table])[table.oid]
        self._learn_types([table])
        key = self.key_column(table)
        wanted = [parse(k, key, f"{table.schema}.{table.name}") for k in keys]
        if WHOLE_TABLE in wanted:
            ranges: tuple[RangePlan, ...] = (RangePlan(WHOLE_TABLE, self._page_chunks(table, size)),)
            return self._table_plan(table, size, key, ranges)
        ranges = tuple(RangePlan(r, (Chunk(1, r.predicate(key)),)) for r in wanted)
        made = self._table_plan(table, size, key, ranges)
        # They were cut into as many of about one size, unless that was configured otherwise then.
        share = min(1.0, len(wanted) / self.settings.max_partitions)
        return replace(made, rows=round(made.rows * share), bytes=round(made.bytes * share))

    def _plan_table(self, table: Table, size: _Size) -> TablePlan:
        key = self.key_column(table)
        if table.kind == "r" and key is not None and size.rows > self.settings.partition_threshold:
            ranges = self._key_ranges(table, key, size)
        else:
            ranges = (RangePlan(WHOLE_TABLE, self._page_chunks(table, size)),)
        return self._table_plan(table, size, key, ranges)

    def _table_plan(self, table: Table, size: _Size, key: KeyColumn | None, ranges: tuple[RangePlan, ...]) -> TablePlan:
        binary = self._binary(table)
        row_bytes = 0
        if size.bytes > 2 * size.main_bytes + MIN_TOAST_BYTES:
            types = {column.name: self._types[column.type_oid][0] for column in table.stored_columns}
            if (widest := widest_row(table, types, binary)) is not None:
                row_bytes = int(self._fetch_rows(table, widest)[0][0])
        return TablePlan(table, size.rows, size.bytes, size.pages, binary, self.encoding, key, ranges, row_bytes)

    def _key_ranges(self, table: Table, key: KeyColumn, size: _Size) -> tuple[RangePlan, ...]:
        """Ranges that hold about the same number of rows each, and their chunks, from one sample of the key.

        Quantiles of a page sample follow any distribution (gaps, skew, negative keys) and need no ANALYZE. Where one
        value of the leading column alone would make a range much larger than the others, the table is cut by pages.
        """
        per_range = max(1, math.ceil(self._chunk_total(size) / self.settings.max_partitions))
        if not self.is_stored_in_order(table, key):
            per_range = 1
        pieces = per_range * self.settings.max_partitions
        bounds = self._quantiles(table, key, size, pieces)
        if _longest_step(bounds, pieces, key) > MAX_RANGES_IN_ONE * per_range:
            return (RangePlan(WHOLE_TABLE, self._page_chunks(table, size)),)
        ranges = cut([bounds[i] for i in range(per_range - 1, len(bounds), per_range)], key)
        inner = cut(bounds, key)
        return tuple(RangePlan(r, _chunks_within(r, inner, key)) for r in ranges)

    def is_stored_in_order(self, table: Table, key: KeyColumn) -> bool:
        """Whether the key follows the physical order; without statistics, every type but uuid is taken to."""
        found = fetch(
            self.connection,
            "SELECT correlation FROM pg_stats WHERE (schemaname, tablename, attname) = (%s, %s, %s) "
            "AND NOT inherited AND correlation IS NOT NULL",
            (table.schema, table.name, key.name),
        )
        return abs(found[0][0]) >= MIN_CORRELATION if found else key.type != "uuid"

    def _quantiles(self, table: Table, key: KeyColumn, size: _Size, pieces: int) -> list[str]:
        wanted_pages = max(
            MIN_SAMPLED_PAGES, math.ceil(size.pages * SAMPLED_ROWS_PER_CHUNK * pieces / max(size.rows, 1))
        )
        percent = min(100.0, 100.0 * wanted_pages / max(size.pages, 1))
        # format() writes a value as its type does; a cast to text may be one that somebody made.
        statement = sql.SQL(
            "SELECT ARRAY(SELECT pg_catalog.format('%s', b) FROM pg_catalog.unnest(cut.bounds) AS b) FROM ("
            "SELECT pg_catalog.percentile_disc({fractions}::pg_catalog.float8[]) "
            "WITHIN GROUP (ORDER BY {key}::{type}) AS bounds "
            "FROM ONLY {table} TABLESAMPLE pg_catalog.system ({percent}) REPEATABLE (1) WHERE {chosen}) AS cut"
        )
        ((bounds,),) = self._fetch_rows(
            table,
            statement.format(
                fractions=sql.Literal([i / pieces for i in range(1, pieces)]),
                key=sql.Identifier(key.name),
                type=key.qualified_type,
                table=sql.Identifier(table.schema, table.name),
                percent=sql.Literal(percent),
                # Bounds are shown to people, and kept: they are values of rows that the target gets.
                chosen=chosen(table.transform, sql.SQL("true")),
            ),
        )
        return list(bounds)

    def _page_chunks(self, table: Table, size: _Size) -> tuple[Chunk, ...]:
        """Chunks by physical page, inside the snapshot; the last one is open.

        TID range scans exist since PostgreSQL 14; before, each chunk would read the whole table.
        """
        count = 1 if _is_read_at_once(table) else self._chunk_total(size)
        if count == 1 or not size.heap or self.connection.server_version < 140000 or table.kind != "r":
            return (Chunk(1, sql.SQL("true")),)
        starts = [size.pages * n // count for n in range(count)]
        ends: list[int | None] = [*starts[1:], None]
        return tuple(
            Chunk(n, page_range(first, end)) for n, (first, end) in enumerate(zip(starts, ends, strict=True), 1)
        )

    def _chunk_total(self, size: _Size) -> int:
        by_rows = math.ceil(size.rows / self.settings.chunk_size)
        by_bytes = math.ceil(size.bytes / CHUNK_BYTES)
        return max(1, min(max(by_rows, by_bytes), max(size.pages, 1)))

    @staticmethod
    def _sizes_question(tables: Sequence[Table]) -> Question:
        return sql_file("planning/sizes.sql"), {"tables": [table.oid for table in tables]}

    def _sizes(self, tables: Sequence[Table]) -> Mapping[int, _Size]:
        names = {table.oid: table for table in tables}
        found = fetch(self.connection, *self._sizes_question(tables))
        sampled = self._sampled_rows(
            [(names[oid], pages) for oid, tuples, relpages, _, pages, *_ in found if tuples < 0 or relpages == 0]
        )
        return {
            oid: self._of_chosen(
                names[oid],
                _Size(
                    sampled[oid] if oid in sampled else round(reltuples * pages / relpages),
                    size,
                    pages,
                    heap,
                    main_bytes,
                ),
            )
            for oid, reltuples, relpages, size, pages, heap, main_bytes in found
        }

    def _of_chosen(self, table: Table, size: _Size) -> _Size:
        """The size of what is read: the server's estimate where a condition chooses, in proportion to its rows."""
        transform = table.transform
        if transform is None or not transform.condition or table.kind != "r":
            return size
        rows = transform.rows
        if rows is None:
            statement = sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM ONLY {} WHERE {}").format(
                sql.Identifier(*table.key), chosen(transform, sql.SQL("true"))
            )
            ((explained,),) = self._fetch_rows(table, statement)
            # Of a table without statistics it knows less than the sample.
            rows = min(int(explained[0]["Plan"]["Plan Rows"]), size.rows) if transform.condition != "false" else 0
            if rows and size.rows > self.settings.partition_threshold >= rows:
                rows = max(rows, min(self._sampled_choice(table, transform, size), size.rows))
        share = min(1.0, rows / size.rows) if size.rows else 0.0
        return replace(size, rows=rows, bytes=round(size.bytes * share), main_bytes=round(size.main_bytes * share))

    def _sampled_choice(self, table: Table, transform: RowTransform, size: _Size) -> int:
        """How many rows are chosen, by a sample of pages: of conditions like id % 2 = 0 the server has no idea."""
        percent = min(100.0, 100.0 * MIN_SAMPLED_PAGES / max(size.pages, 1))
        statement = sql.SQL(
            "SELECT pg_catalog.count(*) FROM ONLY {} TABLESAMPLE pg_catalog.system ({}) REPEATABLE (1) WHERE {}"
        ).format(sql.Identifier(*table.key), sql.Literal(percent), chosen(transform, sql.SQL("true")))
        ((rows,),) = self._fetch_rows(table, statement)
        return round(int(rows) * 100.0 / percent)

    def _sampled_rows(self, tables: Sequence[tuple[Table, int]]) -> Mapping[int, int]:
        """Rows of tables that were never analyzed, by oid: those on a sample of their pages, scaled."""
        one = sql.SQL("SELECT {}, pg_catalog.count(*) FROM ONLY {} TABLESAMPLE pg_catalog.system ({}) REPEATABLE (1)")
        percents = {table.oid: min(100.0, 100.0 * MIN_SAMPLED_PAGES / pages) for table, pages in tables if pages}
        filled = [table for table, pages in tables if pages]
        rows = dict.fromkeys((table.oid for table, _ in tables), 0)
        for start in range(0, len(filled), TABLES_PER_QUERY):
            some = filled[start : start + TABLES_PER_QUERY]
            queries = (
                one.format(sql.Literal(t.oid), sql.Identifier(*t.key), sql.Literal(percents[t.oid])) for t in some
            )
            path = ValuesPath(tuple(dict.fromkeys(table.schema for table in some)), self.application)
            for oid, count in fetch_rows(self.connection, path, sql.SQL(" UNION ALL ").join(queries)):
                rows[oid] = round(int(count) * 100.0 / percents[oid])
        return rows

    def _fetch_rows(self, table: Table, statement: sql.Composable) -> list[tuple[Any, ...]]:
        """All rows of a query over one of the tables, in which every name is qualified."""
        with discreet(table.transform):
            return fetch_rows(self.connection, ValuesPath.of(table, table.key, self.application), statement)

    def key_column(self, table: Table) -> KeyColumn | None:
        """The leading primary key column, when ranges can be cut on its type."""
        self._learn_types([table])
        if not table.primary_key or _is_read_at_once(table):
            return None
        leading = table.primary_key[0]
        if table.transform is not None and leading in table.transform.masked:
            return None  # a range would mean other rows in the target
        column = next(c for c in table.columns if c.name == leading)
        base_type, _ = self._types[column.type_oid]
        return KeyColumn(leading, base_type) if base_type in CUTTABLE_TYPES else None

    def _binary(self, table: Table) -> bool:
        """Whether every copied column may travel in binary, which is faster (about 1.4 to 1.6 times)."""
        if self.settings.copy_format == "text" or self.encoding is not None:
            return False
        types = [self._types[column.type_oid] for column in table.stored_columns]
        return bool(types) and all(portable for _, portable in types)

    def _types_question(self, tables: Sequence[Table]) -> list[Question]:
        """What to ask of the types that are not known yet, if there are any."""
        unknown = sorted({c.type_oid for table in tables for c in table.columns} - self._types.keys())
        parameters = {"types": unknown, "portable": list(PORTABLE_TYPES)}
        return [(sql_file("planning/wire_types.sql"), parameters)] if unknown else []

    def _learn_types(self, tables: Sequence[Table]) -> None:
        for question in self._types_question(tables):
            for oid, base_type, portable in fetch(self.connection, *question):
                self._types[oid] = (base_type, bool(portable))


def _is_read_at_once(table: Table) -> bool:
    """Whether a part of a table would take as long to find as all that is read of it."""
    return table.transform is not None and table.transform.chosen_one_by_one


def _longest_step(bounds: Sequence[str], pieces: int, key: KeyColumn) -> int:
    """Of a table cut at its quantiles, the size of the largest piece, in shares of one in ``pieces``.

    It is 1 where all quantiles differ; a value that fills several of them, or can't be a bound, makes it more.
    """
    different = {piece.upper for piece in cut(bounds, key)}
    steps = [0, *(n for n, bound in enumerate(bounds, 1) if bound in different and bound not in bounds[n:]), pieces]
    return max(end - begin for begin, end in itertools.pairwise(steps))


def _chunks_within(whole: Range, pieces: Sequence[Range], key: KeyColumn) -> tuple[Chunk, ...]:
    """The consecutive pieces from the one that begins where the range begins to the one that ends where it ends."""
    first = next(i for i, p in enumerate(pieces) if p.lower == whole.lower)
    last = next(i for i, p in enumerate(pieces) if p.upper == whole.upper)
    return tuple(Chunk(n, p.predicate(key)) for n, p in enumerate(pieces[first : last + 1], 1))
