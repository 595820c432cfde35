"""Foreign keys, triggers, indexes and more of an existing target table, set aside while its rows are replaced.

Each is written to the ledger in the transaction that takes it away, together with the statement that brings it back: a
run that is killed in between leaves nothing behind that the next one does not restore.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import SchemaObject, TableName
from pg_migration.postgres.connection.statements import execute, execute_rows, fetch, gathered
from pg_migration.postgres.ddl.changes import event_triggers
from pg_migration.postgres.ddl.changes.together import SHORT_WAITS, in_portions
from pg_migration.postgres.sql_files import sql_file

WRITES = ("trigger", "rule", "row security")
CONSTRAINTS = ("constraint", "constraint not validated", "foreign key")
OF_DOMAINS = "domain constraint not validated"
# In the order in which they come back: a foreign key may lean on a unique index that is no constraint.
EVERYTHING = (
    "constraint",
    "constraint not validated",
    OF_DOMAINS,
    "index",
    "foreign key",
    *WRITES,
)


@dataclass(frozen=True)
class Suspended:
    """One object that was taken away."""

    table: TableName
    kind: str
    name: str
    restore: str

    @property
    def description(self) -> str:
        """For people: ``foreign key "x" on public.t``."""
        return f'{self.kind} "{self.name}" on {self.table[0]}.{self.table[1]}'


@dataclass(frozen=True)
class NotRestored:
    """An object that could not be brought back; it stays in the ledger for the next run."""

    object: Suspended
    error: str

    def __str__(self) -> str:
        return f"{self.object.description} could not be brought back: {self.error}"


@dataclass(frozen=True)
class Restoration:
    """What was brought back by a statement, and what could not be."""

    returned: tuple[Suspended, ...]
    failures: tuple[NotRestored, ...]


@dataclass(frozen=True)
class Suspension:
    """How many objects were taken away, and what stayed, for people."""

    taken: int = 0
    stayed: tuple[str, ...] = ()


def suspend(connection: Connection, tables: Iterable[TableName], keys: bool, unchecked: bool = True) -> Suspension:
    """Take away what stands in the way of replacing the rows of existing tables.

    Foreign keys from and to the tables, enabled triggers and rules and forced row security always; primary keys, unique
    and exclusion constraints and indexes when ``keys``, which a load of the whole table builds anew faster than it
    could maintain them. What something else in the target depends on stays in place.
    """
    wanted = list(tables)
    found = fetch(connection, _MAY_BE_IN_THE_WAY, ([schema for schema, _ in wanted], [name for _, name in wanted]))
    if not any(in_the_way for _, in_the_way in found):
        return Suspension()
    oids = [oid for oid, _ in found]
    # Its joins are written in the order in which they are best made; to look for a better one takes longer than to make
    # them, above all where a part of the question is not asked.
    statement = "SET LOCAL join_collapse_limit = 1; " + sql_file("ddl/changes/suspend.sql")
    rows = fetch(connection, statement, {"tables": oids, "keys": keys, "unchecked": unchecked})
    stayed = [row for some in in_portions(rows) for row in _take_away(connection, some)]
    described = (Suspended((schema, table), kind, name, "").description for schema, table, kind, name, *_ in stayed)
    return Suspension(len(rows) - len(stayed), tuple(described))


def _take_away(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Take objects away, rows of suspend.sql; those that stay, as something else depends on them."""
    try:
        with gathered(connection):
            if len(rows) > 1:
                execute(connection, SHORT_WAITS)
            execute_rows(
                connection,
                "INSERT INTO _pg_migration.suspended VALUES %s "
                "ON CONFLICT (schema_name, table_name, kind, name) DO UPDATE SET restore = excluded.restore",
                [(*row[:4], *row[6:]) for row in rows],
            )
            for _, _, _, _, _, remove, *_ in rows:
                execute(connection, remove)
    except psycopg2.Error as error:
        if connection.closed:
            raise
        if len(rows) == 1:
            if isinstance(error, psycopg2.errors.DependentObjectsStillExist):
                return list(rows)
            raise
    else:
        return []
    middle = len(rows) // 2
    return [*_take_away(connection, rows[:middle]), *_take_away(connection, rows[middle:])]


def existing(connection: Connection, tables: Iterable[TableName]) -> Mapping[TableName, int]:
    """Which of some tables of the target are there, with their OIDs."""
    named = list(tables)
    rows = fetch(connection, _EXISTING, ([schema for schema, _ in named], [name for _, name in named]))
    return {(schema, name): oid for schema, name, oid in rows}


_EXISTING = (
    "SELECT s, t, to_regclass(format('%%I.%%I', s, t))::oid FROM unnest(%s::text[], %s::text[]) AS wanted (s, t) "
    "WHERE to_regclass(format('%%I.%%I', s, t)) IS NOT NULL"
)

# Tables that were made just now have nothing of all this, and to ask for it costs the server more than to copy them.
_MAY_BE_IN_THE_WAY = """
SELECT oid, relhasindex OR relhastriggers OR relhasrules OR relforcerowsecurity
       OR EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' OR NOT convalidated)
  FROM unnest(%s::text[], %s::text[]) AS wanted (s, t)
  JOIN pg_class ON oid = to_regclass(format('%%I.%%I', s, t))
"""

# A trigger or rule is never taken away, only disabled: when it or its table is gone, somebody dropped it, and it stays
# gone.
_LACKING = """
SELECT CASE
    WHEN kind = 'domain constraint not validated' THEN wanted.type IS NOT NULL
         AND NOT EXISTS (SELECT FROM pg_constraint WHERE contypid = wanted.type AND conname = name)
    WHEN wanted.relation IS NULL THEN false
    WHEN kind = 'row security' THEN true
    WHEN kind = 'trigger' THEN EXISTS (SELECT FROM pg_trigger WHERE tgrelid = relation AND tgname = name)
    WHEN kind = 'rule' THEN EXISTS (SELECT FROM pg_rewrite WHERE ev_class = relation AND rulename = name)
    WHEN kind = 'index' THEN NOT EXISTS (
        SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = relation AND x.relname = name)
    ELSE NOT EXISTS (SELECT FROM pg_constraint
                     WHERE conrelid = relation AND conname = name
                       AND (conislocal OR kind <> 'constraint not validated'))
END
FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS asked (kind, name, qualified, number)
CROSS JOIN LATERAL (SELECT to_regclass(qualified)::oid AS relation, to_regtype(qualified)::oid AS type) AS wanted
ORDER BY number
"""


def left(connection: Connection) -> list[Suspended]:
    """Everything that is suspended now."""
    statement = "SELECT schema_name, table_name, kind, name, restore FROM _pg_migration.suspended"
    return [Suspended((schema, table), *others) for schema, table, *others in fetch(connection, statement)]


def restore(connection: Connection, kinds: Collection[str], tables: Collection[TableName] | None = None) -> Restoration:
    """Bring back what is still suspended and not there, unless its table was dropped since; then forget it.

    Args:
        kinds: of `EVERYTHING`.
        tables: only what belongs to these, foreign keys that point to them, and what was taken from parents for their
            sake; None for all.

    Returns:
        What came back, and what could not be restored, with the server's reason.
    """
    found = [
        Suspended((schema, table), kind, name, statement)
        for schema, table, kind, name, statement, *referenced in fetch(
            connection,
            "SELECT schema_name, table_name, kind, name, restore, referenced_schema, referenced_table "
            "FROM _pg_migration.suspended WHERE kind = ANY (%s) "
            "ORDER BY array_position(%s, kind), schema_name, table_name, name",
            (list(kinds), list(EVERYTHING)),
        )
        if tables is None or (schema, table) in tables or tuple(referenced) in tables
    ]
    done = [_bring_back(connection, some) for some in in_portions(found)]
    return Restoration(
        tuple(item for restoration in done for item in restoration.returned),
        tuple(failure for restoration in done for failure in restoration.failures),
    )


def _bring_back(connection: Connection, items: Sequence[Suspended]) -> Restoration:
    """Bring back what is not there, and forget all: at once, or where that fails each half by itself.

    What takes a while, as it reads rows, is brought back by itself.
    """
    lacking = [item for item, lacks in zip(items, _lacking(connection, items), strict=True) if lacks]
    if len(items) == 1 or all(item.kind in WRITES for item in lacking):
        try:
            with gathered(connection):
                if len(items) > 1:
                    execute(connection, SHORT_WAITS)
                for item in lacking:
                    execute(connection, item.restore)
                forget(connection, items)
        except psycopg2.Error as error:
            if len(items) == 1:
                failure = NotRestored(items[0], str(error.diag.message_primary or error))
                return Restoration((), (failure,))
        else:
            return Restoration(tuple(lacking), ())
    middle = len(items) // 2
    first, second = _bring_back(connection, items[:middle]), _bring_back(connection, items[middle:])
    return Restoration(first.returned + second.returned, first.failures + second.failures)


def forget(connection: Connection, objects: Iterable[SchemaObject | Suspended]) -> None:
    """Bring none of these objects of the target back: they were dropped for good, or are made anew otherwise."""
    if some := list(objects):
        execute(connection, forgetting(some))


def forgetting(objects: Iterable[SchemaObject | Suspended]) -> sql.Composable:
    """The statement for that."""
    on_nothing = ("", "")
    named = [
        (*(item.table or on_nothing), item.kind, item.name)
        for item in objects
        if item.table is not None or item.kind == event_triggers.KIND
    ]
    return sql.SQL(
        "DELETE FROM _pg_migration.suspended WHERE (schema_name, table_name, kind, name) IN "
        "(SELECT * FROM unnest({}::text[], {}::text[], {}::text[], {}::text[]))"
    ).format(*(sql.Literal([name[column] for name in named]) for column in range(4)))


def _lacking(connection: Connection, items: Sequence[Suspended]) -> list[bool]:
    """Of each whether there is still something to bring back."""
    names = (sql.Identifier(*item.table).as_string(connection) for item in items)
    asked = zip(*((item.kind, item.name, name) for item, name in zip(items, names, strict=True)), strict=True)
    return [bool(lacks) for (lacks,) in fetch(connection, _LACKING, list(map(list, asked)))]
