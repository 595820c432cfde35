"""Ranges of large tables copied by several runs at once, on as many machines, from one snapshot.

One run owns it all: the snapshot, the target's lock, the plan, and everything before and after the rows. The others
borrow: each reads the snapshot that the owner exported, copies the ranges it was given into tables that the owner has
emptied, and writes its chunks into the ledger as the owner's, cut as the owner has planned. So the ledger looks as if
one run had done it, and what one of them can't finish is continued by the next run.

Whoever takes the target's lock after an owner was lost ends the sessions of the owner's run, and those of its borrowers
have the same name. A borrower makes sure after every new connection that the owner still has the lock.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.ledger.lock import borrower_session
from pg_migration.postgres.planning.key_ranges import parse
from pg_migration.postgres.planning.plan import Chunk, RangePlan, TablePlan
from pg_migration.postgres.transfer.events import WorkDone
from pg_migration.postgres.transfer.load_context import LoadContext
from pg_migration.postgres.transfer.resume import Continued
from pg_migration.postgres.transfer.worker import Worker


def is_worth_spreading(plan: TablePlan) -> bool:
    """Whether a table has ranges that can be given away; where its rows go through another table it has not."""
    return plan.table.kind == "r" and not plan.table.through_root and len(plan.ranges) > 1


def divide(ranges: Mapping[str, int], shares: int) -> list[tuple[str, ...]]:
    """Neighbouring ranges in at most so many groups, of about as many chunks each.

    Args:
        ranges: the number of chunks of each range, by key, in the order that neighbours are told by.
    """
    total, seen = sum(ranges.values()), 0
    groups: list[list[str]] = [[] for _ in range(min(shares, len(ranges)))]
    for key, chunks in ranges.items():
        # The group that the middle of the range falls into.
        groups[(2 * seen + chunks) * len(groups) // (2 * total)].append(key)
        seen += chunks
    return [tuple(group) for group in groups if group]


def prepare(context: LoadContext, plans: Collection[TablePlan], continued: Collection[TableName]) -> None:
    """Empty the tables that are spread, but those that are continued."""
    worker = Worker(context)
    try:
        for plan in plans:
            if plan.name not in continued:
                worker.empty(plan.table)
    finally:
        worker.abandon()


def share_of(connection: Connection, context: LoadContext, plan: TablePlan, keys: Sequence[str]) -> TablePlan:
    """Some ranges of a table, cut into the chunks that the owner has planned; ``context`` is that of a borrower.

    Raises:
        ConfigurationError: the owner has planned no such range.
    """
    name, label = context.target_name(plan.table), ".".join(context.target_name(plan.table))
    found = fetch(
        connection,
        "SELECT ranges FROM _pg_migration.plan WHERE (schema_name, table_name, run_id) = (%s, %s, %s)",
        (*name, context.run_id),
    )
    cut = dict(found[0][0]) if found else {}
    if missing := [key for key in keys if key not in cut]:
        raise ConfigurationError(f"run {context.run_id} has planned no range {', '.join(missing)} of {label}")
    pieces = tuple(
        RangePlan(parse(key, plan.key, label), tuple(Chunk(n, sql.SQL(p)) for n, p in enumerate(cut[key], 1)))
        for key in keys
    )
    return replace(plan, ranges=pieces)


def present(connection: Connection, context: LoadContext, plans: Sequence[TablePlan]) -> Mapping[TableName, Continued]:
    """What the owner and those who borrow from it have copied of the ranges of some plans; by source name."""
    return {plan.name: _present(connection, context, plan) for plan in plans}


def _present(connection: Connection, context: LoadContext, plan: TablePlan) -> Continued:
    keys = [piece.range.key for piece in plan.ranges]
    rows = fetch(
        connection,
        "SELECT range_key, chunk, row_count, byte_count, copied_by FROM _pg_migration.chunk "
        "WHERE (schema_name, table_name, run_id) = (%s, %s, %s) AND range_key = ANY (%s)",
        (*context.target_name(plan.table), context.run_id, keys),
    )
    return Continued(
        {(key, chunk): (count, size) for key, chunk, count, size, _ in rows},
        Counter(run for *_, run in rows),
        plan.chunk_count,
    )


def work_of(connection: Connection, owner: str, borrowers: Collection[str], workers: int) -> list[WorkDone]:
    """What borrowers have copied, as far as the ledger has it.

    It does not know which of a borrower's workers copied a chunk: chunks that were under way at one time are of
    different ones, as few as that takes. Begins are of the borrower's clock, ends of the target's.

    Args:
        workers: of the owner; those of borrowers are numbered after them.
    """
    found = fetch(
        connection,
        "SELECT copied_by, schema_name, table_name, range_key, started_at, greatest(started_at, finished_at), "
        "row_count, byte_count FROM _pg_migration.chunk WHERE run_id = %s AND copied_by = ANY (%s) "
        "ORDER BY copied_by, started_at",
        (owner, list(borrowers)),
    )
    busy: dict[int, tuple[str, datetime]] = {}
    work = []
    for run, schema, table, key, started_at, finished_at, rows, size in found:
        free = (n for n, (other, until) in busy.items() if other == run and until <= started_at)
        number = next(free, workers + len(busy) + 1)
        busy[number] = run, finished_at
        work.append(WorkDone(number, "copy", (schema, table), key, started_at, finished_at, True, rows, size, run))
    return work


def borrowers_alive(connection: Connection, runs: Collection[str]) -> set[str]:
    """Of some runs, those that have a session in the target."""
    names = {borrower_session(run): run for run in runs}
    found = fetch(
        connection, "SELECT application_name FROM pg_stat_activity WHERE application_name = ANY (%s)", (list(names),)
    )
    return {names[name] for (name,) in found}
