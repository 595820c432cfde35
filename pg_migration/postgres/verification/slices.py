"""Cut tables into slices that both sides read at the same time, so that one huge table keeps every worker busy.

A slice is a range of the primary key, which means the same rows on both sides, where the key can be cut and rows lie in
its order. Elsewhere a slice is a stretch of pages, of one side alone: a digest over all of a table's slices does not
depend on where they begin.
"""

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.planning.key_ranges import KeyColumn, Range
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.planning.page_ranges import TID_RANGE_SCANS, page_range
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration.postgres.planning.planner import CHUNK_BYTES, Planner

# PostgreSQL's MaxHeapTuplesPerPage, for pages of 8 KiB.
MAX_ROWS_ON_A_PAGE = 291

WHOLE = sql.SQL("true")

_PAGES = """
SELECT pg_relation_size(c.oid) / to_number(current_setting('block_size'), '999999')::bigint
FROM pg_class c
JOIN pg_am a ON a.oid = c.relam
WHERE c.oid = to_regclass(%s) AND c.relkind = 'r' AND a.amname = 'heap'
"""


@dataclass(frozen=True)
class Slicing:
    """One table in slices, each a condition on its rows.

    ``rows`` is an estimate. ``ranges`` names the slices where they are ranges of ``key``: the same on both sides, and
    all of the table between them. It is empty where they are not.
    """

    table: Table
    rows: int
    slices: Mapping[Side, tuple[sql.Composable, ...]]
    key: KeyColumn | None = None
    ranges: tuple[Range, ...] = ()

    @classmethod
    def whole(cls, table: Table, rows: int) -> "Slicing":
        """The table in one piece."""
        return cls(table, rows, dict.fromkeys(Side, (WHOLE,)))

    @classmethod
    def of_ranges(cls, table: Table, rows: int, key: KeyColumn, ranges: Sequence[Range]) -> "Slicing":
        """One slice for each range."""
        predicates = tuple(piece.predicate(key) for piece in ranges)
        return cls(table, rows, dict.fromkeys(Side, predicates), key, tuple(ranges))


def slice_tables(
    planner: Planner, target: Connection, tables: Mapping[Table, TableName], by_key: bool = True
) -> list[Slicing]:
    """Slices of about ``chunk_size`` rows; the tables with the most bytes first.

    Args:
        planner: reads the source.
        target: a connection to the target.
        tables: with their names in the target.
        by_key: cut by the key where that can be done. Pages are read faster, but say nothing about where rows differ.

    Raises:
        psycopg2.Error: when a side can't be asked for sizes.
    """
    small = [table for table in tables if _is_small(table, planner.settings)]
    settings = planner.settings.model_copy(update={"partition_threshold": sys.maxsize, "chunk_size": sys.maxsize})
    plans = replace(planner, settings=settings, encoding=None).plan(
        [table for table in tables if table not in set(small)]
    )
    slicer = _Slicer(planner, target, tables, by_key)
    slicings = [
        *(slicer.cut(plan) for plan in plans),
        *(Slicing.whole(table, max(0, round(table.reltuples))) for table in small),
    ]
    return sorted(_with_rows_below(slicings), key=lambda s: -s.table.bytes)


def _with_rows_below(slicings: Sequence[Slicing]) -> list[Slicing]:
    """The same; a partitioned table, whose own statistics only ANALYZE by hand makes, has the rows of its leaves."""
    tables = {slicing.table.key: slicing.table for slicing in slicings}
    below: Counter[TableName] = Counter()
    for slicing in slicings:
        above = _parent(slicing.table, tables) if slicing.table.kind == "r" else None
        while above is not None:
            below[above.key] += slicing.rows
            above = _parent(above, tables)
    return [replace(s, rows=below[s.table.key]) if s.table.kind == "p" else s for s in slicings]


def _parent(table: Table, tables: Mapping[TableName, Table]) -> Table | None:
    return tables.get(table.parents[0]) if table.is_partition and table.parents else None


def _is_small(table: Table, settings: LoadSettings) -> bool:
    """Whether a table is one slice whatever its statistics say."""
    return table.pages * MAX_ROWS_ON_A_PAGE <= settings.chunk_size and table.bytes <= CHUNK_BYTES


@dataclass(frozen=True)
class _Slicer:
    planner: Planner
    target: Connection
    names: Mapping[Table, TableName]
    by_key: bool

    def cut(self, plan: TablePlan) -> Slicing:
        """The slices of one table."""
        table = plan.table
        by_size = max(math.ceil(plan.rows / self.planner.settings.chunk_size), math.ceil(plan.bytes / CHUNK_BYTES))
        wanted = max(1, min(by_size, plan.pages))
        listed = table.transform is not None and table.transform.chosen_one_by_one
        if wanted == 1 or table.kind != "r" or table.through_root or listed:
            return Slicing.whole(table, plan.rows)
        if self.by_key and plan.key is not None and self.planner.is_stored_in_order(table, plan.key):
            cut_by = {"partition_threshold": 0, "max_partitions": wanted, "chunk_size": sys.maxsize}
            settings = self.planner.settings.model_copy(update=cut_by)
            (cut,) = replace(self.planner, settings=settings, encoding=None).plan([table])
            return Slicing.of_ranges(table, plan.rows, plan.key, [piece.range for piece in cut.ranges])
        return Slicing(table, plan.rows, {side: self._pages(side, table, wanted) for side in Side})

    def _pages(self, side: Side, table: Table, wanted: int) -> tuple[sql.Composable, ...]:
        """Stretches of pages on one side; the last one is open."""
        source = side is Side.SOURCE
        connection, name = (self.planner.connection, table.key) if source else (self.target, self.names[table])
        if connection.server_version < TID_RANGE_SCANS:
            return (WHOLE,)
        found = fetch(connection, _PAGES, (sql.Identifier(*name).as_string(connection),))
        pages = found[0][0] if found else 0
        step = max(1, math.ceil(pages / wanted))
        starts = list(range(0, pages, step)) or [0]
        return tuple(page_range(first, end) for first, end in zip(starts, [*starts[1:], None], strict=True))
