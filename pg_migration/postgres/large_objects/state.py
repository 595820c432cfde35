"""What large objects are on one side, in batches that fit into memory."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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
PAGE_OBJECTS = 100_000
"""Of so many objects the batches are known at once: a database may have hundreds of millions."""


@dataclass(frozen=True)
class Batch:
    """Some large objects: their OIDs and sizes as texts of arrays, how many objects and bytes, and the last OID."""

    oids: str
    sizes: str
    objects: int
    bytes: int
    last: int


@dataclass(frozen=True)
class State:
    """What a large object is. ``digest`` is None where it was not hashed; ``acl`` is the text of its privileges.

    ``labels`` are its security labels, each with its provider.
    """

    oid: int
    size: int
    digest: int | None
    owner: str
    acl: str
    comment: str | None
    labels: tuple[tuple[str, str], ...] = ()


def pages(read: Callable[[int], list[Batch]]) -> Iterator[list[Batch]]:
    """All batches, those of so many objects at once.

    Args:
        read: the batches of the first `PAGE_OBJECTS` objects after an OID.
    """
    after, objects = 0, PAGE_OBJECTS
    while objects >= PAGE_OBJECTS:
        page = read(after)
        if page:
            yield page
            after = page[-1].last
        objects = sum(batch.objects for batch in page)


def read_batches(
    connection: Connection, columns: Sequence[ReferringColumn] | None, objects: int, after: int
) -> list[Batch]:
    """The large objects that some columns refer to, or of the database (None), in batches, by OID: a page of them.

    Args:
        objects: at most so many in a batch.
        after: the OID that the page comes after.
    """
    later = sql.SQL("m.oid > {}::oid AND {}").format(sql.Literal(str(after)), chosen(columns))
    query = sql.SQL(sql_file("large_objects/batches.sql")).format(
        objects=sql.Literal(objects), bytes=sql.Literal(BATCH_BYTES), sizes=_sizes(later, sql.Literal(PAGE_OBJECTS))
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
    parameters = {
        "sizes": _sizes(wanted, sql.SQL("ALL")),
        "part": sql.Literal(PART_BYTES),
        "hashed": sql.SQL("true" if hashed else "false"),
    }
    query = sql.SQL(sql_file("large_objects/states.sql")).format(**parameters)
    rows = fetch(connection, query)
    return {
        oid: State(oid, size, None if digest is None else int(digest), owner, acl, comment, tuple(map(tuple, labels)))
        for oid, size, digest, owner, acl, comment, labels in rows
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


def _sizes(condition: sql.Composable, limit: sql.Composable) -> sql.Composable:
    return sql.SQL(sql_file("large_objects/sizes.sql")).format(chosen=condition, limit=limit)
