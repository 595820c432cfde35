"""A subset of the source: the rows that are chosen, their children, and all that any of them points to.

A row is known by its place (ctid), which in one snapshot is the same for every session: so nothing that is in a row
has to be carried about, tables need no keys, and the server finds the rows again without a search. Round by round the
source is asked what the rows that are new point to, or what points to them, until nothing is new.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg2
from psycopg2 import sql

from pg_migration.postgres.catalog import RowTransform, Table, TableName
from pg_migration.postgres.errors import ConfigurationError, server_message
from pg_migration.postgres.figures import listed
from pg_migration.postgres.transform.probing import Source, relation

PLACES_PER_QUERY = 50_000
# Whatever fails may show values of rows that are not to leave the source.
_CHOSEN = RowTransform()
_OFFSET_BITS = 16
EDGES_TOLD = 3

Place = int
"""A row's page and its number there, in one number."""


@dataclass(frozen=True)
class Edge:
    """A foreign key, or a reference that nobody declared: rows of ``child`` point to rows of ``parent``.

    ``operators`` are those that compare each column, the parent's first.
    """

    name: str
    child: Table
    columns: tuple[str, ...]
    parent: Table
    parent_columns: tuple[str, ...]
    operators: tuple[str, ...]

    def __str__(self) -> str:
        return f"{'.'.join(self.child.key)} ({', '.join(self.columns)}) to {'.'.join(self.parent.key)}"


@dataclass(frozen=True)
class Plan:
    """What is chosen to begin with; conditions are those of tables, which narrow what is not pointed to."""

    roots: Sequence[tuple[Table, str]]
    children: frozenset[TableName]
    whole: Sequence[Table]
    edges: Sequence[Edge]
    conditions: Mapping[TableName, str]
    limit_rows: int


@dataclass
class Closure:
    """The rows that are chosen, by the table that holds them. ``whole`` tables are not listed row by row."""

    rows: dict[TableName, set[Place]] = field(default_factory=dict)
    whole: frozenset[TableName] = frozenset()
    empty_roots: tuple[TableName, ...] = ()

    def condition(self, table: TableName) -> str:
        """What is true of a table's chosen rows, in the snapshot that they were chosen in."""
        places = self.rows.get(table)
        if not places:
            return "false"
        return f"ctid OPERATOR(pg_catalog.=) ANY ('{_written(sorted(places))}'::pg_catalog.tid[])"


def _written(places: Iterable[Place]) -> str:
    most = (1 << _OFFSET_BITS) - 1
    return "{" + ",".join(f'"({place >> _OFFSET_BITS},{place & most})"' for place in places) + "}"


def _read(ctid: str) -> Place:
    page, _, number = ctid[1:-1].partition(",")
    return (int(page) << _OFFSET_BITS) | int(number)


def close(source: Source, plan: Plan, holding: Mapping[TableName, Sequence[Table]]) -> Closure:
    """Find all rows of a subset.

    Args:
        source: in a transaction that sees one snapshot throughout.
        holding: the tables that hold the rows of each table.

    Raises:
        ConfigurationError: there are more than there may be.
        psycopg2.Error: the source can't be asked.
    """
    return _Closing(source, plan, holding).run()


@dataclass(frozen=True)
class _Step:
    """Rows of one table whose edge is to be followed, up to what they point to or down to what points to them."""

    edge: Edge
    up: bool
    table: Table
    places: tuple[Place, ...] | None  # None: all rows that its condition chooses


class _Closing:
    def __init__(self, source: Source, plan: Plan, holding: Mapping[TableName, Sequence[Table]]) -> None:
        self._source, self._plan, self._holding = source, plan, holding
        self._by_oid = {table.oid: table for tables in holding.values() for table in tables}
        self._whole = frozenset(t.key for table in plan.whole for t in holding[table.key])
        self._up: dict[TableName, list[Edge]] = {}
        self._down: dict[TableName, list[Edge]] = {}
        for edge in plan.edges:
            for table in holding[edge.child.key]:
                self._up.setdefault(table.key, []).append(edge)
            if edge.child.key in plan.children:
                for table in holding[edge.parent.key]:
                    self._down.setdefault(table.key, []).append(edge)
        self._rows: dict[TableName, set[Place]] = {}
        self._followed: dict[tuple[Edge, TableName], set[Place]] = {}
        self._steps: deque[_Step] = deque()
        self._grown: Counter[str] = Counter()
        self._number = 0

    def run(self) -> Closure:
        empty = []
        for table, condition in self._plan.roots:
            statement = sql.SQL("SELECT tableoid::pg_catalog.int8, ctid FROM {} WHERE ({}) AND ({})").format(
                relation(table), sql.SQL(condition), sql.SQL(self._plan.conditions.get(table.key, "true"))
            )
            told = f"the root {'.'.join(table.key)}"
            if not self._arrive(self._ask(table, statement, told), told, wanted=True):
                empty.append(table.key)
        for name in self._whole:
            table = next(t for tables in self._holding.values() for t in tables if t.key == name)
            self._steps += [_Step(edge, True, table, None) for edge in self._up.get(name, ())]
            self._steps += [_Step(edge, False, table, None) for edge in self._down.get(name, ())]
        while self._steps:
            self._follow(self._steps.popleft())
        return Closure(self._rows, self._whole, tuple(empty))

    def _follow(self, step: _Step) -> None:
        edge = step.edge
        there, columns, condition = (
            (edge.parent, edge.parent_columns, "true")
            if step.up
            else (edge.child, edge.columns, self._plan.conditions.get(edge.child.key, "true"))
        )
        own = edge.columns if step.up else edge.parent_columns
        names = [f"k{number}" for number in range(len(columns))]
        pairs = [("p", "c") if step.up else ("c", "p")] * len(columns)
        matching = sql.SQL(" AND ").join(
            sql.SQL(f"{parent}.{name} {operator} {child}.{name}")
            for name, operator, (parent, child) in zip(names, edge.operators, pairs, strict=True)
        )
        query = sql.SQL(
            "SELECT p.t, p.i FROM (SELECT tableoid::pg_catalog.int8 AS t, ctid AS i, {} FROM {} WHERE {}) AS p "
            "WHERE EXISTS (SELECT FROM {} AS c WHERE {})"
        )
        for rows in self._batches(step, _named(own, names)):
            statement = query.format(_named(columns, names), relation(there), sql.SQL(condition), rows, matching)
            self._arrive(self._ask(there, statement, str(edge)), str(edge), wanted=not step.up)

    def _ask(self, table: Table, statement: sql.Composable, told: str) -> Sequence[tuple[int, str]]:
        """The rows of a table that a query finds.

        Raises:
            ConfigurationError: a condition fails for some row.
        """
        try:
            return self._source.ask(table, statement, _CHOSEN)
        except psycopg2.DataError as error:
            raise ConfigurationError(f"subset: what came by {told} can't be chosen: {server_message(error)}") from None

    def _batches(self, step: _Step, columns: sql.Composable) -> Iterable[sql.Composable]:
        """The rows of a step, as items of FROM."""
        name = sql.Identifier(*step.table.key)
        if step.places is None:
            condition = sql.SQL(self._plan.conditions.get(step.table.key, "true"))
            yield sql.SQL("(SELECT {} FROM ONLY {} WHERE {})").format(columns, name, condition)
            return
        # OFFSET 0 has the server look each place up. Else it may read the whole table: to the planner each is a page
        # that lies anywhere.
        by_place = sql.SQL(
            "(SELECT found.* FROM pg_catalog.unnest({}::pg_catalog.tid[]) AS placed (place), "
            "LATERAL (SELECT {} FROM ONLY {} AS held WHERE held.ctid OPERATOR(pg_catalog.=) placed.place OFFSET 0) "
            "AS found)"
        )
        for first in range(0, len(step.places), PLACES_PER_QUERY):
            places = sql.Literal(_written(step.places[first : first + PLACES_PER_QUERY]))
            yield by_place.format(places, columns, name)

    def _arrive(self, found: Sequence[tuple[int, str]], told: str, wanted: bool) -> bool:
        """Take rows in that were found.

        Args:
            told: how they came, for people.
            wanted: they are chosen for their own sake; those that are there because others point to them bring no
                children: a customer of one order would bring all others.
        """
        places: dict[int, set[Place]] = {}
        for oid, ctid in found:
            places.setdefault(oid, set()).add(_read(ctid))
        for oid, arrived in places.items():
            if (table := self._by_oid.get(oid)) is None or table.key in self._whole:
                continue  # of a partition that is not migrated, or known already
            known = self._rows.setdefault(table.key, set())
            new = arrived - known
            known |= new
            self._number += len(new)
            self._grown[told] += len(new)
            self._check_number()
            if new:
                self._steps += [_Step(edge, True, table, tuple(sorted(new))) for edge in self._up.get(table.key, ())]
            for edge in self._down.get(table.key, ()) if wanted else ():
                followed = self._followed.setdefault((edge, table.key), set())
                fresh = arrived - followed
                followed |= fresh
                if fresh:
                    self._steps.append(_Step(edge, False, table, tuple(sorted(fresh))))
        return bool(found)

    def _check_number(self) -> None:
        if self._number > self._plan.limit_rows:
            most = listed(f"{told} ({number:,})" for told, number in self._grown.most_common(EDGES_TOLD))
            raise ConfigurationError(
                f"subset: more than {self._plan.limit_rows:,} rows would come along (limit_rows). Most came by {most}. "
                f"Choose fewer roots, take a table out of children, or raise the limit"
            )


def _named(columns: Sequence[str], names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(sql.Identifier(column), sql.SQL(name))
        for column, name in zip(columns, names, strict=True)
    )
