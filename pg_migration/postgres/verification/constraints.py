"""Whether the target's constraints are there and as valid as the source's."""

from collections.abc import Collection, Mapping

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.verification.observation import Observation

State = tuple[bool, bool]
_WORDS: Mapping[State, str] = {
    (True, True): "valid",
    (False, True): "NOT VALID",
    (True, False): "NOT ENFORCED",
    (False, False): "NOT ENFORCED",
}


def compare_constraints(
    source: Connection,
    target: Connection,
    schemas: Mapping[str, str],
    tables: Collection[TableName],
    not_valid: Collection[tuple[TableName, str]] = (),
) -> tuple[int, list[Observation]]:
    """How many constraints of the source's tables there are, and what is to be told of them.

    Args:
        schemas: name in the target of each source schema.
        tables: the migrated ones, by their names in the source. A foreign key to any other is not looked for.
        not_valid: foreign keys, by table and name in the source, that the target is to have without a look at its rows.

    Raises:
        psycopg2.Error: when a side can't be read.
    """
    ours = {
        (schemas[schema], table, name): state
        for (schema, table, name), (state, connected) in _states(source, list(schemas)).items()
        if connected <= set(tables)
    }
    theirs = {key: state for key, (state, _) in _states(target, list(schemas.values())).items()}
    meant = {(schemas[schema], table, name) for (schema, table), name in not_valid}
    migrated = {(schemas[schema], table) for schema, table in tables}
    found: list[Observation] = []
    for key, state in ours.items():
        name, other = _name(key), theirs.get(key)
        if other is None:
            found.append(Observation(name, "missing in the target"))
        elif key in meant and other == (False, state[1]):
            found.append(Observation(name, "NOT VALID in the target, as the transform says", wrong=False))
        elif other != state:
            found.append(Observation(name, f"{_WORDS[other]} in the target, {_WORDS[state]} in the source"))
        elif state != (True, True):
            found.append(Observation(name, f"{_WORDS[state]} on both sides", wrong=False))
    for key, state in theirs.items():
        if key not in ours and key[:2] in migrated and state != (True, True):
            found.append(Observation(_name(key), f"{_WORDS[state]}, in the target only", wrong=False))
    return len(ours), found


def _name(key: tuple[str, str, str]) -> str:
    return f"constraint {key[2]} on {key[0]}.{key[1]}"


def _states(
    connection: Connection, schemas: list[str]
) -> Mapping[tuple[str, str, str], tuple[State, frozenset[TableName]]]:
    """Of each constraint its state, and the tables that it is about."""
    statement = sql_file("verification/constraints.sql")
    rows = fetch(connection, statement, {"schemas": schemas})
    return {
        (schema, table, name): (
            (valid, enforced),
            frozenset({(schema, table)} | ({tuple(referenced)} if any(referenced) else set())),
        )
        for schema, table, name, valid, enforced, *referenced in rows
    }
