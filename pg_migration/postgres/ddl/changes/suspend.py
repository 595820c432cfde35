"""Foreign keys, triggers, indexes and more of an existing target table, set aside while its rows are replaced.

Each is written to the ledger in the transaction that takes it away, together with the statement that brings it back: a
run that is killed in between leaves nothing behind that the next one does not restore.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import SchemaObject, TableName
from pg_migration.postgres.connection.statements import execute, fetch, transaction
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


def suspend(connection: Connection, tables: Iterable[TableName], keys: bool, unchecked: bool = True) -> tuple[str, ...]:
    """Take away what stands in the way of replacing the rows of existing tables.

    Foreign keys from and to the tables, enabled triggers and rules and forced row security always; primary keys, unique
    and exclusion constraints and indexes when ``keys``, which a load of the whole table builds anew faster than it
    could maintain them. What something else in the target depends on stays in place.

    Returns:
        What stayed, for people.
    """
    oids = list(existing(connection, tables).values())
    if not fetch(connection, _MAY_BE_IN_THE_WAY, (oids,)):
        return ()
    # Its joins are written in the order in which they are best made; to look for a better one takes longer than to make
    # them, above all where a part of the question is not asked.
    statement = "SET LOCAL join_collapse_limit = 1; " + sql_file("ddl/changes/suspend.sql")
    stayed = []
    for row in fetch(connection, statement, {"tables": oids, "keys": keys, "unchecked": unchecked}):
        schema, table, kind, name, _, remove, restore, *referenced = row
        found = Suspended((schema, table), kind, name, restore)
        try:
            with transaction(connection):
                execute(
                    connection,
                    "INSERT INTO _pg_migration.suspended VALUES (%s, %s, %s, %s, %s, %s, %s) "
                    "ON CONFLICT (schema_name, table_name, kind, name) DO UPDATE SET restore = excluded.restore",
                    (schema, table, kind, name, restore, *referenced),
                )
                execute(connection, remove)
        except psycopg2.errors.DependentObjectsStillExist:
            stayed.append(found.description)
    return tuple(stayed)


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
SELECT FROM pg_class
 WHERE oid = ANY (%s::oid[]) AND (relhasindex OR relhastriggers OR relhasrules OR relforcerowsecurity)
 UNION ALL
SELECT FROM pg_constraint WHERE contype = 'f' OR NOT convalidated
 LIMIT 1
"""

# A trigger or rule is never taken away, only disabled: when it or its table is gone, somebody dropped it, and it stays
# gone.
_LACKING = """
SELECT CASE
    WHEN %(kind)s = 'domain constraint not validated' THEN wanted.type IS NOT NULL
         AND NOT EXISTS (SELECT FROM pg_constraint WHERE contypid = type AND conname = %(name)s)
    WHEN wanted.relation IS NULL THEN false
    WHEN %(kind)s = 'row security' THEN true
    WHEN %(kind)s = 'trigger' THEN EXISTS (SELECT FROM pg_trigger WHERE tgrelid = relation AND tgname = %(name)s)
    WHEN %(kind)s = 'rule' THEN EXISTS (SELECT FROM pg_rewrite WHERE ev_class = relation AND rulename = %(name)s)
    WHEN %(kind)s = 'index' THEN NOT EXISTS (
        SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = relation AND x.relname = %(name)s)
    ELSE NOT EXISTS (SELECT FROM pg_constraint
                     WHERE conrelid = relation AND conname = %(name)s
                       AND (conislocal OR %(kind)s <> 'constraint not validated'))
END
FROM (SELECT to_regclass(%(table)s)::oid AS relation, to_regtype(%(table)s)::oid AS type) AS wanted
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
    returned, failures = [], []
    for schema, table, kind, name, statement, *referenced in fetch(
        connection,
        "SELECT schema_name, table_name, kind, name, restore, referenced_schema, referenced_table "
        "FROM _pg_migration.suspended WHERE kind = ANY (%s) "
        "ORDER BY array_position(%s, kind), schema_name, table_name, name",
        (list(kinds), list(EVERYTHING)),
    ):
        found = Suspended((schema, table), kind, name, statement)
        if tables is not None and found.table not in tables and tuple(referenced) not in tables:
            continue
        try:
            with transaction(connection):
                if lacking := _is_lacking(connection, found):
                    execute(connection, statement)
                execute(
                    connection,
                    "DELETE FROM _pg_migration.suspended "
                    "WHERE (schema_name, table_name, kind, name) = (%s, %s, %s, %s)",
                    (schema, table, kind, name),
                )
        except psycopg2.Error as error:
            failures.append(NotRestored(found, str(error.diag.message_primary or error)))
        else:
            returned += [found] if lacking else []
    return Restoration(tuple(returned), tuple(failures))


def forget(connection: Connection, objects: Iterable[SchemaObject | Suspended]) -> None:
    """Bring none of these objects of the target back: they were dropped for good, or are made anew otherwise."""
    if some := list(objects):
        execute(connection, forgetting(some))


def forgetting(objects: Iterable[SchemaObject | Suspended]) -> sql.Composable:
    """The statement for that."""
    named = [(*item.table, item.kind, item.name) for item in objects if item.table is not None]
    return sql.SQL(
        "DELETE FROM _pg_migration.suspended WHERE (schema_name, table_name, kind, name) IN "
        "(SELECT * FROM unnest({}::text[], {}::text[], {}::text[], {}::text[]))"
    ).format(*(sql.Literal([name[column] for name in named]) for column in range(4)))


def _is_lacking(connection: Connection, found: Suspended) -> bool:
    """Whether there is still something to bring back."""
    qualified = sql.Identifier(*found.table).as_string(connection)
    ((lacking,),) = fetch(connection, _LACKING, {"name": found.name, "table": qualified, "kind": found.kind})
    return bool(lacking)
