"""What large objects are on one side, in batches that fit into memory."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import ReferringColumn
from pg_migration.postgres.catalog.objects.large_objects import chosen
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.sql_files import sql_file

PART_BYTES = 1 << 20
"""What is read and written at once of an object."""

BATCH_BYTES = 16 << 20
MAX_BATCH_OBJECTS = 500


@dataclass(frozen=True)
class Batch:
    """Some large objects of the source: their OIDs and sizes as texts of arrays, and how many objects and bytes."""

    oids: str
    sizes: str
    objects: int
    bytes: int


@dataclass(frozen=True)
class State:
    """What a large object is. ``digest`` is None where it was not hashed; ``acl`` is the text of its privileges."""

    oid: int
    size: int
    digest: int | None
    owner: str
    acl: str
    comment: str | None


def read_batches(
    connection: Connection, columns: Sequence[ReferringColumn] | None, objects: int = MAX_BATCH_OBJECTS
) -> list[Batch]:
    """All large objects that some columns refer to, or of the database (None), in batches, by OID.

    Args:
        objects: at most so many in a batch.
    """
    query = sql.SQL(sql_file("large_objects/batches.sql")).format(
        objects=sql.Literal(objects), bytes=sql.Literal(BATCH_BYTES), sizes=_sizes(chosen(columns))
    )
    return [Batch(*row) for row in fetch(connection, query)]


def read_states(connection: Connection, oids: str, hashed: bool) -> dict[int, State]:
    """What some large objects are, by OID; those that are not there are left out.

    Args:
        oids: the text of an array.
        hashed: whether to read and hash all of their bytes.

    Raises:
        psycopg2.Error: the role may not read one.
    """
    wanted = sql.SQL("m.oid = ANY ({}::oid[])").format(sql.Literal(oids))
    query = sql.SQL(sql_file("large_objects/states.sql")).format(
        sizes=_sizes(wanted), part=sql.Literal(PART_BYTES), hashed=sql.SQL("true" if hashed else "false")
    )
    rows = fetch(connection, query)
    return {
        oid: State(oid, size, None if digest is None else int(digest), owner, acl, comment)
        for oid, size, digest, owner, acl, comment in rows
    }


def parts_of(states: Collection[State]) -> sql.Composable:
    """The query for the bytes of some large objects in parts."""
    return sql.SQL(sql_file("large_objects/parts.sql")).format(
        part=sql.Literal(PART_BYTES),
        oids=sql.Literal(as_array(state.oid for state in states)),
        lengths=sql.Literal(as_array(state.size for state in states)),
    )


def as_array(numbers: Iterable[int]) -> str:
    """The text of an array of numbers."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _sizes(condition: sql.Composable) -> sql.Composable:
    return sql.SQL(sql_file("large_objects/sizes.sql")).format(chosen=condition)
