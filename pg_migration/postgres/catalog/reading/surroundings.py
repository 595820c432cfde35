"""What is around the migrated schemas: extensions, parameters, and what is said of the database."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.model import Notice
from pg_migration.postgres.catalog.objects.kinds import is_unknown
from pg_migration.postgres.catalog.reading.catalog_session import Query, catalog_session
from pg_migration.postgres.catalog.reading.rows import SaidOfDatabaseRow


@dataclass(frozen=True)
class Surroundings:
    """Of a target: the database's name, and statements that say what it is like.

    ``extensions`` are those that it has, and in which schema; ``versions`` are those of each extension that it can
    have, the default first, and ``creatable`` the extensions that its role may make. ``parameters`` are what its
    settings may be of.
    """

    database: str
    statements: frozenset[str]
    extensions: Mapping[str, str]
    versions: Mapping[str, Sequence[str]]
    creatable: frozenset[str]
    parameters: frozenset[str]


def read_surroundings(connection: Connection, further: bool = False) -> Surroundings:
    """Look at the database of a connection.

    Args:
        further: whether to read versions and parameters, which not every migration needs.
    """
    database = str(connection.info.dbname)
    queries = ("available_extensions", "parameters") if further else ()
    with catalog_session(connection, {}) as session:
        found = session.read("installed_extensions", said_of_database(database), *queries)
    return Surroundings(
        database,
        frozenset(row["statement"] for row in found["database"]),
        {row["name"]: row["schema"] for row in found["installed_extensions"]},
        {row["name"]: row["versions"] for row in found.get("available_extensions", ())},
        frozenset(row["name"] for row in found.get("available_extensions", ()) if row["creatable"]),
        frozenset(row["name"] for row in found.get("parameters", ())),
    )


def said_of_database(name: str) -> Query:
    """What is said of a database itself, as statements for the database of this name."""
    return Query("database", {"pg_migration.target_database": name, "quote_all_identifiers": "off"})


def database_notices(
    database: str, rows: Sequence[SaidOfDatabaseRow], target: Surroundings, whole: bool
) -> Iterator[Notice]:
    """What is said of the source's database and not of the target's, and does not come along.

    Args:
        database: the source's name.
        rows: of `said_of_database`, for the target's name.
        whole: whether the whole database is migrated.
    """
    for row in rows:
        unknown = whole and is_unknown(row, target.parameters)
        if row["statement"] in target.statements or (whole and row["stays_because"] is None and not unknown):
            continue
        if row["stays_because"] is not None:
            reason = f"it is not copied: {row['stays_because']}"
        elif not whole:
            reason = f"what is said of the database itself is not copied; the target gets it by {row['statement']}"
        else:
            reason = "the target's PostgreSQL does not take it"
        yield Notice("database", f"{database}, {row['what']}", reason)
