"""Ask the source what expressions of users would do, before anything is written: what they are, and on its rows."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import ForeignKey, RowTransform, Table, TableName
from pg_migration.postgres.catalog.source_rows import chosen, discreet, masked_rows
from pg_migration.postgres.catalog.values_path import ValuesPath, fetch_rows
from pg_migration.postgres.connection.statements import fetch, savepoint
from pg_migration.postgres.errors import server_message
from pg_migration.postgres.figures import counted
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.transform.masks import is_short
from pg_migration.postgres.transform.rules import Facts, Masks

SAMPLED_ROWS = 10_000
_WORD = re.compile(r"\"((?:[^\"]|\"\")+)\"\s*\(|([^\W\d][\w$]*)\s*\(")
# PostgreSQL docs: CREATE OPERATOR. What looks like one inside of a text is taken for one as well.
_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+")
TRUE = sql.SQL("true")


@dataclass(frozen=True)
class Source:
    """The source, asked under the path that its applications have. ``application`` is as `application_path`."""

    connection: Connection
    application: tuple[str, ...]

    def ask(self, table: Table, statement: sql.Composable, told: RowTransform | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query over a table, and others of the source.

        Args:
            told: whose values are not to be repeated where it fails.

        Raises:
            psycopg2.Error: it fails; the transaction goes on.
        """
        path = ValuesPath.of(table, table.key, self.application, transform=told)
        with discreet(told), savepoint(self.connection):
            return fetch_rows(self.connection, path, statement)


def relation(table: Table) -> sql.Composable:
    """A table as FROM names it: a partitioned one with all that is in it."""
    return sql.SQL("{}{}").format(sql.SQL("" if table.kind == "p" else "ONLY "), sql.Identifier(*table.key))


def problem_of_mask(source: Source, table: Table, expression: str) -> str | None:
    """Why the expression of a mask can't be used; None where it is of its row alone, and the same each time."""
    try:
        nodes = _explained(source, table, expression)
    except psycopg2.Error as error:
        return _refused(error)
    if any(node.get("Parent Relationship") in ("SubPlan", "InitPlan") for node in nodes):
        return "it has a subquery, but may look at its row only"
    return _problem_of_plan(nodes)


def problem_of_condition(source: Source, table: Table, condition: str) -> str | None:
    """Why a condition can't be used; None where it is the same each time."""
    try:
        nodes = _explained(source, table, f"({condition}) AND true")
    except psycopg2.Error as error:
        return _refused(error)
    return _problem_of_plan([node for node in nodes if node["within"] not in ("SubPlan", "InitPlan")])


def is_of_the_row(source: Source, table: Table, condition: str) -> bool:
    """Whether nothing but a row decides: no other table, and no function that users have made and that may read one."""
    try:
        nodes = _explained(source, table, f"({condition}) AND true")
    except psycopg2.Error:
        return False
    if any(node["within"] in ("SubPlan", "InitPlan") for node in nodes):
        return False
    return not calls_users(source, condition)


def calls_users(source: Source, expression: str) -> bool:
    """Whether an expression may call what users have made: functions by their names, or operators by theirs.

    Extensions have operators called as PostgreSQL's own, and do not change them while they are in use.
    """
    called = [(quoted.replace('""', '"') or word.lower()) for quoted, word in _WORD.findall(expression)]
    operators = _OPERATOR.findall(expression)
    if not called and not operators:
        return False
    statement = (
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.proname = ANY (%s::text[]) "
        "AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace) "
        "OR EXISTS (SELECT FROM pg_catalog.pg_operator o WHERE o.oprname = ANY (%s::text[]) "
        "AND o.oprnamespace <> 'pg_catalog'::pg_catalog.regnamespace "
        "AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e' "
        "AND d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass))"
    )
    ((found,),) = fetch(source.connection, statement, (called, operators))
    return bool(found)


def _refused(error: psycopg2.Error) -> str:
    return f"the source says: {error.diag.message_primary or server_message(error)}"


def _explained(source: Source, table: Table, expression: str) -> list[dict[str, Any]]:
    """The nodes of the plan of a query that filters by an expression.

    A subquery whose list has a volatile function stays a node of its own (PostgreSQL's is_simple_subquery).
    """
    statement = sql.SQL("EXPLAIN (FORMAT JSON) SELECT FROM (SELECT {} AS v FROM {}) AS s WHERE v IS NOT NULL").format(
        sql.SQL(expression), relation(table)
    )
    ((explained,),) = source.ask(table, statement)
    return list(_nodes(explained[0]["Plan"], ""))


def _nodes(plan: Mapping[str, Any], within: str) -> Iterator[dict[str, Any]]:
    relationship = plan.get("Parent Relationship", "")
    below = relationship if relationship in ("SubPlan", "InitPlan") else within
    yield {**plan, "within": below}
    for child in plan.get("Plans", ()):
        yield from _nodes(child, below)


def _problem_of_plan(nodes: Sequence[Mapping[str, Any]]) -> str | None:
    kinds = {node["Node Type"] for node in nodes}
    for kind, what in (
        ("Aggregate", "an aggregate function"),
        ("WindowAgg", "a window function"),
        ("ProjectSet", "a function that returns sets"),
    ):
        if kind in kinds:
            return f"it has {what}, but may look at its row only"
    if "Subquery Scan" in kinds:
        return "it has a volatile function, which may give another value each time"
    return None


class DryRun:
    """What masks would do to the rows that are chosen of the source: read, and counted there."""

    def __init__(self, source: Source, facts: Facts, masks: Masks, thorough: bool) -> None:
        self._source, self._facts, self._masks = source, facts, masks
        self._limit = None if thorough else SAMPLED_ROWS

    def problems(self, tables: Sequence[tuple[Table, RowTransform]]) -> Iterator[str]:
        """What the target would refuse, with how many rows that are of those that were looked at."""
        looked_at = {table.oid: (table, transform) for table, transform in tables if transform.masks}
        if not looked_at:
            return
        found = fetch(self._source.connection, sql_file("transform/conditions.sql"), {"tables": list(looked_at)})
        for oid, (table, transform) in looked_at.items():
            of_table = [row[1:] for row in found if row[0] == oid and transform.masked & set(row[5])]
            yield from self._of_rows(table, transform, [row for row in of_table if row[0] == "check"])
            for kind, name, expressions, predicate, columns in of_table:
                if kind == "expressions" or (kind == "key" and self._are_short(table, columns)):
                    yield from self._duplicates(table, transform, name, expressions, predicate)

    def _are_short(self, table: Table, columns: Collection[str]) -> bool:
        masks = self._masks.get(table.key, {})
        return any(is_short(masks[c].mask, self._facts[table.key, c].column) for c in columns if c in masks)

    def _of_rows(self, table: Table, transform: RowTransform, checks: Sequence[Sequence[Any]]) -> Iterator[str]:
        not_null = [name for name in sorted(transform.masked) if self._facts[table.key, name].not_null]
        conditions = [
            *(sql.SQL("{} IS NULL").format(sql.Identifier(name)) for name in not_null),
            *(sql.SQL("NOT ({})").format(sql.SQL(check[2][0])) for check in checks),
        ]
        names = sql.SQL(", ").join(map(sql.Identifier, sorted(transform.masked)))
        # Every masked value is made, also where nothing is asked of it.
        wanted = [
            sql.SQL("pg_catalog.count(*)"),
            *(sql.SQL("pg_catalog.count(*) FILTER (WHERE {})").format(condition) for condition in conditions),
            sql.SQL("pg_catalog.count(ROW({}))").format(names),
        ]
        rows = masked_rows(table, transform, relation(table), chosen(transform, TRUE), self._limit)
        statement = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(wanted), rows)
        label = ".".join(table.key)
        try:
            ((total, *numbers, _),) = self._source.ask(table, statement, transform)
        except psycopg2.Error as error:
            yield f"{label}: its rows can't be masked: {server_message(error)}{self._culprit(table, transform)}"
            return
        among = f" of {total:,}" + ("" if total < (self._limit or total + 1) else " that were looked at")
        for name, number in zip(not_null, numbers, strict=False):
            if number:
                made = f"the mask makes {counted(number, 'value')}{among} NULL"
                yield f"{label}.{name}: {made}, and the column is NOT NULL"
        for check, number in zip(checks, numbers[len(not_null) :], strict=True):
            if number:
                masked = ", ".join(sorted(transform.masked & set(check[4])))
                yield f"{label}: the mask of {masked} breaks check {check[1]} in {counted(number, 'row')}{among}"
        yield from self._too_long(table, transform)

    def _culprit(self, table: Table, transform: RowTransform) -> str:
        """What it was, where each can be asked alone: the condition, or the mask of a column."""
        tried = [("the condition", "true"), *((f"the mask of {name}", made) for name, made in transform.masks)]
        for told, expression in tried:
            statement = sql.SQL("SELECT pg_catalog.count(v) FROM (SELECT {} AS v FROM {} WHERE {} {}) AS alone").format(
                sql.SQL(expression),
                relation(table),
                chosen(transform, TRUE),
                sql.SQL("OFFSET 0" if self._limit is None else f"LIMIT {self._limit}"),
            )
            try:
                self._source.ask(table, statement, transform)
            except psycopg2.Error:
                return f". It is {told}"
        return ""

    def _too_long(self, table: Table, transform: RowTransform) -> Iterator[str]:
        """Texts of own expressions that a cast would cut."""
        for name, masked in sorted(self._masks.get(table.key, {}).items()):
            length = self._facts[table.key, name].column.length
            if masked.mask.kind != "sql" or length is None:
                continue
            statement = sql.SQL(
                "SELECT pg_catalog.count(*) FROM (SELECT CAST(({}) AS pg_catalog.text) AS v FROM {} WHERE {} {}) AS s "
                "WHERE pg_catalog.char_length(v) OPERATOR(pg_catalog.>) {}"
            ).format(
                sql.SQL(str(masked.mask.value)),
                relation(table),
                chosen(transform, TRUE),
                sql.SQL("OFFSET 0" if self._limit is None else f"LIMIT {self._limit}"),
                sql.Literal(length),
            )
            ((number,),) = self._source.ask(table, statement, transform)
            if number:
                yield (
                    f"{'.'.join(table.key)}.{name}: the mask makes {counted(number, 'value')} longer than the "
                    f"{length} characters that the column takes"
                )

    def _duplicates(
        self, table: Table, transform: RowTransform, name: str, expressions: Sequence[str], predicate: str | None
    ) -> Iterator[str]:
        """Values that would come twice in a unique index: of all rows, as a sample has none."""
        rows = masked_rows(table, transform, relation(table), chosen(transform, TRUE))
        keys = [sql.SQL(f"({text})") for text in expressions]
        statement = sql.SQL(
            "SELECT coalesce(pg_catalog.sum(n OPERATOR(pg_catalog.-) 1), 0) FROM (SELECT pg_catalog.count(*) AS n "
            "FROM {} WHERE ({}) AND {} GROUP BY {}) AS s WHERE n OPERATOR(pg_catalog.>) 1"
        ).format(
            rows,
            sql.SQL(predicate or "true"),
            sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(key) for key in keys),
            sql.SQL(", ").join(keys),
        )
        ((number,),) = self._source.ask(table, statement, transform)
        if number:
            masked = ", ".join(sorted(transform.masked))
            made = f"makes {counted(int(number), 'duplicate')} in unique index {name}"
            yield f"{'.'.join(table.key)}: the mask of {masked} {made}"


def orphans(
    source: Source,
    keys: Sequence[ForeignKey],
    tables: Mapping[TableName, Table],
    transforms: Mapping[TableName, RowTransform],
    operators: Callable[[ForeignKey], Sequence[str]],
) -> Iterator[str]:
    """The rows that would point to rows which are not chosen, of every foreign key that this may befall."""
    for key in keys:
        to = transforms.get(key.referenced)
        own = transforms.get(key.table)
        if to is None or not to.condition or key.referenced not in tables or (own and own.condition == "false"):
            continue
        child, parent = tables[key.table], tables[key.referenced]
        matching = sql.SQL(" AND ").join(
            sql.SQL("p.{} {} c.{}").format(sql.Identifier(theirs), sql.SQL(operator), sql.Identifier(ours))
            for ours, theirs, operator in zip(key.columns, key.referenced_columns, operators(key), strict=True)
        )
        statement = sql.SQL(
            "SELECT pg_catalog.count(*) FROM (SELECT {} FROM {} WHERE {}) AS c WHERE {} "
            "AND NOT EXISTS (SELECT FROM (SELECT {} FROM {} WHERE {}) AS p WHERE {})"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, key.columns)),
            relation(child),
            chosen(own, TRUE),
            sql.SQL(" AND ").join(sql.SQL("c.{} IS NOT NULL").format(sql.Identifier(c)) for c in key.columns),
            sql.SQL(", ").join(map(sql.Identifier, key.referenced_columns)),
            relation(parent),
            chosen(to, TRUE),
            matching,
        )
        try:
            ((number,),) = source.ask(child, statement, to)
        except psycopg2.DataError as error:
            yield f"{'.'.join(key.table)} and {'.'.join(key.referenced)}, where: {server_message(error)}"
            continue
        if number:
            yield (
                f"{'.'.join(key.table)}: {counted(number, 'row')} would point to rows of "
                f"{'.'.join(key.referenced)} that are not chosen (foreign key {key.name}). Choose rows of both alike, "
                f"or say subset, which has the rows come that others point to, or foreign_keys: not_valid"
            )
