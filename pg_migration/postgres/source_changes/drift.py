"""How we know that the source has changed since a table was copied, when the two sides are not the same any more.

Every run writes down what its tables looked like in its snapshot. Rows that were written since carry a transaction that
the snapshot did not see (xmin); rows that were deleted leave a trace only in the statistics, which count deletions, and
TRUNCATE in the file that the table is stored in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.figures import counted
from pg_migration.postgres.hashing.digests import Hashing
from pg_migration.postgres.hashing.part import Part
from pg_migration.postgres.ledger.source_state import UNCOUNTED, SourceState, state_at_copy
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.verification.both_sides import BothSides
from pg_migration.postgres.verification.row_differences import RowDifference, key_text
from pg_migration.postgres.verification.slices import WHOLE

# A row's xmin has 32 bits: it is the latest transaction with these bits that had begun. Those below 3 are none.
_XMIN = "pg_catalog.int8in(pg_catalog.xidout(xmin))"
_NEWER = (
    f"{_XMIN} OPERATOR(pg_catalog.>=) 3 AND NOT pg_catalog.txid_visible_in_snapshot({_XMIN} OPERATOR(pg_catalog.+) "
    f"((({{newest}} OPERATOR(pg_catalog.-) {_XMIN}) OPERATOR(pg_catalog.>>) 32) OPERATOR(pg_catalog.<<) 32), "
    "{snapshot}::pg_catalog.txid_snapshot)"
)


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
        """For people, in few words."""
        at = f"the copy of {self.since:%Y-%m-%d %H:%M:%S} UTC"
        if self.changed:
            return f"the source changed since {at}"
        if self._traces:
            rows = counted(len(self.unexplained), "row")
            return f"the source changed since {at}, but that does not explain {rows} of them{self._unknown}"
        if not self.counted:
            return f"whether the source changed since {at} can't be told{self._unknown}"
        return f"the source did not change since {at}, so the target did"

    @property
    def evidence(self) -> str:
        """How that is known."""
        told = [*self._traces]
        if not self.newer:
            told.append("no row of the source is newer than that snapshot (by xmin)")
        if self.counted and not self.deleted:
            told.append("its statistics count no deleted rows since")
        if self._traces and self.unexplained:
            told.append(f"not explained: {', '.join(difference.row for difference in self.unexplained[:3])}")
        return "; ".join(told)

    @property
    def _unknown(self) -> str:
        told = "; rows that were deleted since are not known, as a standby does not count them"
        return "" if self.counted else told

    @property
    def _traces(self) -> tuple[str, ...]:
        return (
            *([f"{counted(self.newer, 'row')} of the source newer than that snapshot (by xmin)"] if self.newer else []),
            *([f"its statistics count {counted(self.deleted, 'deleted row')} since"] if self.deleted else []),
            *(["it was emptied or rewritten since (its file is another one)"] if self.rewritten else []),
        )


def drift_of(
    sides: BothSides,
    target: Connection,
    table: Table,
    name: TableName,
    rows: Sequence[RowDifference],
    hashing: Hashing,
) -> Drift | None:
    """What happened to the source, as it is now, since a table was copied; None where the target has no record of that.

    Args:
        target: where the bookkeeping is.
        name: the table's in the target.
        rows: some that differ, found by ``hashing``.

    Raises:
        MigrationError, psycopg2.Error: when a side can't be read.
    """
    state = state_at_copy(target, name)
    if state is None:
        return None

    def look(connections: Sequence[Connection]) -> Drift:
        (source,) = connections
        return drift_since(source, sides.part(Side.SOURCE, table, WHOLE, source), state, rows, hashing)

    return sides.on([Side.SOURCE], look)


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
    ((oid, file, _, updates, deletes),) = fetch(
        source, sql_file("source_changes/table_state.sql"), {"tables": [part.table.oid]}
    )
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
