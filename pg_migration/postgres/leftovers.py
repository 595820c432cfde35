"""Whether a migration left anything in the target that was for its own time only."""

from collections.abc import Mapping
from importlib.resources import files

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.findings import Finding
from pg_migration.postgres.session import fetch

State = tuple[str, str, str, str]


def find_leftovers(source: Connection, target: Connection, schemas: Mapping[str, str]) -> list[Finding]:
    """What is in such a state in the target alone, what is still set aside, and what is called like our bookkeeping.

    Args:
        schemas: name in the target of each source schema.

    Raises:
        psycopg2.Error: when a side can't be read.
    """
    ours = {(state, schemas[schema], name, table) for state, schema, name, table in _states(source, list(schemas))}
    found = []
    for state, schema, name, table in _states(target, list(schemas.values())):
        what = f"{name} on {schema}.{table}" if table else f"{schema}.{name}"
        if (state, schema, name, table) not in ours:
            found.append(Finding(what, f"{state}, which it is not in the source"))
    if fetch(target, "SELECT to_regclass('_pg_migration.suspended') IS NOT NULL") == [(True,)]:
        found += [
            Finding(f'{kind} "{name}" on {schema}.{table}', "set aside for a load, and not brought back")
            for kind, name, schema, table in fetch(
                target,
                "SELECT kind, name, schema_name, table_name FROM _pg_migration.suspended "
                "ORDER BY schema_name, table_name, kind, name",
            )
        ]
    strays = set(_read(target, "leftovers_bookkeeping.sql")) - set(_read(source, "leftovers_bookkeeping.sql"))
    found += [
        Finding(f"{kind} {name}", "called like our bookkeeping, outside schema _pg_migration")
        for kind, name in sorted(strays)
    ]
    return found


def _states(connection: Connection, schemas: list[str]) -> list[State]:
    return [(row[0], row[1], row[2], row[3]) for row in _read(connection, "leftovers.sql", schemas)]


def _read(connection: Connection, name: str, schemas: list[str] | None = None) -> list[tuple[str, ...]]:
    statement = files("pg_migration.postgres").joinpath(name).read_text(encoding="utf-8")
    return fetch(connection, statement, {"schemas": schemas})
