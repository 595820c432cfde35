"""Ranges of a primary key, and the partition keys that name them.

A key is the range, written so that a person can read it: ``..625000``, ``625001..1250000``, ``4375001..`` for whole
numbers, where both ends belong to the range, and ``..<b``, ``a..<b``, ``a..`` for everything else, where the upper end
does not. The first and the last range are open, so that no row falls outside. ``all`` is the one range of a table that
is not cut.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from psycopg2 import sql

from pg_migration.postgres.errors import ConfigurationError

ALL = "all"

# Types whose order is the same on every server and whose text form has neither a comma nor two dots. Collatable types
# are missing on purpose: their order depends on the server's locale, so a range would not mean the same rows.
WHOLE_NUMBERS = frozenset({"smallint", "integer", "bigint", "oid8"})
# By the names that the server tells them by, with those in pg_catalog.
CUTTABLE_TYPES = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "oid8": "oid8",
    "numeric": "numeric",
    "date": "date",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "uuid": "uuid",
}
GREATEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1, "oid8": 2**64 - 1}

_KEY = re.compile(r"(?P<lower>.*?)\.\.(?P<exclusive><?)(?P<upper>.*)", re.DOTALL)


@dataclass(frozen=True)
class KeyColumn:
    """The leading primary key column that a table is cut on, and its built-in type (a domain's base type)."""

    name: str
    type: str

    @property
    def whole_numbers(self) -> bool:
        """Whether ranges are closed at both ends."""
        return self.type in WHOLE_NUMBERS

    @property
    def qualified_type(self) -> sql.Composable:
        """The type, whatever the search_path is."""
        return sql.Identifier("pg_catalog", CUTTABLE_TYPES[self.type])


@dataclass(frozen=True)
class Range:
    """Rows whose key lies between two bounds in PostgreSQL's text form; None is open.

    ``lower`` belongs to the range; ``upper`` does when ``closed``.
    """

    lower: str | None = None
    upper: str | None = None
    closed: bool = True

    @property
    def key(self) -> str:
        """The partition key."""
        if self.lower is None and self.upper is None:
            return ALL
        dots = ".." if self.closed or self.upper is None else "..<"
        return f"{self.lower or ''}{dots}{self.upper or ''}"

    def predicate(self, column: KeyColumn | None) -> sql.Composable:
        """The condition that selects this range's rows, the same on both servers; ``true`` for the whole table."""
        if column is None or (self.lower is None and self.upper is None):
            return sql.SQL("true")
        bounds: list[sql.Composable] = []
        if self.lower is not None:
            bounds.append(_compared(column, ">=", self.lower))
        if self.upper is not None:
            bounds.append(_compared(column, "<=" if self.closed else "<", self.upper))
        return sql.SQL(" AND ").join(bounds)


def _compared(column: KeyColumn, operator: str, bound: str) -> sql.Composable:
    return sql.SQL("{} OPERATOR(pg_catalog.{}) {}::{}").format(
        sql.Identifier(column.name), sql.SQL(operator), sql.Literal(bound), column.qualified_type
    )


WHOLE_TABLE = Range()


def parse(key: str, column: KeyColumn | None, table: str) -> Range:
    """The range that a partition key names.

    Args:
        key: a partition key, as `Range.key` writes it.
        column: what the table is cut on; None when it can't be cut.
        table: the table's name, for messages.

    Raises:
        ConfigurationError: when the key is none of this table's.
    """
    if key == ALL:
        return WHOLE_TABLE
    match = _KEY.fullmatch(key)
    if column is None:
        raise ConfigurationError(f"table {table} has no primary key that ranges can be cut on: its only key is 'all'")
    if match is None or not (match["lower"] or match["upper"]):
        raise _unreadable(key, table)
    found = Range(match["lower"] or None, match["upper"] or None, column.whole_numbers)
    try:
        bounds = [_ordinal(bound, column.type) for bound in (found.lower, found.upper) if bound is not None]
    except (ArithmeticError, ValueError):
        raise _unreadable(key, table) from None
    if found.key != key or bounds != sorted(bounds):
        raise _unreadable(key, table)
    return found


def _unreadable(key: str, table: str) -> ConfigurationError:
    return ConfigurationError(
        f"'{key}' is not a key range of table {table}: expected 'all' or bounds around two dots, such as "
        f"'..625000', '625001..1250000', '1250001..' (with '..<' before an upper bound that is not a whole number)"
    )


def _ordinal(bound: str, type_name: str) -> int | Decimal | UUID | datetime | str:
    """A Python value that sorts as PostgreSQL sorts ``bound``. Never used for rows, only for the bounds of ranges."""
    if type_name in WHOLE_NUMBERS:
        if str(int(bound)) != bound:
            raise ValueError(bound)  # one way to write each number, so that one range has one key
        return int(bound)
    if type_name == "numeric":
        return Decimal(bound)
    if type_name == "uuid":
        return UUID(bound)
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9:.]+(\+00)?)?", bound):
        raise ValueError(bound)  # BC, five-digit years and infinity do not sort as text
    return bound


def cut(bounds: Sequence[str], column: KeyColumn) -> tuple[Range, ...]:
    """Ranges that together hold every row, open at both ends.

    Args:
        bounds: ascending values of the key at which one range ends and the next begins; repeated ones are dropped.
        column: the key.
    """
    usable = [b for b in dict.fromkeys(bounds) if _usable(b, column)]
    if column.whole_numbers:
        lowers: list[str | None] = [None, *(str(int(b) + 1) for b in usable)]
    else:
        lowers = [None, *usable]
    uppers: list[str | None] = [*usable, None]
    return tuple(Range(low, up, column.whole_numbers) for low, up in zip(lowers, uppers, strict=True))


def _usable(bound: str, column: KeyColumn) -> bool:
    try:
        ordinal = _ordinal(bound, column.type)
    except (ArithmeticError, ValueError):
        return False
    return not (isinstance(ordinal, int) and ordinal >= GREATEST[column.type])


def cover_everything(ranges: Iterable[Range], column: KeyColumn | None) -> bool:
    """Whether the ranges, which may overlap, leave no possible key out: the test for a table loaded piece by piece."""
    pieces = list(ranges)
    if WHOLE_TABLE in pieces:
        return True
    if column is None:
        return False
    reached: str | None = None
    begun = False
    for piece in sorted(pieces, key=lambda p: _lower_rank(p, column)):
        if not begun:
            if piece.lower is not None:
                return False
            begun = True
        elif piece.lower is not None and (reached is None or not _adjoins(reached, piece.lower, column)):
            return False
        if piece.upper is None:
            return True
        if reached is None or _ordinal(piece.upper, column.type) > _ordinal(reached, column.type):  # type: ignore[operator]
            reached = piece.upper
    return False


def are_disjoint(ranges: Iterable[Range], column: KeyColumn | None) -> bool:
    """Whether ranges that cover everything do so without a key that is in two of them."""
    pieces = list(ranges)
    if column is None or len(pieces) < 2:
        return len(pieces) < 2
    ordered = sorted(pieces, key=lambda p: _lower_rank(p, column))
    return all(
        before.upper is not None and piece.lower is not None and not _overlap(before.upper, piece.lower, column)
        for before, piece in pairwise(ordered)
    )


def _overlap(upper: str, lower: str, column: KeyColumn) -> bool:
    """Whether a range that begins at ``lower`` shares keys with one that ends at ``upper``."""
    if column.whole_numbers:
        return int(lower) <= int(upper)
    return _ordinal(lower, column.type) < _ordinal(upper, column.type)  # type: ignore[operator]


def _lower_rank(piece: Range, column: KeyColumn) -> tuple[bool, object]:
    return (False, 0) if piece.lower is None else (True, _ordinal(piece.lower, column.type))


def _adjoins(reached: str, lower: str, column: KeyColumn) -> bool:
    if column.whole_numbers:
        return int(lower) <= int(reached) + 1
    return _ordinal(lower, column.type) <= _ordinal(reached, column.type)  # type: ignore[operator]
