"""Tables that the source did not change since the live copy was made: its rows are put into the next one.

Two things are shown of each, and nothing of its rows is sent by the source. There the statistics have counted no
write, and no row version is newer than the snapshot that the live copy is of, nor is one missing, as for a run that
goes on after a failure (`transfer.resume`). In the target the rows that were put into the next copy have the digest
that the ledger has of the source's: whatever somebody has changed in the live copy is not carried on.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.errors import server_message
from pg_migration.postgres.hashing.copied_rows import HashedChunks, hashed_chunks
from pg_migration.postgres.hashing.digests import Digest, Hashing
from pg_migration.postgres.hashing.untouched import Counts, Written, read_counts
from pg_migration.postgres.ledger.plans import EarlierLoad, succeeded
from pg_migration.postgres.ledger.source_state import counted_writes
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration.postgres.transfer.events import RowsHashed
from pg_migration.postgres.transfer.load_context import LoadContext
from pg_migration.postgres.transfer.resume import Resumption, as_it_was_cut
from pg_migration.postgres.transfer.worker import Worker

ALTERED = "rows of the live copy are not those that were copied: others have changed them"


@dataclass(frozen=True)
class Carried:
    """What became of the tables whose rows were in the live copy, by their names in the source.

    ``resumption`` has those that are carried; ``hashed`` their digests, less those of tables with generated columns, of
    which the ledger has none; ``loaded`` tells why others are read of the source.
    """

    resumption: Resumption
    hashed: Mapping[TableName, RowsHashed]
    loaded: Mapping[TableName, str]


def carry_unchanged(
    context: LoadContext, source: Connection, target: Connection, found: Resumption, live: Mapping[str, str]
) -> Carried:
    """Put the rows of the live copy into the empty tables of the next one, where they are what the source has.

    Args:
        context: of the run, which works in the next copy.
        source: a connection that sees the run's snapshot, whose tables are protected.
        target: where the bookkeeping is.
        found: what becomes of each table otherwise.
        live: the schemas of the live copy, by those of the source.

    Raises:
        ConnectionFailed, SnapshotLost, LockLost: when no table can go on.
    """
    tables = {plan.name: (live[plan.table.schema], plan.table.name) for plan in found.plans if plan.table.kind == "r"}
    there = succeeded(target, context.run_id)
    loads = {name: there[place] for name, place in tables.items() if place in there and name not in found.continued}
    plans = {plan.name: plan for plan in found.plans if plan.name in loads}
    digests = _digests(context, target, loads, plans)
    refused = dict.fromkeys(_written(context, target, loads, plans), "the source's statistics have counted writes")
    refused |= dict.fromkeys(loads.keys() - digests.keys(), "the ledger has no digest of all its rows to prove it by")
    shown = found.carriable(context, source, loads, refused)
    reasons = {name: reason for name, reason in shown.items() if reason is not None}
    unchanged = [name for name, reason in shown.items() if reason is None]
    counts = read_counts(target, [context.target_name(plans[name].table) for name in unchanged])
    kept, hashed = dict[TableName, EarlierLoad](), dict[TableName, RowsHashed]()
    for name, done in _carried(context, {name: plans[name] for name in unchanged}, loads, digests, counts):
        if isinstance(done, str):
            reasons[name] = done
            continue
        kept[name] = loads[name]
        if not plans[name].table.computed_columns:
            hashed[name] = done
    return Carried(found.with_carried(kept), hashed, reasons)


def _digests(
    context: LoadContext,
    target: Connection,
    loads: Mapping[TableName, EarlierLoad],
    plans: Mapping[TableName, TablePlan],
) -> Mapping[TableName, HashedChunks]:
    """The digests of tables whose every row has one, as this run makes it."""
    by_place = {chunks.table: chunks for chunks in hashed_chunks(target, [load.plan.table for load in loads.values()])}
    every = Hashing()
    return {
        name: chunks
        for name, load in loads.items()
        if (chunks := by_place.get(load.plan.table)) is not None
        and chunks.form == every.form(plans[name].table, context.same_encoding)
    }


def _written(
    context: LoadContext,
    target: Connection,
    loads: Mapping[TableName, EarlierLoad],
    plans: Mapping[TableName, TablePlan],
) -> list[TableName]:
    """The tables that the source's statistics have counted writes to."""
    names = {name: context.target_name(plans[name].table) for name in loads}
    pairs = [(names[name], load.run_id, load.plan.table) for name, load in loads.items()]
    written = counted_writes(target, context.run_id, pairs) if pairs else set()
    return [name for name, place in names.items() if place in written]


_Done = RowsHashed | str


def _carried(
    context: LoadContext,
    plans: Mapping[TableName, TablePlan],
    loads: Mapping[TableName, EarlierLoad],
    digests: Mapping[TableName, HashedChunks],
    counts: Mapping[TableName, Counts],
) -> list[tuple[TableName, _Done]]:
    """Carry tables, several at once, the largest first: each with its digests, or why it could not be."""
    waiting = list(plans.values())[::-1]
    stopped = context.connections.stopped()

    def work(tell: Callable[[tuple[TableName, _Done]], None]) -> None:
        worker = Worker(context)
        try:
            while not stopped.is_set() and (plan := _taken(waiting)) is not None:
                name = plan.name
                before = counts.get(context.target_name(plan.table))
                tell((name, _carry(worker, plan, loads[name], digests[name], before)))
            worker.tell_counts()
            worker.keep_target()
        finally:
            worker.abandon()

    workers = [work] * min(context.workers, len(waiting))
    events = context.connections.pool("carry").events(workers, stopped.set)
    return [event for event in events if event is not None]


def _taken(waiting: list[TablePlan]) -> TablePlan | None:
    try:
        return waiting.pop()
    except IndexError:
        return None


def _carry(worker: Worker, plan: TablePlan, load: EarlierLoad, chunks: HashedChunks, before: Counts | None) -> _Done:
    expected, begun = Digest.of(chunks.chunks.values()), time.monotonic()
    try:
        file = worker.carry(plan, load.plan.table, expected, Hashing())
    except psycopg2.errors.QueryCanceled:
        raise  # an interrupt of the run, or an administrator's
    except psycopg2.Error as error:
        worker.abandon()
        return f"the rows of the live copy can't be carried ({server_message(error)})"
    if file is None:
        return ALTERED
    seconds = time.monotonic() - begun
    cut = as_it_was_cut(plan, load)
    written = Written(before, file, expected.rows) if before is not None else None
    return RowsHashed(cut, chunks.chunks, replace(expected, computed=()), written, seconds)
