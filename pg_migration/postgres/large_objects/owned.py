"""Whose the large objects of the target are: what the ledger shows as brought from the same source is ours.

Nothing in a large object tells where it came from, so another object that got the OID of one of ours is taken for it.
"""

from collections.abc import Iterable, Iterator, Sequence

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute, execute_rows, fetch, transaction
from pg_migration.postgres.large_objects.state import MAX_BATCH_OBJECTS, Batch, State, as_array
from pg_migration.postgres.ledger.own_rows import Databases, why_not_ours
from pg_migration.postgres.ledger.schema import has

OIDS_PER_QUERY = 10_000

_RUNS = """
SELECT l.run_id, r.source, r.source_server, to_jsonb(r) -> 'identities'
  FROM (SELECT DISTINCT run_id FROM _pg_migration.large_object) AS l
  LEFT JOIN _pg_migration.run r ON r.run_id = l.run_id
"""
_OWNED = """
SELECT concat(array_agg(oid)) FROM (
    SELECT loid AS oid, row_number() OVER (ORDER BY loid) / %(many)s AS part
      FROM _pg_migration.large_object WHERE run_id = ANY (%(runs)s)
) AS numbered GROUP BY part
"""
_STRANGERS = """
SELECT m.oid::bigint FROM pg_largeobject_metadata m
 WHERE NOT EXISTS (SELECT FROM _pg_migration.large_object l WHERE l.loid = m.oid AND l.run_id = ANY (%s))
"""
_EVERY = "SELECT oid::bigint FROM pg_largeobject_metadata"
_THERE = "SELECT oid::bigint FROM pg_largeobject_metadata WHERE oid = ANY (%s::oid[])"
_GONE = """
SELECT w.oid::bigint FROM unnest(%s::oid[]) AS w (oid)
 WHERE NOT EXISTS (SELECT FROM pg_largeobject_metadata m WHERE m.oid = w.oid)
"""
_RECORDED = """
SELECT concat(array_agg(loid ORDER BY loid)), concat(array_agg(size ORDER BY loid)), count(*), sum(size)::bigint
  FROM (SELECT loid, size, (row_number() OVER (ORDER BY loid) - 1) / %(many)s AS part
          FROM _pg_migration.large_object) AS numbered
 GROUP BY part
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
    known = has(target, "large_object")
    others = [oid for (oid,) in (fetch(target, _STRANGERS, (list(runs),)) if known else fetch(target, _EVERY))]
    return sorted(oid for some in _arrays(others) for (oid,) in fetch(source, _THERE, (some,)))


def lost(source: Connection, target: Connection, runs: Sequence[str]) -> list[int]:
    """The OIDs of large objects that some runs have brought, and that the source does not have any more."""
    if not runs:
        return []
    owned = fetch(target, _OWNED, {"many": OIDS_PER_QUERY, "runs": list(runs)})
    return sorted(oid for (some,) in owned for (oid,) in fetch(source, _GONE, (some,)))


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


def recorded_batches(target: Connection) -> list[Batch]:
    """All large objects that migrations have brought, in batches."""
    if not has(target, "large_object"):
        return []
    return [Batch(*row) for row in fetch(target, _RECORDED, {"many": MAX_BATCH_OBJECTS})]


def recorded(target: Connection, oids: str) -> dict[int, State]:
    """What large objects were in the source when they were copied, by OID: size, and hash if that was made."""
    if not has(target, "large_object"):
        return {}
    rows = fetch(target, _COPIED, (oids,))
    return {oid: State(oid, size, None if digest is None else int(digest), "", "", None) for oid, size, digest in rows}


def _arrays(oids: Sequence[int], many: int = OIDS_PER_QUERY) -> Iterator[str]:
    for first in range(0, len(oids), many):
        yield as_array(oids[first : first + many])
