"""Some rows of a table on one side, and what is asked of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.catalog.values_path import DEFAULT_PATH, ValuesPath, fetch_rows

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Part:
    """Some rows of a table on one side: what a question is about.

    ``name`` is the relation on that side (see `compared_relation`), ``predicate`` a condition on its rows. ``left_out``
    are partitions that are not migrated, and so not compared. ``application`` is as `application_path`.
    ``same_encoding`` tells that both databases have one.
    """

    table: Table
    name: TableName
    predicate: sql.Composable
    left_out: tuple[TableName, ...] = ()
    application: tuple[str, ...] = DEFAULT_PATH
    same_encoding: bool = False

    @property
    def rows(self) -> sql.Composable:
        """``FROM`` and ``WHERE`` of a query over these rows."""
        only = sql.SQL("" if compared_relation(self.table)[1] else "ONLY ")
        relation = sql.SQL("FROM {}{}").format(only, sql.Identifier(*self.name))
        if not self.left_out:
            return sql.SQL("{} WHERE {}").format(relation, self.predicate)
        # One that is not there is no object, which every tableoid is unequal to.
        others = [
            sql.SQL("coalesce(pg_catalog.to_regclass({})::pg_catalog.oid, '0')").format(
                sql.Literal(".".join(map(quote, name)))
            )
            for name in self.left_out
        ]
        return sql.SQL("{} WHERE ({}) AND tableoid OPERATOR(pg_catalog.<>) ALL (ARRAY[{}])").format(
            relation, self.predicate, sql.SQL(", ").join(others)
        )

    def fetch(self, connection: Connection, statement: sql.Composable) -> list[tuple[Any, ...]]:
        """All rows of a query over the relation, in which every name is qualified."""
        return fetch_rows(connection, ValuesPath.of(self.table, self.name, self.application), statement)


Question = Callable[[Connection, Part], Answer]


def compared_relation(table: Table) -> tuple[TableName, bool]:
    """What to read for a table (its name in the source), and whether with everything below it.

    Rows of a partition that had to be loaded through the root may stand in another partition on the target, so there
    the whole tree is compared.
    """
    if table.through_root and table.root is not None:
        return table.root, True
    return table.key, table.kind == "p"
