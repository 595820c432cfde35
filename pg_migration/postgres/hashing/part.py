"""Some rows of a table on one side, and what is asked of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import RowTransform, Table, TableName
from pg_migration.postgres.catalog.source_rows import chosen, discreet, masked_rows
from pg_migration.postgres.catalog.values_path import DEFAULT_PATH, ValuesPath, fetch_rows

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Part:
    """Some rows of a table on one side: what a question is about.

    ``name`` is the relation on that side (see `compared_relation`), ``predicate`` a condition on the rows as they are
    stored, and ``among`` one on the values that are compared. ``leaves`` are the tables that are read for a partitioned
    one, some of whose partitions are not compared; None where it is read itself. ``application`` is as
    `application_path`. ``same_encoding`` tells that both databases have one. ``transform`` is what was read of the
    source; None on the target, which has it as it is.
    """

    table: Table
    name: TableName
    predicate: sql.Composable
    leaves: tuple[TableName, ...] | None = None
    application: tuple[str, ...] = DEFAULT_PATH
    same_encoding: bool = False
    transform: RowTransform | None = None
    among: sql.Composable | None = None

    @property
    def rows(self) -> sql.Composable:
        """``FROM`` and ``WHERE`` of a query over these rows."""
        relation = self._relation
        condition = chosen(self.transform, self.predicate)
        if self.transform is not None and self.transform.masks:
            rows = masked_rows(self.table, self.transform, relation, condition)
            among = self.among if self.among is not None else sql.SQL("true")
            return sql.SQL("FROM {} WHERE {}").format(rows, among)
        if self.among is not None:
            condition = sql.SQL("({}) AND {}").format(condition, self.among)
        return sql.SQL("FROM {} WHERE {}").format(relation, condition)

    @property
    def _relation(self) -> sql.Composable:
        if self.leaves is None:
            only = sql.SQL("" if compared_relation(self.table)[1] else "ONLY ")
            return sql.SQL("{}{}").format(only, sql.Identifier(*self.name))
        # By itself the partitioned table has no rows; it gives the columns where there is no leaf.
        columns = sql.SQL(", ").join(map(sql.Identifier, ("xmin", *(column.name for column in self.table.columns))))
        tables = (self.name, *self.leaves)
        selects = (sql.SQL("SELECT {} FROM ONLY {}").format(columns, sql.Identifier(*name)) for name in tables)
        return sql.SQL("({}) AS {}").format(sql.SQL(" UNION ALL ").join(selects), sql.Identifier(self.name[1]))

    def narrowed(self, among: sql.Composable) -> "Part":
        """Those of the rows whose compared values a further condition holds for."""
        both = among if self.among is None else sql.SQL("{} AND {}").format(self.among, among)
        return replace(self, among=both)

    def fetch(self, connection: Connection, statement: sql.Composable) -> list[tuple[Any, ...]]:
        """All rows of a query over the relation, in which every name is qualified."""
        path = ValuesPath.of(self.table, self.name, self.application, transform=self.transform)
        with discreet(self.transform):
            return fetch_rows(connection, path, statement)


Question = Callable[[Connection, Part], Answer]


def compared_relation(table: Table) -> tuple[TableName, bool]:
    """What to read for a table (its name in the source), and whether with everything below it.

    Rows of a partition that had to be loaded through the root may stand in another partition on the target, so there
    the whole tree is compared.
    """
    if table.through_root and table.root is not None:
        return table.root, True
    return table.key, table.kind == "p"
