"""A transform applied to a source: what is read of each table, and what stands in the way of that."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from pg_migration.postgres.catalog import (
    Address,
    Catalog,
    ConfigurationTable,
    ForeignKey,
    RowTransform,
    Table,
    TableName,
)
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.figures import counted, listed
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.transform.closure import Closure, Edge, Plan, close
from pg_migration.postgres.transform.document import Document
from pg_migration.postgres.transform.expressions import checked
from pg_migration.postgres.transform.masks import Mask, expression
from pg_migration.postgres.transform.names import Names, label
from pg_migration.postgres.transform.probing import (
    DryRun,
    Source,
    calls_users,
    is_of_the_row,
    orphans,
    problem_of_condition,
    problem_of_mask,
)
from pg_migration.postgres.transform.rules import (
    Chosen,
    Facts,
    Masks,
    chosen_masks,
    problems,
    read_facts,
    references_of,
    with_bits,
)


@dataclass(frozen=True)
class Transformation:
    """What is read of each table of a source that is not read as it is, by name.

    ``problems`` stand in the way, ``cautions`` are to be known. ``derived`` are columns that are masked since foreign
    keys connect them to others, ``empty`` the tables that a subset does not reach. ``not_valid`` are foreign keys that
    rows may break, as those that they point to may not be chosen. ``left_behind`` are tables of extensions whose rows,
    which users keep there, are not copied.
    """

    tables: Mapping[TableName, RowTransform]
    problems: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    empty: tuple[TableName, ...] = ()
    not_valid: frozenset[Address] = frozenset()
    left_behind: tuple[ConfigurationTable, ...] = ()

    def applied(self, catalog: Catalog) -> Catalog:
        """The catalog, with what is read of each table, and with the foreign keys as they can be made."""
        tables = (replace(table, transform=self.tables.get(table.key)) for table in catalog.tables)
        keys = (replace(key, valid=key.valid and key.address not in self.not_valid) for key in catalog.foreign_keys)
        objects = (
            replace(item, statements=tuple(map(_not_valid, item.statements)))
            if item.address in self.not_valid
            else item
            for item in catalog.objects
        )
        left = {table.key for table in self.left_behind}
        rows = (table for table in catalog.configurations if table.key not in left)
        return replace(
            catalog,
            tables=tuple(tables),
            foreign_keys=tuple(keys),
            objects=tuple(objects),
            configurations=tuple(rows),
        )


def transform(
    document: Document, catalog: Catalog, source: Source, moment: datetime, thorough: bool = False
) -> Transformation:
    """Apply a transform to a source: its rules are checked, and what it would do is tried in the source.

    Args:
        source: sees the snapshot that the rows are read in; in autocommit mode, or inside of that.
        moment: what conditions take for now.
        thorough: try all rows, not a sample.

    Raises:
        ConfigurationError: a name is not known, or an expression is none.
        psycopg2.Error: the source can't be asked.
    """
    with _one_moment(source):
        return _Transforming(document, catalog, source, moment, thorough).run()


@contextmanager
def _one_moment(source: Source) -> Iterator[None]:
    """One snapshot for all that is asked, where the session does not see one already."""
    connection = source.connection
    if connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
        yield
        return
    execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    finally:
        if not connection.closed:
            execute(connection, "ROLLBACK")


class _Transforming:
    def __init__(self, document: Document, catalog: Catalog, source: Source, moment: datetime, thorough: bool) -> None:
        self._document, self._catalog, self._source = document, catalog, source
        self._moment, self._thorough = moment, thorough
        self._names = Names(catalog)
        self._holding = {table.key: self._names.holding(table) for table in catalog.tables}

    def run(self) -> Transformation:
        conditions = self._conditions()
        masks = self._checked_masks(chosen_masks(self._document, self._catalog, self._names))
        plan = self._plan(conditions)
        concerned = self._concerned(masks)
        facts = with_bits(masks, read_facts(self._source.connection, concerned)) if concerned else {}
        left_behind = self._left_behind()
        found = [
            *self._to_what_is_left(left_behind),
            *problems(masks, facts, self._catalog, self._names, self._document.key is not None),
            *self._of_expressions(masks, conditions, plan),
        ]
        derived = tuple(label((t, n)) for t, columns in sorted(masks.items()) for n, c in columns.items() if c.derived)
        if found:
            return Transformation({}, tuple(found), derived=derived)
        closure = close(self._source, plan, self._holding) if plan is not None else None
        tables = self._transforms(masks, facts, conditions, closure)
        not_valid = frozenset[Address]()
        if self._document.foreign_keys_not_valid:
            not_valid = frozenset(key.address for key in self._catalog.foreign_keys if _may_break(key, tables))
        elif closure is None:
            operators = self._operators()
            found += orphans(
                self._source, self._catalog.foreign_keys, self._names.tables, tables, lambda key: operators[key][0]
            )
        looked_at = [(table, tables[table.key]) for table in self._catalog.tables if table.key in tables]
        found += DryRun(self._source, facts, masks, self._thorough).problems(
            [(table, done) for table, done in looked_at if not (table.is_partition and table.root in tables)]
        )
        return Transformation(
            tables,
            tuple(found),
            self._cautions(closure),
            derived,
            self._not_reached(closure) if closure else (),
            not_valid,
            left_behind,
        )

    def _left_behind(self) -> tuple[ConfigurationTable, ...]:
        """The tables of extensions whose rows are not copied.

        Raises:
            ConfigurationError: one is named that is none.
        """
        named, tables = self._document.extension_rows, self._catalog.configurations
        if isinstance(named, bool):
            return () if named else tables
        if unknown := sorted(set(named) - {".".join(table.key) for table in tables}):
            raise ConfigurationError(
                f"extension_rows: {listed(unknown)}: no migrated extension keeps rows of its users there"
            )
        return tuple(table for table in tables if ".".join(table.key) not in named)

    def _to_what_is_left(self, left_behind: Sequence[ConfigurationTable]) -> Iterator[str]:
        names = {table.key for table in left_behind}
        for key in self._catalog.foreign_keys:
            if key.referenced in names:
                name = ".".join(key.referenced)
                yield (
                    f"foreign key {key.name} of {'.'.join(key.table)} points to {name}, where an extension keeps rows "
                    f"of its users, which stay behind; name {name} in extension_rows to have them as they are"
                )

    def _conditions(self) -> dict[TableName, str]:
        """The conditions of tables, also of what belongs to them and has none of its own; ``false`` for no rows."""
        found: dict[TableName, str] = {}
        own: dict[TableName, str] = {}
        for text, rules in self._document.tables.items():
            table = self._names.table(text, "tables")
            if rules.no_rows:
                condition = "false"
            elif rules.where is not None:
                condition = checked(rules.where, f"tables.{text}.where", self._moment)
            else:
                continue
            if table.key in own:
                raise ConfigurationError(f"tables: {text} is there twice, under two ways to write its name")
            own[table.key] = condition
            found |= {below.key: condition for below in self._names.below(table)}
        return {**found, **own}

    def _checked_masks(self, masks: Masks) -> Masks:
        """The same, where expressions of users are such, and of one moment."""
        return {
            table: {
                name: replace(chosen, mask=self._checked_mask(chosen.mask, label((table, name))))
                for name, chosen in columns.items()
            }
            for table, columns in masks.items()
        }

    def _checked_mask(self, mask: Mask, place: str) -> Mask:
        return Mask("sql", checked(mask.value, f"mask of {place}", self._moment)) if mask.kind == "sql" else mask

    def _concerned(self, masks: Masks) -> Sequence[Table]:
        """The tables whose columns are to be known: masked ones, and those above and below."""
        names = {name for key in masks for name in (key, *(t.key for t in self._names.below(self._names.tables[key])))}
        tables = self._names.tables
        names |= {table.root for name in names if (table := tables[name]).root is not None and table.root in tables}
        return [table for table in self._catalog.tables if table.key in names]

    def _of_expressions(self, masks: Masks, conditions: Mapping[TableName, str], plan: Plan | None) -> Iterator[str]:
        """What is wrong with the expressions of users."""
        tables = self._names.tables
        for name, columns in sorted(masks.items()):
            for column, chosen in columns.items():
                if chosen.mask.kind == "sql":
                    problem = problem_of_mask(self._source, tables[name], f"({chosen.mask.value})")
                    if problem is not None:
                        yield f"{label((name, column))}, mask sql: {problem}"
        for name, condition in sorted(conditions.items()):
            if condition != "false" and not (tables[name].is_partition and tables[name].root in conditions):
                problem = problem_of_condition(self._source, tables[name], condition)
                if problem is not None:
                    yield f"{'.'.join(name)}, where: {problem}"
        for table, condition in plan.roots if plan is not None else ():
            problem = problem_of_condition(self._source, table, condition)
            if problem is not None:
                yield f"subset.roots, {'.'.join(table.key)}: {problem}"
        for edge in plan.edges if plan is not None else ():
            if edge.name == _NOT_DECLARED and (problem := self._problem_of_reference(edge)) is not None:
                yield f"subset.references, {edge}: {problem}"

    def _problem_of_reference(self, edge: Edge) -> str | None:
        facts = read_facts(self._source.connection, [edge.child, edge.parent])
        ours = facts[edge.child.key, edge.columns[0]].column
        theirs = facts[edge.parent.key, edge.parent_columns[0]].column
        families = [{"int2", "int4", "int8", "numeric"}, {"text", "varchar", "bpchar"}]
        if ours.base == theirs.base or any({ours.base, theirs.base} <= family for family in families):
            return None
        return f"{ours.type} can't be compared with {theirs.type}"

    def _plan(self, conditions: Mapping[TableName, str]) -> Plan | None:
        subset = self._document.subset
        if subset is None:
            return None
        roots = [
            (self._names.table(text, "subset.roots"), checked(condition, f"subset.roots.{text}", self._moment))
            for text, condition in subset.roots.items()
        ]
        children = [self._names.table(text, "subset.children") for text in subset.children]
        whole = [self._names.table(text, "subset.whole") for text in subset.whole]
        tables = self._names.tables
        operators = self._operators()
        edges = []
        for key in self._catalog.foreign_keys:
            if key.referenced not in tables or key.table not in tables:
                continue
            used, period = operators[key]
            if period:
                raise ConfigurationError(
                    f"subset: foreign key {key.name} of {'.'.join(key.table)} has a PERIOD, and no subset can be made "
                    f"along it yet"
                )
            edges.append(
                Edge(
                    key.name,
                    tables[key.table],
                    key.columns,
                    tables[key.referenced],
                    key.referenced_columns,
                    tuple(used),
                )
            )
        for (child, own), (parent, other) in references_of(self._document, self._names):
            equal = ("OPERATOR(pg_catalog.=)",)
            edges.append(Edge(_NOT_DECLARED, tables[child], (own,), tables[parent], (other,), equal))
        pointing = {edge.child.key for edge in edges}
        for table in children:
            # Foreign keys may be those of partitions alone.
            if pointing.isdisjoint(t.key for t in (table, *self._names.below(table))):
                raise ConfigurationError(
                    f"subset.children: {'.'.join(table.key)} has no foreign key by which its rows could come along; "
                    f"name one in references"
                )
        inherited = frozenset(t.key for table in children for t in (table, *self._names.below(table)))
        return Plan(roots, inherited, whole, edges, conditions, subset.limit_rows)

    def _operators(self) -> Mapping[ForeignKey, tuple[Sequence[str], bool]]:
        """What compares the columns of each foreign key, and whether it has a PERIOD."""
        keys = {key.address.objid: key for key in self._catalog.foreign_keys}
        if not keys:
            return {}
        rows = fetch(self._source.connection, sql_file("transform/operators.sql"), {"keys": list(keys)})
        return {keys[oid]: (operators, period) for oid, operators, period in rows}

    def _transforms(
        self, masks: Masks, facts: Facts, conditions: Mapping[TableName, str], closure: Closure | None
    ) -> dict[TableName, RowTransform]:
        found = {}
        for table in self._catalog.tables:
            of_table, condition = masks.get(table.key, {}), conditions.get(table.key, "")
            # In one order, whatever the process: what is read is told from what was by its text.
            columns = {c.name: of_table[c.name] for c in table.columns if c.name in of_table}
            rows: int | None = None
            alone = condition in ("", "false") or is_of_the_row(self._source, table, condition)
            own = [str(chosen.mask.value) for chosen in columns.values() if chosen.mask.kind == "sql"]
            alone = alone and not any(calls_users(self._source, text) for text in own)
            shown = condition if condition != "false" else "no rows"
            if closure is not None and not all(t.key in closure.whole for t in self._holding[table.key]):
                condition, rows = self._in_subset(table, closure)
                alone = False
                shown = f"{rows:,} rows of the subset"
            if columns or condition:
                done = RowTransform(
                    condition,
                    tuple((name, self._expression(facts, table, name, chosen)) for name, chosen in columns.items()),
                    self._computed(facts, table) if columns else (),
                    tuple((name, str(chosen.mask)) for name, chosen in columns.items()),
                    shown,
                    closure is not None,
                    rows,
                    alone,
                )
                found[table.key] = replace(done, fingerprint=self._fingerprint(done))
        return found

    def _in_subset(self, table: Table, closure: Closure) -> tuple[str, int]:
        """The condition of a table's chosen rows, and how many there are."""
        whole = table
        if table.through_root and table.root is not None and table.root in self._names.tables:
            whole = self._names.tables[table.root]
        rows = sum(len(closure.rows.get(t.key, ())) for t in self._holding[table.key])
        if whole.kind == "r":
            return closure.condition(whole.key), rows
        parts = [
            f"(tableoid OPERATOR(pg_catalog.=) '{held.oid}'::pg_catalog.oid AND {closure.condition(held.key)})"
            for held in self._holding[whole.key]
            if closure.rows.get(held.key)
        ]
        return (" OR ".join(parts) or "false"), rows

    def _expression(self, facts: Facts, table: Table, name: str, chosen: Chosen) -> str:
        return expression(chosen.mask, facts[table.key, name].column, self._document.key or b"", chosen.domain)

    def _computed(self, facts: Facts, table: Table) -> tuple[tuple[str, str], ...]:
        """The stored generated columns of a table, as they are computed of a row."""
        found = []
        for column in table.computed_columns:
            known = facts[table.key, column.name]
            found.append((column.name, f"CAST(({known.computed}) AS {known.column.type})"))
        return tuple(found)

    def _fingerprint(self, done: RowTransform) -> str:
        read = (self._document.digest, done.condition, done.masks, done.computed)
        return hashlib.sha256(repr(read).encode(errors="surrogateescape")).hexdigest()

    def _cautions(self, closure: Closure | None) -> tuple[str, ...]:
        if closure is None:
            return ()
        return tuple(f"subset.roots: no row of {'.'.join(name)} is chosen" for name in closure.empty_roots)

    def _not_reached(self, closure: Closure) -> tuple[TableName, ...]:
        return tuple(
            table.key
            for table in self._catalog.tables
            if not table.is_partition
            and not any(t.key in closure.whole or closure.rows.get(t.key) for t in self._holding[table.key])
        )


_NOT_DECLARED = "reference"
_NOT_VALID = " NOT VALID"


def _may_break(key: ForeignKey, tables: Mapping[TableName, RowTransform]) -> bool:
    """Whether rows may point to others that are not chosen, by the conditions alone: it is the same in every run."""
    own, to = tables.get(key.table), tables.get(key.referenced)
    return key.valid and to is not None and bool(to.condition) and not (own is not None and own.condition == "false")


def _not_valid(statement: str) -> str:
    """The statement that adds a foreign key without a look at the rows that are there."""
    return statement if statement.endswith(_NOT_VALID) else statement + _NOT_VALID


def told(transformation: Transformation) -> list[str]:
    """What a transform does, in lines for people."""
    lines = [
        f"{'.'.join(name)}: {done.told}"
        for name, done in sorted(transformation.tables.items())
        if done.condition != "false" or not done.subset
    ]
    if transformation.derived:
        lines.append(f"masked as the other end of a foreign key: {listed(transformation.derived)}")
    if transformation.not_valid:
        keys = counted(len(transformation.not_valid), "foreign key")
        lines.append(
            f"{keys} to tables with conditions: NOT VALID in the target, as rows may point to what is left out"
        )
    if transformation.left_behind:
        names = listed(sorted(".".join(table.key) for table in transformation.left_behind))
        lines.append(f"rows that users keep in tables of extensions stay behind (extension_rows): {names}")
    if transformation.empty:
        lines.append(f"the subset does not reach {listed('.'.join(name) for name in transformation.empty)}: no rows")
    return lines
