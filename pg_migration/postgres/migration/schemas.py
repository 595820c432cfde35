"""Which schemas are migrated, and what they are called in the target."""

import csv
from collections.abc import Mapping

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.ledger.schema import SCHEMA as LEDGER_SCHEMA

EVERY_SCHEMA = "*"


def split_names(text: str) -> tuple[str, ...]:
    """Names in a comma-separated list; one that holds a comma is written in double quotes.

    Raises:
        ConfigurationError: when a name is empty or comes twice.
    """
    names = tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True), []))
    if not all(names) or len(set(names)) != len(names):
        raise ConfigurationError(f"the list of schemas {text!r} has an empty or a repeated name")
    return names


def map_schemas(source: str, target: str | None, connection: Connection | None = None) -> Mapping[str, str]:
    """Source schema to target schema.

    Args:
        source: comma-separated names, or ``*`` for every user schema of the source.
        target: as many names, in the same order; None or empty keeps the names.
        connection: to the source; needed for ``*`` only.

    Raises:
        ConfigurationError: when the two lists do not fit together.
    """
    if source.strip() == EVERY_SCHEMA:
        if target:
            raise ConfigurationError(
                "schemas can't get other names in the target (PG_MIGRATION_TARGET_SCHEMA) when they are '*'"
            )
        return {name: name for name in _user_schemas(connection)}
    names = split_names(source)
    new_names = split_names(target) if target else names
    if len(names) != len(new_names):
        raise ConfigurationError(
            f"{len(names)} schemas of the source (PG_MIGRATION_SOURCE_SCHEMA) have {len(new_names)} names in the "
            f"target (PG_MIGRATION_TARGET_SCHEMA): they must pair up"
        )
    return dict(zip(names, new_names, strict=True))


def _user_schemas(connection: Connection | None) -> tuple[str, ...]:
    if connection is None:
        raise ConfigurationError("'*' needs a connection to the source")
    rows = fetch(
        connection,
        "SELECT nspname FROM pg_namespace n WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', %s) "
        "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid "
        "AND d.deptype = 'e') ORDER BY nspname",
        (LEDGER_SCHEMA,),
    )
    return tuple(row[0] for row in rows)
