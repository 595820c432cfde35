"""What masks leave of the distributions that tests of an application rest on: NULLs, and how many values differ."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Column, Table, TableName
from pg_migration.postgres.catalog.source_rows import chosen
from pg_migration.postgres.catalog.values_path import ValuesPath, fetch_rows
from pg_migration.postgres.transform.probing import TRUE, Source, relation

# To count different values of more rows takes longer than to copy them.
MOST_ROWS = 100_000

_DIFFERENT = (
    "pg_catalog.count(DISTINCT pg_catalog.format('%s', {0}) COLLATE pg_catalog.\"C\") FILTER (WHERE {0} IS NOT NULL)"
)


@dataclass(frozen=True)
class Distribution:
    """Of a column: how many rows there are, how many of them have a value, and how many values there are."""

    rows: int
    filled: int
    different: int

    @property
    def empty_percent(self) -> float:
        """The share of rows without a value."""
        return 100 * (1 - self.filled / self.rows) if self.rows else 0.0


@dataclass(frozen=True)
class Masked:
    """A masked column of the source and of the target; ``kind`` is that of its mask."""

    table: TableName
    column: str
    kind: str
    before: Distribution
    after: Distribution

    def __str__(self) -> str:
        before, after = self.before, self.after
        if before == after:
            return f"{self.kind}: {before.empty_percent:.3g} % NULL, {before.different:,} different values, as before"
        return (
            f"{self.kind}: {before.empty_percent:.3g} % NULL and {before.different:,} different values before, "
            f"{after.empty_percent:.3g} % NULL and {after.different:,} after"
        )


def compared_distributions(
    source: Source,
    target: Connection,
    tables: Iterable[Table],
    schemas: Mapping[str, str],
    application: Sequence[str],
) -> Iterator[Masked]:
    """Those of the masked columns of tables that are not too large; partitions are in their roots.

    Args:
        schemas: name in the target of each source schema.
        application: as `application_path`, in the target.

    Raises:
        psycopg2.Error: a side can't be read.
    """
    for table in tables:
        transform = table.transform
        if transform is None or not transform.masks or table.is_partition:
            continue
        only = sql.SQL("" if table.kind == "p" else "ONLY ")
        name = schemas[table.schema], table.name
        columns = [column for column in table.stored_columns if column.name in transform.masked]
        there = sql.SQL("{}{}").format(only, sql.Identifier(*name))
        path = ValuesPath.of(table, name, application)
        ((rows,),) = fetch_rows(target, path, _number(there))
        if rows > MOST_ROWS:
            continue
        after = fetch_rows(target, path, _counts(columns, there, TRUE))[0]
        before = source.ask(table, _counts(columns, relation(table), chosen(transform, TRUE)), transform)[0]
        kinds = dict(transform.kinds)
        for number, column in enumerate(columns):
            ours, theirs = (_distribution(found, number) for found in (before, after))
            yield Masked(table.key, column.name, kinds[column.name], ours, theirs)


def _number(rows: sql.Composable) -> sql.Composable:
    return sql.SQL("SELECT pg_catalog.count(*) FROM (SELECT FROM {} LIMIT {}) AS counted").format(
        rows, sql.Literal(MOST_ROWS + 1)
    )


def _counts(columns: Sequence[Column], rows: sql.Composable, condition: sql.Composable) -> sql.Composable:
    """Of texts, as not every type knows which values are the same."""
    counts = [
        sql.SQL(part).format(sql.Identifier(column.name))
        for column in columns
        for part in ("pg_catalog.count({})", _DIFFERENT)
    ]
    return sql.SQL("SELECT pg_catalog.count(*), {} FROM {} WHERE {}").format(
        sql.SQL(", ").join(counts), rows, condition
    )


def _distribution(found: tuple[Any, ...], number: int) -> Distribution:
    return Distribution(int(found[0]), int(found[1 + 2 * number]), int(found[2 + 2 * number]))
