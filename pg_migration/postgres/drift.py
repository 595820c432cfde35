"""How we know that the source has changed since a table was copied, when the two sides are not the same any more.

Every run writes down what its tables looked like in its snapshot. Rows that were written since carry a transaction that
the snapshot did not see (xmin); rows that were deleted leave a trace only in the statistics, which count deletions, and
TRUNCATE in the file that the table is stored in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.comparing import BothSides, Part
from pg_migration.postgres.content import Hashing
from pg_migration.postgres.endpoint import Side
from pg_migration.postgres.locating import RowDifference, key_text
from pg_migration.postgres.session import execute, fetch, transaction
from pg_migration.postgres.slicing import WHOLE
from pg_migration.postgres.sql_files import sql_file

# A row's xmin has 32 bits: it is the latest transaction with these bits that had begun. Those below 3 are none.
_XMIN = "pg_catalog.int8in(pg_catalog.xidout(xmin))"
_NEWER = (
    f"{_XMIN} OPERATOR(pg_catalog.>=) 3 AND NOT pg_catalog.txid_visible_in_snapshot({_XMIN} OPERATOR(pg_catalog.+) "
    f"((({{newest}} OPERATOR(pg_catalog.-) {_XMIN}) OPERATOR(pg_catalog.>>) 32) OPERATOR(pg_catalog.<<) 32), "
    "{snapshot}::pg_catalog.txid_snapshot)"
)


# A standby's snapshot does not list the transactions that were under way (PostgreSQL keeps them elsewhere in recovery),
# so all from the oldest of them on count as newer, although rows of some may have been copied.
_SNAPSHOT = """
SELECT CASE WHEN standby THEN format('%1$s:%1$s:', txid_snapshot_xmin(seen)) ELSE format('%s', seen) END, standby
FROM (SELECT txid_current_snapshot() AS seen, pg_is_in_recovery() AS standby) AS now
"""

UNCOUNTED = -1


@dataclass(frozen=True)
class SourceState:
    """What a table of the source looked like in the snapshot of the run that copied it.

    The counts are `UNCOUNTED` where the source was a standby.
    """

    snapshot_at: datetime
    relation: int
    file: int | None
    transactions: str
    inserted: int
    updated: int
    deleted: int


@dataclass(frozen=True)
class Drift:
    """What happened to a table of the source since its copy.

    ``newer`` counts the rows that are there now and were written since; ``deleted`` is what the statistics count, if
    they are ``counted``: those of a standby are not. ``unexplained`` are differences that none of it accounts for.
    """

    since: datetime
    newer: int
    deleted: int
    rewritten: bool
    unexplained: tuple[RowDifference, ...]
    counted: bool

    @property
    def changed(self) -> bool:
        """Whether the source has changed, and nothing else is wrong."""
        return not self.unexplained and bool(self.newer or self.deleted or self.rewritten)

    def __str__(self) -> str:
        """For people: the verdict, and how it is known."""
        at = f"{self.since:%Y-%m-%d %H:%M:%S} UTC"
        traces = [
            *([f"{self.newer:,} rows of it are newer than that snapshot (by xmin)"] if self.newer else []),
            *([f"its statistics count {self.deleted:,} deleted rows since"] if self.deleted else []),
            *(["it was emptied or rewritten since (its file is another one)"] if self.rewritten else []),
        ]
        if self.changed:
            return f"the source changed since the copy of {at}: {'; '.join(traces)}"
        uncounted = (
            "" if self.counted else "; rows that were deleted since are not known, as a standby does not count them"
        )
        if not traces and not self.counted:
            return (
                f"whether the source changed since the copy of {at} can't be told: none of its rows is newer than that "
                f"snapshot (by xmin){uncounted}"
            )
        if not traces:
            return (
                f"rows differ although the source did not change since the copy of {at}: none of its rows is newer "
                f"than that snapshot (by xmin), and its statistics count no deleted rows since"
            )
        examples = ", ".join(difference.row for difference in self.unexplained[:3])
        return (
            f"the source changed since the copy of {at} ({'; '.join(traces)}), but that does not explain "
            f"{len(self.unexplained)} of the differing rows: {examples}{uncounted}"
        )


def record(source: Connection, target: Connection, run_id: str, tables: Mapping[Table, TableName]) -> None:
    """Write down what tables look like in a run's snapshot.

    Args:
        source: a connection that sees the snapshot.
        target: where the bookkeeping is.
        tables: with their names in the target.
    """
    if not tables:
        return
    if fetch(target, "SELECT to_regclass('_pg_migration.source_state') IS NULL") == [(True,)]:
        execute(target, sql_file("drift.sql"))
    ((transactions, standby),) = fetch(source, _SNAPSHOT)
    names = {table.oid: name for table, name in tables.items()}
    rows = [
        (run_id, *names[oid], oid, file, transactions, *([UNCOUNTED] * len(counters) if standby else counters))
        for oid, file, *counters in fetch(source, sql_file("drift_record.sql"), {"tables": list(names)})
    ]
    with transaction(target):
        execute(
            target,
            "DELETE FROM _pg_migration.source_state s WHERE run_id = %s "
            "OR NOT EXISTS (SELECT FROM _pg_migration.chunk c WHERE "
            "(c.run_id, c.schema_name, c.table_name) = (s.run_id, s.schema_name, s.table_name))",
            (run_id,),
        )
        with target.cursor() as cursor:
            execute_values(cursor, "INSERT INTO _pg_migration.source_state VALUES %s", rows, page_size=1000)


def state_at_copy(target: Connection, name: TableName) -> SourceState | None:
    """What the source's table looked like when the rows that the target has were copied, the earliest of them first.

    None when the target's bookkeeping does not know.
    """
    if fetch(target, "SELECT to_regclass('_pg_migration.source_state') IS NULL") == [(True,)]:
        return None
    rows = fetch(
        target,
        "SELECT r.snapshot_at, s.relation, s.file, s.transactions, s.inserted, s.updated, s.deleted "
        "FROM _pg_migration.source_state s JOIN _pg_migration.run r USING (run_id) "
        "WHERE (s.schema_name, s.table_name) = (%s, %s) AND EXISTS (SELECT FROM _pg_migration.chunk c "
        "WHERE (c.run_id, c.schema_name, c.table_name) = (s.run_id, s.schema_name, s.table_name)) "
        "ORDER BY r.snapshot_at LIMIT 1",
        name,
    )
    return SourceState(*rows[0]) if rows else None


def describe_drift(
    sides: BothSides,
    target: Connection,
    table: Table,
    name: TableName,
    rows: Sequence[RowDifference],
    hashing: Hashing,
) -> str:
    """Whether the source, as it is now, has changed since a table was copied, in words.

    Args:
        target: where the bookkeeping is.
        name: the table's in the target.
        rows: some that differ, found by ``hashing``.

    Raises:
        MigrationError, psycopg2.Error: when a side can't be read.
    """
    state = state_at_copy(target, name)
    if state is None:
        return "whether the source changed is not known: the target has no record of what it was when it was copied"
    part = sides.part(Side.SOURCE, table, WHOLE)
    return str(sides.on([Side.SOURCE], lambda ends: drift_since(ends[0], part, state, rows, hashing)))


def drift_since(
    source: Connection, part: Part, state: SourceState, rows: Sequence[RowDifference], hashing: Hashing
) -> Drift:
    """What happened to a table of the source since its copy; reads the whole table.

    Args:
        part: all of the table.
        state: at the time of the copy.
        rows: some that differ between the two sides.
        hashing: as they were found with.
    """
    ((oid, file, _, updates, deletes),) = fetch(source, sql_file("drift_record.sql"), {"tables": [part.table.oid]})
    ((standby,),) = fetch(source, "SELECT pg_is_in_recovery()")
    counted = not standby and state.deleted != UNCOUNTED
    deleted, updated = (_since(state.deleted, deletes), _since(state.updated, updates)) if counted else (0, 0)
    rewritten = (oid, file) != (state.relation, state.file)
    newer, found = _newer_rows(source, part, state, [d.row for d in rows if d.kind != "extra"], hashing)
    explained = {"extra": bool(deleted or updated or rewritten)}
    unexplained = tuple(d for d in rows if not explained.get(d.kind, d.row in found))
    return Drift(state.snapshot_at, newer, deleted, rewritten, unexplained, counted)


def _since(recorded: int, now: int) -> int:
    """How far a counter has come; one that stands lower than before was reset meanwhile."""
    return now - recorded if now >= recorded else now


def _newer_rows(
    source: Connection, part: Part, state: SourceState, keys: Sequence[str], hashing: Hashing
) -> tuple[int, set[str]]:
    """How many rows the state's snapshot did not see, and which of some keys are among them."""
    ((newest,),) = fetch(source, "SELECT txid_snapshot_xmax(txid_current_snapshot())")
    predicate = sql.SQL(_NEWER).format(newest=sql.Literal(newest), snapshot=sql.Literal(state.transactions))
    statement = sql.SQL(
        "SELECT pg_catalog.count(*), pg_catalog.array_agg(k) "
        "FILTER (WHERE k OPERATOR(pg_catalog.=) ANY ({}::pg_catalog.text[])) FROM (SELECT {} AS k {} OFFSET 0) AS newer"
    ).format(sql.Literal(list(keys)), key_text(source, part, hashing), replace(part, predicate=predicate).rows)
    ((count, found),) = part.fetch(source, statement)
    return count, set(found or ())
