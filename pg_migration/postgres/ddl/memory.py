"""Remember in the target how each server writes one and the same object.

An object that PostgreSQL 15 wrote may read differently on 18 although it is the same one, and a server may write a
second time otherwise than the first: ``EXTRACT('YEAR' FROM d)`` becomes ``EXTRACT(year FROM d)``. After a migration the
target notes both texts (their digests), so that the next run can tell such an object from one that somebody changed.
"""

from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.ddl.identity import by_identity, digest, memory_key
from pg_migration.postgres.session import execute

TABLE = """
CREATE TABLE IF NOT EXISTS _pg_migration.structure (
    identity text PRIMARY KEY,
    source_digest text NOT NULL,
    target_digest text NOT NULL
)
"""
NOTE = """
INSERT INTO _pg_migration.structure (identity, source_digest, target_digest) VALUES %s
    ON CONFLICT (identity) DO UPDATE
   SET source_digest = excluded.source_digest, target_digest = excluded.target_digest
"""


def remember(connection: Connection, source: Catalog, target: Catalog) -> int:
    """Note every object that is in both catalogs and that the two servers write differently.

    To be called when all of the source's objects were made, with the target discovered after that: what is
    noted passes for equal from then on.

    Args:
        connection: to the target, where the schema _pg_migration exists.
        source: what was migrated.
        target: the target after the migration.

    Returns:
        The number of objects noted.
    """
    theirs = by_identity(target)
    notes = [
        (memory_key(key), digest(item), digest(found))
        for key, item in by_identity(source).items()
        if (found := theirs.get(key)) is not None and found.statements != item.statements
    ]
    execute(connection, TABLE)
    if notes:
        with connection.cursor() as cursor:
            execute_values(cursor, NOTE, notes)
    return len(notes)
