"""The plan of a run, kept for the run that goes on after it."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.statements import Question, execute, execute_rows, fetch

Cut = Sequence[tuple[str, list[str]]]
"""The ranges of a table by their keys, each with the predicates of its chunks in order."""


@dataclass(frozen=True)
class StoredPlan:
    """How a run cut one table, and what the table looked like on both sides then."""

    table: TableName
    source_relation: int
    source_file: int
    source_structure: str
    target_structure: str
    settings: Mapping[str, object]
    ranges: Cut


@dataclass(frozen=True)
class CommittedChunk:
    """A chunk that is in its table. ``target_xid`` wrote it, that many transactions of the target ago."""

    range_key: str
    chunk: int
    predicate: str
    rows: int
    bytes: int
    target_xid: int
    target_age: int
    copied_by: str


@dataclass(frozen=True)
class EarlierLoad:
    """A table with chunks of an earlier run, in the relation that the target has under this name now."""

    plan: StoredPlan
    run_id: str
    source_server: str
    snapshot_xmin: int
    chunks: tuple[CommittedChunk, ...]


def store_plans(connection: Connection, run_id: str, plans: Collection[StoredPlan]) -> None:
    """Write down how a run cuts its tables, in one statement."""
    execute_rows(
        connection,
        "INSERT INTO _pg_migration.plan (schema_name, table_name, run_id, source_relation, source_file, "
        "source_structure, target_structure, settings, ranges) VALUES %s "
        "ON CONFLICT (schema_name, table_name) DO UPDATE SET run_id = excluded.run_id, "
        "source_relation = excluded.source_relation, source_file = excluded.source_file, "
        "source_structure = excluded.source_structure, target_structure = excluded.target_structure, "
        "settings = excluded.settings, ranges = excluded.ranges",
        [
            (
                *(*plan.table, run_id, plan.source_relation, plan.source_file),
                *(plan.source_structure, plan.target_structure, json.dumps(plan.settings), json.dumps(plan.ranges)),
            )
            for plan in plans
        ],
    )


def forget_plans(connection: Connection, tables: Collection[TableName]) -> None:
    """Forget how tables were cut, so that no later run goes on with them."""
    execute(
        connection,
        "DELETE FROM _pg_migration.plan "
        "WHERE (schema_name, table_name) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
        ([t[0] for t in tables], [t[1] for t in tables]),
    )


def interrupted_question(run_id: str) -> Question:
    """What `interrupted` asks."""
    return _EARLIER, {"run": run_id, "succeeded": False}


def interrupted(connection: Connection, run_id: str) -> Mapping[TableName, EarlierLoad]:
    """The tables whose every chunk is of the run that planned them, which is not this one and did not succeed."""
    return _earlier(connection, interrupted_question(run_id))


def succeeded(connection: Connection, run_id: str) -> Mapping[TableName, EarlierLoad]:
    """The tables whose every chunk is of the run that planned them, which is not this one and has succeeded."""
    return _earlier(connection, (_EARLIER, {"run": run_id, "succeeded": True}))


def _earlier(connection: Connection, question: Question) -> Mapping[TableName, EarlierLoad]:
    found = {}
    for schema, table, run, server, xmin, *plan, chunks in fetch(connection, *question):
        stored = StoredPlan((schema, table), *plan)
        committed = tuple(CommittedChunk(*chunk) for chunk in chunks)
        found[schema, table] = EarlierLoad(stored, run, server, xmin, committed)
    return found


_EARLIER = """
SELECT p.schema_name, p.table_name, r.run_id, r.source_server, r.snapshot_xmin, p.source_relation::bigint,
       p.source_file::bigint,
       p.source_structure, p.target_structure, p.settings, p.ranges, c.chunks
FROM _pg_migration.plan p
JOIN _pg_migration.run r
  ON r.run_id = p.run_id AND r.snapshot_xmin IS NOT NULL AND (r.succeeded IS TRUE) = %(succeeded)s
JOIN LATERAL (
    SELECT json_agg(json_build_array(
               c.range_key, c.chunk, c.predicate, c.row_count, c.byte_count, c.target_xid,
               txid_snapshot_xmax(txid_current_snapshot()) - c.target_xid, c.copied_by
           ) ORDER BY c.finished_at) AS chunks
    FROM _pg_migration.chunk c
    WHERE (c.schema_name, c.table_name) = (p.schema_name, p.table_name)
    HAVING bool_and(c.run_id = p.run_id AND c.target_xid IS NOT NULL
                    AND c.relation = to_regclass(format('%%I.%%I', p.schema_name, p.table_name)))
) AS c ON true
WHERE p.run_id <> %(run)s
"""
