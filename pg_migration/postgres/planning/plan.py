"""The plan of a table: its ranges and their chunks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from psycopg2 import sql

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.planning.key_ranges import WHOLE_TABLE, KeyColumn, Range


@dataclass(frozen=True)
class Chunk:
    """The rows of one COPY: a condition on the source."""

    number: int
    predicate: sql.Composable


@dataclass(frozen=True)
class RangePlan:
    """One range and the chunks that make it up."""

    range: Range
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class TablePlan:
    """How one table is copied.

    ``rows`` and ``bytes`` are estimates; ``pages`` is exact. ``encoding`` is the one that text travels in, where that
    must not be UTF8. ``key`` is the column that ranges are cut on, if any. ``row_bytes`` is the width of the widest row
    in tables whose rows may be so wide that memory has to be shared out, else 0.
    """

    table: Table
    rows: int
    bytes: int
    pages: int
    binary: bool
    encoding: str | None
    key: KeyColumn | None
    ranges: tuple[RangePlan, ...]
    row_bytes: int = 0

    @property
    def name(self) -> TableName:
        """Schema and name in the source."""
        return self.table.key

    @property
    def chunk_count(self) -> int:
        """COPY statements in all."""
        return sum(len(r.chunks) for r in self.ranges)

    @property
    def wire_format(self) -> Literal["binary", "text"]:
        """The format of its COPY."""
        return "binary" if self.binary else "text"

    @property
    def frozen(self) -> bool:
        """Whether the table is emptied in the transaction of its only chunk, which lets COPY FREEZE the rows.

        Not where rows go through another relation, which may hold rows of other tables of the load already. PostgreSQL
        docs: COPY, option FREEZE.
        """
        return self.chunk_count == 1 and self.table.kind == "r" and not self.table.through_root

    @property
    def cut_by(self) -> str:
        """What tells one chunk's rows from another's, for people."""
        if self.chunk_count == 1:
            return "not cut"
        return "place in file" if self.ranges[0].range == WHOLE_TABLE or self.key is None else f"key {self.key.name}"


def in_order(plans: Iterable[TablePlan]) -> tuple[TablePlan, ...]:
    """The largest first, so that none is left to one worker at the end."""
    return tuple(sorted(plans, key=lambda p: (-p.bytes, p.name)))
