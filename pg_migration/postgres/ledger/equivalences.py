"""Remember in the target how each server writes one and the same object.

An object that PostgreSQL 15 wrote may read differently on 18 although it is the same one, and a server may write a
second time otherwise than the first: ``EXTRACT('YEAR' FROM d)`` becomes ``EXTRACT(year FROM d)``. Whoever makes an
object notes both texts (their digests), so that the next run can tell such an object from one that somebody changed.
"""

from collections.abc import Iterable, Mapping

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog, SchemaObject
from pg_migration.postgres.catalog.identity import Identity, by_identity, digest, memory_key, stored_expressions
from pg_migration.postgres.connection.statements import execute_rows

NOTE = """
INSERT INTO _pg_migration.structure (identity, source_digest, target_digest) VALUES %s
    ON CONFLICT (identity) DO UPDATE
   SET source_digest = excluded.source_digest, target_digest = excluded.target_digest
"""


def remember(
    connection: Connection, source: Catalog, target: Catalog, made: Iterable[SchemaObject]
) -> dict[str, tuple[str, str]]:
    """Note every object that was just made and that the two servers write differently.

    What is noted passes for equal from then on, so nothing else is: an object of the same name may be somebody's own.

    Args:
        connection: to the target, where the ledger is.
        source: what was migrated.
        target: the target, discovered after the objects were made.
        made: objects of the source, or alterations of those, that were made without a failure.

    Returns:
        The digests of both texts that were noted, as `Catalog.remembered` has them.
    """
    among = _among(source, made)
    ours = {key: item.statements for key, item in among.items()}
    theirs = {key: item.statements for key, item in by_identity(target).items()}
    for catalog, texts, kept in (
        (source, ours, {item.table for item in among.values() if item.kind == "table"}),
        (target, theirs, target.tables_by_name.keys()),
    ):
        tables = (table for table in catalog.tables if table.key in kept)
        texts |= {key: (text,) for table in tables for key, text in stored_expressions(catalog, table).items()}
    notes = [
        (memory_key(key), digest(text), digest(theirs[key]))
        for key, text in ours.items()
        if key in theirs and theirs[key] != text
    ]
    execute_rows(connection, NOTE, notes)
    return {key: (ours, theirs) for key, ours, theirs in notes}


def _among(source: Catalog, made: Iterable[SchemaObject]) -> Mapping[Identity, SchemaObject]:
    """Of a catalog's objects those that were made or altered, and what the server has made with them.

    CREATE TABLE makes the parts of a table; a check of a parent makes that of its partitions.
    """
    items = list(made)
    addresses = {item.address._replace(aspect="") if item.kind == "settings" else item.address for item in items}
    tables = {(item.schema, item.name) for item in items if item.kind == "table"}
    checks = {(item.table, item.name) for item in items if item.kind == "check"}
    parts = {part.address for part in source.parts}

    def came_along(item: SchemaObject) -> bool:
        table = source.tables_by_name.get(item.table) if item.table else None
        return table is not None and (
            (table.key in tables and item.address in parts)
            or (item.kind == "check" and any((parent, item.name) in checks for parent in table.parents))
        )

    return {key: item for key, item in by_identity(source).items() if item.address in addresses or came_along(item)}
