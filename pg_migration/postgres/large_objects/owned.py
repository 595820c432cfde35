"""Whose the large objects of the target are: what the ledger shows as brought from the same source is ours.

Nothing in a large object tells where it came from, so another object that got the OID of one of ours is taken for it.
"""

from collections.abc import Iterable, Iterator, Sequence

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute, execute_rows, fetch, transaction
from pg_migration.postgres.large_objects.state import MAX_BATCH_OBJECTS, PAGE_OBJECTS, Batch, State, as_array
from pg_migration.postgres.ledger.own_rows import Databases, why_not_ours
from pg_migration.postgres.ledger.schema import has

OIDS_PER_QUERY = 10_000

_RUNS = """
SELECT l.run_id, r.source, r.source_server, to_jsonb(r) -> 'identities'
  FROM (SELECT DISTINCT run_id FROM _pg_migration.large_object) AS l
  LEFT JOIN _pg_migration.run r ON r.run_id = l.run_id
"""
# A page of OIDs as an array, how many, and the last.
_OWNED = """
SELECT concat(array_agg(o.oid)), count(*), max(o.oid)::bigint
  FROM (SELECT l.loid AS oid FROM _pg_migration.large_object l
         WHERE l.run_id = ANY (%(runs)s) AND l.loid > %(after)s::oid ORDER BY l.loid LIMIT %(many)s) AS o
"""
_STRANGERS = """
SELECT concat(array_agg(o.oid)), count(*), max(o.oid)::bigint
  FROM (SELECT m.oid FROM pg_largeobject_metadata m
         WHERE m.oid > %(after)s::oid
           AND NOT EXISTS (SELECT FROM _pg_migration.large_object l
                            WHERE l.loid = m.oid AND l.run_id = ANY (%(runs)s))
         ORDER BY m.oid LIMIT %(many)s) AS o
"""
_EVERY = """
SELECT concat(array_agg(o.oid)), count(*), max(o.oid)::bigint
  FROM (SELECT m.oid FROM pg_largeobject_metadata m WHERE m.oid > %(after)s::oid ORDER BY m.oid LIMIT %(many)s) AS o
"""
_THERE = "SELECT oid::bigint FROM pg_largeobject_metadata WHERE oid = ANY (%s::oid[])"
_GONE = """
SELECT w.oid::bigint FROM unnest(%s::oid[]) AS w (oid)
 WHERE NOT EXISTS (SELECT FROM pg_largeobject_metadata m WHERE m.oid = w.oid)
"""
_RECORDED = """
SELECT concat(array_agg(loid ORDER BY loid)), concat(array_agg(size ORDER BY loid)), count(*), sum(size)::bigint,
       max(loid)::bigint
  FROM (SELECT loid, size, (row_number() OVER (ORDER BY loid) - 1) / %(many)s AS part
          FROM (SELECT loid, size FROM _pg_migration.large_object
                 WHERE loid > %(after)s::oid ORDER BY loid LIMIT %(page)s) AS page) AS numbered
 GROUP BY part
 ORDER BY part
"""
_COPIED = "SELECT loid::bigint, size, digest FROM _pg_migration.large_object WHERE loid = ANY (%s::oid[])"
_UNLINK = "SELECT count(lo_unlink(oid)) FROM pg_largeobject_metadata WHERE oid = ANY (%s::oid[])"
_FORGET = "DELETE FROM _pg_migration.large_object WHERE loid = ANY (%s::oid[])"
_RECORD = """
INSERT INTO _pg_migration.large_object (loid, run_id, size, digest) VALUES %s
ON CONFLICT (loid) DO UPDATE SET run_id = excluded.run_id, size = excluded.size, digest = excluded.digest
"""


def our_runs(target: Connection, ends: Databases) -> list[str]:
    """The runs that brought large objects from the source to this very target."""
    if not has(target, "large_object"):
        return []
    return [run for run, *loaded in fetch(target, _RUNS) if why_not_ours(ends, [run], *loaded) is None]


def has_brought_large_objects(target: Connection) -> bool:
    """Whether migrations have brought any to a target."""
    return has(target, "large_object") and bool(fetch(target, "SELECT FROM _pg_migration.large_object LIMIT 1"))


def taken(source: Connection, target: Connection, runs: Sequence[str]) -> list[int]:
    """The OIDs of large objects of the source that the target has for others than some runs have brought."""
    query = _STRANGERS if has(target, "large_object") else _EVERY
    return sorted(oid for some in _pages(target, query, runs) for (oid,) in fetch(source, _THERE, (some,)))


def lost(source: Connection, target: Connection, runs: Sequence[str]) -> list[int]:
    """The OIDs of large objects that some runs have brought, and that the source does not have any more."""
    if not runs:
        return []
    return sorted(oid for some in _pages(target, _OWNED, runs) for (oid,) in fetch(source, _GONE, (some,)))


def brought(target: Connection, runs: Sequence[str]) -> list[int]:
    """The OIDs of the large objects that some runs have brought, as far as they are there."""
    if not runs:
        return []
    return sorted(oid for some in _pages(target, _OWNED, runs) for (oid,) in fetch(target, _THERE, (some,)))


def _pages(target: Connection, query: str, runs: Sequence[str]) -> Iterator[str]:
    """OIDs as arrays, each of so many that follow one another."""
    many, after = OIDS_PER_QUERY, 0
    while many >= OIDS_PER_QUERY:
        parameters = {"runs": list(runs), "after": str(after), "many": OIDS_PER_QUERY}
        ((oids, many, last),) = fetch(target, query, parameters)
        if many:
            yield oids
            after = last


def drop(target: Connection, oids: Sequence[int], at_once: int = MAX_BATCH_OBJECTS) -> None:
    """Drop large objects of the target, and forget them.

    Args:
        at_once: at most so many in a transaction, as each takes a lock.
    """
    for some in _arrays(oids, at_once):
        with transaction(target):
            fetch(target, _UNLINK, (some,))
            execute(target, _FORGET, (some,))


def unlink(target: Connection, oids: Iterable[int]) -> None:
    """Drop large objects in the transaction that is open, in whose place others come."""
    execute(target, _UNLINK, (as_array(oids),))


def record(target: Connection, run_id: str, states: Iterable[State]) -> None:
    """Write down what a run has brought, in the transaction that is open."""
    rows = [(state.oid, run_id, state.size, state.digest) for state in states]
    execute_rows(target, _RECORD, rows)


def recorded_batches(target: Connection, after: int) -> list[Batch]:
    """The large objects that migrations have brought, in batches: the page that comes after an OID."""
    if not has(target, "large_object"):
        return []
    parameters = {"many": MAX_BATCH_OBJECTS, "after": str(after), "page": PAGE_OBJECTS}
    return [Batch(*row) for row in fetch(target, _RECORDED, parameters)]


def recorded(target: Connection, oids: str) -> dict[int, State]:
    """What large objects were in the source when they were copied, by OID: size, and hash if that was made."""
    if not has(target, "large_object"):
        return {}
    rows = fetch(target, _COPIED, (oids,))
    return {oid: State(oid, size, None if digest is None else int(digest), "", "", None) for oid, size, digest in rows}


def _arrays(oids: Sequence[int], many: int) -> Iterator[str]:
    for first in range(0, len(oids), many):
        yield as_array(oids[first : first + many])
