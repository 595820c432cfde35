"""The catalog rows of tables, their columns and constraints, grouped for looking up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from pg_migration.postgres.catalog.objects.not_nulls import NOT_NULL, NotNulls
from pg_migration.postgres.catalog.reading.rows import ColumnRow, ConstraintRow, Rows, TableRow

NAMED_NOT_NULL_SINCE = 180000
CHECK, FOREIGN_KEY, PRIMARY_KEY, UNIQUE, EXCLUSION = "c", "f", "p", "u", "x"

OfTable = TypeVar("OfTable", ColumnRow, ConstraintRow)


@dataclass(frozen=True)
class TableRows:
    """The catalog rows of tables, their columns and their constraints, grouped for looking up.

    ``version`` and ``target_version`` (server_version_num of either side) decide what can be said: a server before 18
    has no names for NOT NULL.
    """

    rows: Rows
    version: int
    target_version: int

    @cached_property
    def tables(self) -> Mapping[int, TableRow]:
        return {row["oid"]: row for row in self.rows["tables"]}

    @cached_property
    def columns(self) -> Mapping[int, Sequence[ColumnRow]]:
        return _grouped(self.rows["columns"])

    @cached_property
    def constraints(self) -> Mapping[int, Sequence[ConstraintRow]]:
        found = _grouped(self.rows["constraints"])
        if self.version < NAMED_NOT_NULL_SINCE <= self.target_version:
            not_nulls = NotNulls(self.tables, self.columns, found).rows()
            return _grouped([*self.rows["constraints"], *not_nulls])
        return found

    @cached_property
    def owners_of_names(self) -> Mapping[tuple[str, str], set[int]]:
        """For each schema and name, the tables that have a constraint of that name which no parent brought."""
        owners: dict[tuple[str, str], set[int]] = {}
        for oid, constraints in self.constraints.items():
            for row in constraints:
                if oid in self.tables and is_own(self.tables[oid], row):
                    owners.setdefault((self.tables[oid]["schema"], row["name"]), set()).add(oid)
        return owners

    @cached_property
    def children(self) -> Mapping[int, Sequence[int]]:
        """Inheritance children, partitions not counted."""
        found: dict[int, list[int]] = {}
        for table in self.tables.values():
            if not table["is_partition"]:
                for parent in table["parents"] or ():
                    found.setdefault(parent, []).append(table["oid"])
        return found

    def is_out_of_order(self, table: TableRow) -> bool:
        """Whether CREATE TABLE ... INHERITS, which puts the parents' columns first, would give another column order.

        So it is when a parent got a column later, or the table was put under a parent (ALTER TABLE ... INHERIT).
        """
        parents = table["parents"] or ()
        if table["is_partition"] or not all(parent in self.tables for parent in parents):
            return False
        inherited = [column["name"] for parent in parents for column in self.columns.get(parent, ())]
        own = [column["name"] for column in self.columns_of(table) if column["is_local"]]
        return list(dict.fromkeys(inherited + own)) != [column["name"] for column in self.columns_of(table)]

    def columns_of(self, table: TableRow) -> Sequence[ColumnRow]:
        return self.columns.get(table["oid"], ())

    def constraints_of(self, table: TableRow, kind: str) -> list[ConstraintRow]:
        return [row for row in self.constraints.get(table["oid"], ()) if row["type"] == kind]

    def inherited_columns(self, table: TableRow, name: str) -> list[ColumnRow]:
        """The parents' columns of that name."""
        return [
            column
            for parent in table["parents"] or ()
            for column in self.columns.get(parent, ())
            if column["name"] == name
        ]

    def names_not_null(self, table: TableRow) -> bool:
        """Whether the table's NOT NULL constraints have names, and the target can keep them."""
        return self.target_version >= NAMED_NOT_NULL_SINCE and bool(self.constraints_of(table, NOT_NULL))

    def not_null_constraint(self, table: TableRow, column: ColumnRow) -> ConstraintRow | None:
        """The NOT NULL constraint of its own that a table has on a column, where such constraints have names."""
        named = self.constraints_of(table, NOT_NULL) if self.names_not_null(table) else []
        return next((row for row in named if row["columns"] == [column["name"]] and is_own(table, row)), None)


def _grouped(rows: Sequence[OfTable]) -> Mapping[int, Sequence[OfTable]]:
    groups: dict[int, list[OfTable]] = {}
    for row in rows:
        groups.setdefault(row["relation"], []).append(row)
    return groups


def is_written_out(table: TableRow, column: ColumnRow) -> bool:
    """Whether CREATE TABLE lists the column: inherited ones come with the parent, but a partition is made by itself."""
    return bool(table["is_partition"] or column["is_local"])


def is_own(table: TableRow, constraint: ConstraintRow) -> bool:
    """Whether a constraint is the table's to declare; the same distinction as for columns."""
    return bool(table["is_partition"] or constraint["is_local"])


def told_by(constraint: ConstraintRow) -> list[str] | str:
    """What a parent's constraint and the one that a child has of it have in common."""
    return constraint["columns"] if constraint["type"] == NOT_NULL else constraint["name"]
