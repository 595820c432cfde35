"""The schemas beside the live ones: made, found again, and dropped, each only where the ledger says that it is ours."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.statements import execute, fetch, gathered, transaction
from pg_migration.postgres.errors import StructureConflict
from pg_migration.postgres.figures import listed
from pg_migration.postgres.ledger.schema import has
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.swap.names import next_name, previous_name
from pg_migration.postgres.swap.views import about_inside, views_on

MAX_NAMED = 20

# The tables of the ledger whose rows belong to a schema of the target.
OF_SCHEMAS = (
    "chunk",
    "plan",
    "suspended",
    "source_state",
    "sequence_position",
    "target_state",
    "transform",
    "extension_rows",
)

_PRESENT = """
SELECT n.nspname, n.oid::bigint FROM pg_namespace n WHERE n.nspname = ANY (%s::text[])
"""
_OURS = "SELECT schema_name, namespace::bigint FROM _pg_migration.shadow WHERE schema_name = ANY (%s::text[])"
_TABLES = """
SELECT n.nspname, c.relname
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY (%s::text[]) AND c.relkind = 'r'
"""


@dataclass(frozen=True)
class Dependent:
    """What stands in the way of moving or dropping a schema; ``what`` is as in outside.sql."""

    what: str
    name: str
    needed: str


def present(connection: Connection, names: Collection[str]) -> Mapping[str, int]:
    """Of some schemas those that are there, with their OIDs."""
    return dict(fetch(connection, _PRESENT, (list(names),)))


def ours(connection: Connection, names: Collection[str]) -> Mapping[str, int]:
    """Of some schemas those that are there and that runs have made, with their OIDs."""
    if not has(connection, "shadow"):
        return {}
    there = present(connection, names)
    return {name: oid for name, oid in fetch(connection, _OURS, (list(names),)) if there.get(name) == oid}


def dependents(connection: Connection, schemas: Collection[str]) -> list[Dependent]:
    """What outside of some schemas leans on them so that a swap can't take it along."""
    return [Dependent(*row) for row in fetch(connection, about_inside("swap/outside.sql"), {"schemas": list(schemas)})]


def tables_at_stake(connection: Connection, live: Collection[str]) -> list[TableName]:
    """The tables whose rows a swap, or the next one, takes away: the live ones, and those that were live before."""
    names = [name for schema in live for name in (schema, previous_name(schema))]
    return [(schema, name) for schema, name in fetch(connection, _TABLES, (names,))]


def make(connection: Connection, live: Sequence[str], run_id: str) -> None:
    """Drop what earlier runs have left beside some live schemas, and make those that are to be loaded, empty.

    Of these the ledger has already what this run has written down (`forget_loaded`).

    Raises:
        StructureConflict: something else leans on what is to go, or has its name.
    """
    drop(connection, [next_name(schema) for schema in live], with_rows=False)
    drop(connection, [previous_name(schema) for schema in live])
    with transaction(connection):
        for schema in live:
            name = next_name(schema)
            execute(connection, sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
            execute(connection, _NOTE, {"name": name, "live": schema, "run": run_id})


_NOTE = """
INSERT INTO _pg_migration.shadow (schema_name, namespace, live_schema, run_id)
SELECT n.nspname, n.oid, %(live)s, %(run)s FROM pg_namespace n WHERE n.nspname = %(name)s
"""


def leaning_on(connection: Connection, names: Collection[str]) -> list[str]:
    """What of others would go with schemas that are to be dropped."""
    leaning = [f"{d.name} (on {d.needed})" for d in dependents(connection, names) if d.what == "dependent"]
    return leaning + [f"view {view.name}" for view in views_on(connection, names)]


def drop(connection: Connection, names: Collection[str], with_rows: bool = True) -> None:
    """Drop schemas of ours, a table at a time: each waits for its readers by itself, and locks need no more room.

    Args:
        names: those that are not there, or not ours, are left out.
        with_rows: whether to forget in the ledger what was loaded, too.

    Raises:
        StructureConflict: something else leans on what is to go; nothing was dropped then.
    """
    found = ours(connection, names)
    if leaning := leaning_on(connection, found.keys()) if found else []:
        raise StructureConflict(
            f"schema {listed(found)} of the target is to go, as it holds what was loaded earlier, and others lean on "
            f"it: {listed(leaning, MAX_NAMED)}. Drop them or let them use the live schema."
        )
    for name, namespace in found.items():
        for kind, relation in fetch(connection, sql_file("swap/members.sql"), {"namespace": namespace}):
            statement = sql.SQL("DROP {} IF EXISTS {} CASCADE")
            execute(connection, statement.format(sql.SQL(kind), sql.Identifier(name, relation)))
    with gathered(connection):
        for name in found:
            execute(connection, sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
        execute(connection, "DELETE FROM _pg_migration.shadow WHERE schema_name = ANY (%s::text[])", (list(names),))
        if with_rows:
            _forget_rows(connection, names)


def forget_loaded(connection: Connection, live: Collection[str]) -> None:
    """Forget in the ledger what earlier runs have loaded beside some live schemas."""
    with gathered(connection):
        _forget_rows(connection, [next_name(schema) for schema in live])


def _forget_rows(connection: Connection, names: Collection[str]) -> None:
    for table in OF_SCHEMAS:
        statement = sql.SQL("DELETE FROM {} WHERE schema_name = ANY (%s::text[])")
        execute(connection, statement.format(sql.Identifier("_pg_migration", table)), (list(names),))
