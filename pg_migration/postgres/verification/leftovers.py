"""Whether a migration left anything in the target that was for its own time only."""

from collections.abc import Collection, Mapping
from typing import Any

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.ledger.schema import has
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.verification.observation import Observation

_INVALID = "not valid"

Place = tuple[str, str, str, str]
"""A state, the schema and the table (as the target calls them), and the name of what is in that state on it."""


SUSPENDED = (
    "SELECT kind, name, schema_name, table_name FROM _pg_migration.suspended "
    "ORDER BY schema_name, table_name, kind, name"
)


def find_leftovers(
    source: Connection,
    target: Connection,
    schemas: Mapping[str, str],
    tables: Collection[TableName],
    held: Collection[str] = (),
) -> list[Observation]:
    """What is in such a state in the target alone, what is still set aside, and what is called like our bookkeeping.

    Args:
        schemas: name in the target of each source schema.
        tables: the migrated ones, by their names in the source; the state of others is their own affair.
        held: kinds of which a run that goes on holds what is set aside.

    Raises:
        psycopg2.Error: when a side can't be read.
    """
    ours = _states(source, schemas)
    migrated = {(schemas[schema], table) for schema, table in tables}
    found = []
    for place, is_so in _states(target, {name: name for name in schemas.values()}).items():
        state, schema, table, name = place
        # What only the target has may be as it likes, but an index that is not valid is of no use to anybody.
        if is_so and (schema, table) in migrated and ours.get(place, state != _INVALID) is False:
            what = f"{name} on {schema}.{table}" if name else f"{schema}.{table}"
            found.append(Observation(what, f"{state}, which it is not in the source"))
    if has(target, "suspended"):
        found += [
            Observation(
                f'{kind} "{name}"{f" on {schema}.{table}" if schema else ""}',
                "set aside for a load, and not brought back",
            )
            for kind, name, schema, table in fetch(target, SUSPENDED)
            if kind not in held
        ]
    strays = set(_read(target, "verification/leftovers_bookkeeping.sql")) - set(
        _read(source, "verification/leftovers_bookkeeping.sql")
    )
    found += [
        Observation(f"{kind} {name}", "called like our bookkeeping, outside schema _pg_migration")
        for kind, name in sorted(strays)
    ]
    return found


def _states(connection: Connection, schemas: Mapping[str, str]) -> Mapping[Place, bool]:
    rows = _read(connection, "verification/leftovers.sql", list(schemas))
    return {(state, schemas[schema], table, name): is_so for state, schema, table, name, is_so in rows}


def _read(connection: Connection, name: str, schemas: list[str] | None = None) -> list[tuple[Any, ...]]:
    return fetch(connection, sql_file(name), {"schemas": schemas})
