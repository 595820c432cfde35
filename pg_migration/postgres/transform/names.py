"""Tables and columns as a transform names them: as in the source, with dots between, or quoted as in SQL."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from pg_migration.postgres.catalog import Catalog, Table, TableName
from pg_migration.postgres.catalog.patterns import suggestion
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.errors import ConfigurationError

ColumnName = tuple[TableName, str]
"""A column of a table, by names in the source."""


def label(column: ColumnName) -> str:
    """How messages name a column."""
    return ".".join((*column[0], column[1]))


class Names:
    """The tables of a source, as they can be named, and how they belong together."""

    def __init__(self, catalog: Catalog) -> None:
        self.tables: Mapping[TableName, Table] = catalog.tables_by_name
        self._called: dict[str, set[TableName]] = defaultdict(set)
        for name in self.tables:
            for text in _spellings(name):
                self._called[text].add(name)
        self._below: dict[TableName, list[Table]] = defaultdict(list)
        for table in catalog.tables:
            for parent in table.parents:
                self._below[parent].append(table)

    def table(self, text: str, place: str) -> Table:
        """The table that a text names.

        Raises:
            ConfigurationError: there is none, there are two, or it is a partition: those are as their root.
        """
        found = self._called.get(text, set())
        if len(found) != 1:
            told = "two tables are called so; write the names in quotes" if found else "no migrated table is called so"
            raise ConfigurationError(f"{place}: {text}: {told}{'' if found else suggestion(text, self.tables.keys())}")
        table = self.tables[next(iter(found))]
        if table.is_partition and table.root in self.tables:
            assert table.root is not None
            raise ConfigurationError(
                f"{place}: {text} is a partition. What is said of {'.'.join(table.root)} holds for all partitions"
            )
        return table

    def column(self, text: str, place: str) -> ColumnName:
        """The column that a text names, its table before it.

        Raises:
            ConfigurationError: there is none, or there are two.
        """
        found = [
            (table.key, column.name)
            for table in self.tables.values()
            for column in table.columns
            if text in _spellings((*table.key, column.name))
        ]
        if len(found) != 1:
            told = "two columns are called so; write the names in quotes" if found else "no column is called so"
            raise ConfigurationError(f"{place}: {text}: {told}. Write schema.table.column")
        return found[0]

    def below(self, table: Table) -> Sequence[Table]:
        """The partitions of a table and those that inherit from it, at any depth."""
        found: dict[TableName, Table] = {}
        left = [table]
        while left:
            for child in self._below.get(left.pop().key, ()):
                if child.key not in found:
                    found[child.key] = child
                    left.append(child)
        return list(found.values())

    def holding(self, table: Table) -> Sequence[Table]:
        """The tables that hold the rows of a table: itself, or its partitions."""
        return [table] if table.kind == "r" else [t for t in self.below(table) if t.kind == "r"]


def _spellings(parts: Sequence[str]) -> set[str]:
    """How a name may be written: each of its parts as it is, or in quotes."""
    return {".".join(written) for written in product(*((part, quote(part)) for part in parts))}


def united(pairs: Iterable[tuple[ColumnName, ColumnName]]) -> Mapping[ColumnName, frozenset[ColumnName]]:
    """The columns that are connected by pairs, each with all of its group."""
    group: dict[ColumnName, set[ColumnName]] = {}
    for one, other in pairs:
        ours, theirs = group.setdefault(one, {one}), group.setdefault(other, {other})
        if ours is not theirs:
            ours |= theirs
            for column in theirs:
                group[column] = ours
    return {column: frozenset(columns) for column, columns in group.items()}
