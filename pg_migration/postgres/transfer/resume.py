"""Going on after a run that did not succeed: the tables whose chunks are exactly what the new snapshot has.

A table is continued when two things are shown of every chunk that the interrupted run has committed:

- *In the source*, seen in the new snapshot, the chunk's condition selects no row version that a transaction wrote which
  had not ended when the old snapshot was taken, and as many rows as were copied. All of them were in the old snapshot
  then, and none that was there is missing: an insert or an update makes a new version, a delete one less. Ids of
  transactions can be compared only within one life of the server, and versions only within one file, with the same
  columns and types.
- *In the target*, the table holds, by the transaction that wrote them (``xmin``), the rows that the ledger says, and no
  others: whoever changed one since left another ``xmin``, or one row less.

The chunks that are missing are then copied from the new snapshot, so the whole table is of the new snapshot. Whatever
can't be shown is loaded anew. PostgreSQL docs: "System Columns", "Transactions and Identifiers"; freezing keeps the
``xmin`` that a query sees.
"""

import hashlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.catalog.source_rows import chosen
from pg_migration.postgres.connection.statements import Question, both_asked, fetch, gathered
from pg_migration.postgres.errors import server_message
from pg_migration.postgres.ledger import chunks as chunks_
from pg_migration.postgres.ledger import plans as plans_
from pg_migration.postgres.ledger.plans import CommittedChunk, EarlierLoad, StoredPlan
from pg_migration.postgres.planning.key_ranges import parse
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.planning.plan import Chunk, RangePlan, TablePlan
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.transfer.load_context import LoadContext
from pg_migration.postgres.transfer.worker import Worker

# Row versions carry the low 32 bits of a transaction's id. Half of half of what they can tell apart, as time goes on
# while they are looked at.
MAX_TRANSACTIONS = 2**30

CHUNKS_PER_QUERY = 50


@dataclass(frozen=True)
class Continued:
    """What is in the target already of a table that is continued.

    ``present`` has rows and bytes of each chunk, by range key and number; ``copied_by`` tells how many of them each run
    has copied, the first one first. ``carried``: they were in the live copy, and were put into the one that takes its
    place.
    """

    present: Mapping[tuple[str, int], tuple[int, int]]
    copied_by: Mapping[str, int]
    chunks: int
    carried: bool = False

    @property
    def rows(self) -> int:
        """Rows of the chunks that are there."""
        return sum(rows for rows, _ in self.present.values())

    @property
    def is_complete(self) -> bool:
        """Whether no chunk is missing."""
        return len(self.present) == self.chunks

    def __str__(self) -> str:
        first, *others = [f"since run {run[:8]}" for run in self.copied_by]
        if others:
            first = " and ".join(f"{count} since run {run[:8]}" for run, count in self.copied_by.items())
        if self.carried:
            return f"{len(self.present)} chunks, {first}, unchanged in the source"
        return f"{len(self.present)} of {self.chunks} chunks were there {first}, unchanged"


@dataclass(frozen=True)
class Resumption:
    """What a run does with each table; tables are named as in the source.

    ``plans`` are those of all tables: a continued one is cut as it was. ``reloaded`` tells why an interrupted table
    starts from the beginning.
    """

    plans: tuple[TablePlan, ...]
    continued: Mapping[TableName, Continued]
    reloaded: Mapping[TableName, str]
    _stored: Mapping[TableName, StoredPlan] = field(default_factory=dict)

    def write(self, connection: Connection, context: LoadContext) -> None:
        """Note it in the ledger, before the load begins."""
        adopted = [context.target_name(plan.table) for plan in self.plans if plan.name in self.continued]
        with gathered(connection):
            chunks_.adopt(connection, adopted, context.run_id, context.snapshot)
            plans_.store_plans(connection, context.run_id, tuple(self._stored.values()))

    def with_carried(self, loads: Mapping[TableName, EarlierLoad]) -> "Resumption":
        """The same, with tables whose rows are there as earlier runs have loaded them elsewhere in the target."""
        return replace(
            self,
            plans=tuple(as_it_was_cut(plan, loads[plan.name]) if plan.name in loads else plan for plan in self.plans),
            continued={
                **self.continued,
                **{name: replace(_continued(load), carried=True) for name, load in loads.items()},
            },
            _stored={
                **self._stored,
                **{name: replace(self._stored[name], ranges=load.plan.ranges) for name, load in loads.items()},
            },
        )

    def carriable(
        self,
        context: LoadContext,
        source: Connection,
        loads: Mapping[TableName, EarlierLoad],
        refused: Mapping[TableName, str],
    ) -> Mapping[TableName, str | None]:
        """Whether the source has tables as earlier runs have loaded them elsewhere in the target: None, or why not.

        Args:
            source: as for `resume`.
            loads: by source name.
            refused: why the rows of some need not be looked at.

        Raises:
            ConnectionFailed, SnapshotLost: when the source can't be asked.
        """
        plans = {plan.name: plan for plan in self.plans if plan.name in loads and plan.name in self._stored}
        ours = _structures(source, [plan.table.oid for plan in plans.values()])
        found: dict[TableName, str | None] = {
            name: next(
                _reasons(context, plan, loads[name], self._stored[name], ours[plan.table.oid]), refused.get(name)
            )
            for name, plan in plans.items()
        }
        candidates = [
            _Candidate(plan, loads[name].plan.table, loads[name]) for name, plan in plans.items() if found[name] is None
        ]
        return {**found, **_refute(context, candidates, _tasks_in_source)}


@dataclass(frozen=True)
class _Structure:
    """A relation as far as the meaning of its rows goes; see resuming.sql."""

    oid: int
    file: int
    unlogged: bool
    heap: bool
    fingerprint: str
    unsure: str | None


@dataclass(frozen=True)
class _Candidate:
    plan: TablePlan
    destination: TableName
    found: EarlierLoad


def resume(
    context: LoadContext,
    source: Connection,
    target: Connection,
    plans: Sequence[TablePlan],
    settings: LoadSettings,
) -> Resumption:
    """Find out which tables can be continued. Nothing is written.

    Args:
        source: a connection that sees the run's snapshot, whose tables are protected.
        plans: how the tables would be loaded from the beginning, largest first.
        settings: what the plans were made with.

    Raises:
        ConnectionFailed, SnapshotLost: when a server can't be asked.
    """
    relations, names = [plan.table.oid for plan in plans], [context.target_name(plan.table) for plan in plans]
    asked_of_target = [plans_.interrupted_question(context.run_id), _relations_question(names)]
    with both_asked((source, [_structures_question(relations)]), (target, asked_of_target)):
        interrupted = plans_.interrupted(target, context.run_id)
        ours = _structures(source, relations)
        theirs = _structures_by_name(target, names)
    stored: dict[TableName, StoredPlan] = {}
    candidates: list[_Candidate] = []
    reloaded: dict[TableName, str] = {}
    for plan in plans:
        name = context.target_name(plan.table)
        if plan.table.kind != "r" or name not in theirs:
            continue
        here, there = ours[plan.table.oid], theirs[name]
        stored[plan.name] = now = _describe(target, name, plan, settings, here, there)
        if (then := interrupted.get(name)) is None:
            continue
        if (reason := _changed(context, plan, then, now, here, there)) is not None:
            reloaded[plan.name] = reason
        else:
            candidates.append(_Candidate(plan, name, then))
    reloaded.update(_refute(context, candidates, _tasks))
    kept = {c.plan.name: c for c in candidates if c.plan.name not in reloaded}
    stored.update({name: replace(stored[name], ranges=c.found.plan.ranges) for name, c in kept.items()})
    return Resumption(
        tuple(as_it_was_cut(plan, kept[plan.name].found) if plan.name in kept else plan for plan in plans),
        {name: _continued(candidate.found) for name, candidate in kept.items()},
        reloaded,
        stored,
    )


def _structures(connection: Connection, relations: Collection[int]) -> Mapping[int, _Structure]:
    return {
        oid: _Structure(
            oid, file, unlogged, heap, hashlib.sha256(structure.encode(errors="surrogateescape")).hexdigest(), unsure
        )
        for oid, file, unlogged, heap, structure, unsure in fetch(connection, *_structures_question(relations))
    }


def _structures_question(relations: Collection[int]) -> Question:
    return sql_file("transfer/resume.sql"), {"relations": list(relations)}


def _structures_by_name(connection: Connection, names: Collection[TableName]) -> Mapping[TableName, _Structure]:
    rows = fetch(connection, *_relations_question(names))
    found = _structures(connection, [oid for *_, oid in rows])
    return {(schema, table): found[oid] for schema, table, oid in rows}


def _relations_question(names: Collection[TableName]) -> Question:
    statement = (
        "SELECT s, t, to_regclass(format('%%I.%%I', s, t))::oid::bigint "
        "FROM unnest(%s::text[], %s::text[]) AS wanted (s, t) "
        "WHERE to_regclass(format('%%I.%%I', s, t)) IS NOT NULL"
    )
    return statement, ([name[0] for name in names], [name[1] for name in names])


def _describe(
    target: Connection,
    name: TableName,
    plan: TablePlan,
    settings: LoadSettings,
    ours: _Structure,
    theirs: _Structure,
) -> StoredPlan:
    return StoredPlan(
        name,
        ours.oid,
        ours.file,
        ours.fingerprint,
        theirs.fingerprint,
        {
            "chunk_size": settings.chunk_size,
            "partition_threshold": settings.partition_threshold,
            "max_partitions": settings.max_partitions,
            "key": [plan.key.name, plan.key.type] if plan.key is not None else None,
            **({"transform": plan.table.transform.fingerprint} if plan.table.transform is not None else {}),
        },
        [(r.range.key, [c.predicate.as_string(target) for c in r.chunks]) for r in plan.ranges],
    )


def _changed(
    context: LoadContext,
    plan: TablePlan,
    then: EarlierLoad,
    now: StoredPlan,
    ours: _Structure,
    theirs: _Structure,
) -> str | None:
    """Why a table can't be continued, as far as that shows without a look at its rows."""
    unlogged = context.unlogged_for_load(plan.table) or theirs.unlogged != (plan.table.persistence == "u")
    reasons = {
        "the target's table was altered": then.plan.target_structure != now.target_structure,
        "it is UNLOGGED for the time of its load": unlogged,
        "it is stored by another access method than heap": not theirs.heap,
    }
    found = [*_reasons(context, plan, then, now, ours), *(text for text, holds in reasons.items() if holds)]
    return found[0] if found else None


def _reasons(
    context: LoadContext, plan: TablePlan, then: EarlierLoad, now: StoredPlan, ours: _Structure
) -> Iterator[str]:
    """Why rows that were loaded earlier may not be those of the source now, wherever they are in the target."""
    was = then.plan
    planned = {(key, n): p for key, predicates in was.ranges for n, p in enumerate(predicates, 1)}
    reasons = {
        "the source's server was restarted": then.source_server != context.snapshot.server,
        "too many transactions have passed": context.snapshot.xmax - then.snapshot_xmin >= MAX_TRANSACTIONS
        or any(chunk.target_age >= MAX_TRANSACTIONS for chunk in then.chunks),
        "the source's table was truncated, rewritten or made anew": (was.source_relation, was.source_file)
        != (now.source_relation, now.source_file),
        "the source's table was altered": was.source_structure != now.source_structure,
        "what is chosen and masked of it was changed": was.settings.get("transform") != now.settings.get("transform"),
        "more than its own rows decides what is read of it": plan.table.transform is not None
        and not plan.table.transform.is_of_the_row,
        "what tables are cut by was changed": was.settings != now.settings,
        "its rows are loaded through its partitioned table": plan.table.through_root,
        "it is stored by another access method than heap": not ours.heap,
        f"it has columns of type {ours.unsure}, whose text changes with other objects": bool(ours.unsure),
        "its chunks in the ledger are not those that were planned": any(
            planned.get((chunk.range_key, chunk.chunk)) != chunk.predicate for chunk in then.chunks
        ),
    }
    yield from (reason for reason, holds in reasons.items() if holds)


def _refute(
    context: LoadContext,
    candidates: Sequence[_Candidate],
    questions: "Callable[[_Candidate], Sequence[tuple[TableName, _Task]]]",
) -> Mapping[TableName, str]:
    """Of tables, those whose chunks are not unchanged, and why; several are looked at at once."""
    tasks = deque(task for candidate in candidates for task in questions(candidate))
    refuted: dict[TableName, str] = {}
    stopping = threading.Event()

    def work(tell: Callable[[tuple[TableName, str]], None]) -> None:
        worker = Worker(context)
        try:
            while not stopping.is_set() and (following := _take(tasks)) is not None:
                name, task = following
                if name not in refuted and (reason := _answer(worker, task)) is not None:
                    refuted[name] = reason
                    tell((name, reason))
        finally:
            worker.abandon()

    workers = [work] * min(context.workers, len(tasks))
    for _ in context.connections.pool("resume").events(workers, stopping.set):
        pass
    return refuted


_Task = Callable[[Worker], str | None]


def _take(tasks: deque[tuple[TableName, _Task]]) -> tuple[TableName, _Task] | None:
    try:
        return tasks.popleft()
    except IndexError:
        return None


def _tasks(candidate: _Candidate) -> Sequence[tuple[TableName, _Task]]:
    """The questions that are asked of one table, each answered by a reason against it or none."""
    return [(candidate.plan.name, partial(_changed_in_target, candidate)), *_tasks_in_source(candidate)]


def _tasks_in_source(candidate: _Candidate) -> Sequence[tuple[TableName, _Task]]:
    name, chunks = candidate.plan.name, candidate.found.chunks
    batches = [chunks[n : n + CHUNKS_PER_QUERY] for n in range(0, len(chunks), CHUNKS_PER_QUERY)]
    return [(name, partial(_changed_in_source, candidate, batch)) for batch in batches]


def _answer(worker: Worker, task: _Task) -> str | None:
    try:
        return task(worker)
    except psycopg2.errors.QueryCanceled:
        raise  # an interrupt of the run, or an administrator's
    except psycopg2.Error as error:
        worker.abandon()
        return f"it can't be shown to be unchanged ({server_message(error)})"


def _changed_in_source(candidate: _Candidate, chunks: Sequence[CommittedChunk], worker: Worker) -> str | None:
    """Rows that were written since, or another number of rows, in some chunks of a table."""
    # age() counts from one transaction id for the whole of a transaction, so both ages are of the same moment; what it
    # can't tell from a newer row, because 32 bits were counted through since, is taken for one.
    oldest = sql.Literal(str(candidate.found.snapshot_xmin % 2**32))
    one = sql.SQL(
        "SELECT {number}, pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE pg_catalog.age(xmin) OPERATOR("
        "pg_catalog.>=) 0 AND pg_catalog.age(xmin) OPERATOR(pg_catalog.<=) pg_catalog.age({oldest}::pg_catalog.xid)) "
        "FROM ONLY {table} WHERE {predicate}"
    )
    query = sql.SQL(" UNION ALL ").join(
        one.format(
            number=sql.Literal(n),
            oldest=oldest,
            table=sql.Identifier(*candidate.plan.name),
            predicate=chosen(candidate.plan.table.transform, sql.SQL(chunk.predicate)),
        )
        for n, chunk in enumerate(chunks)
    )
    for n, rows, written in worker.read(candidate.plan.table, query):
        if written or rows != chunks[n].rows:
            return "its rows were changed in the source"
    return None


def _changed_in_target(candidate: _Candidate, worker: Worker) -> str | None:
    """Rows in the target that the ledger does not know, or that it knows and that are missing."""
    expected: Counter[int] = Counter()
    for chunk in candidate.found.chunks:
        expected[chunk.target_xid % 2**32] += chunk.rows
    query = sql.SQL(
        "SELECT pg_catalog.int8in(pg_catalog.xidout(xmin)), pg_catalog.count(*) FROM ONLY {} GROUP BY xmin"
    ).format(sql.Identifier(*candidate.destination))
    there = Counter(dict(worker.read_back(candidate.plan.table, query)))
    return None if there == expected else "its rows were changed in the target"


def as_it_was_cut(plan: TablePlan, load: EarlierLoad) -> TablePlan:
    """A table with the ranges and chunks that an earlier run has cut it into, by the same key."""
    label = ".".join(plan.name)
    ranges = tuple(
        RangePlan(parse(key, plan.key, label), tuple(Chunk(n, sql.SQL(p)) for n, p in enumerate(predicates, 1)))
        for key, predicates in load.plan.ranges
    )
    return replace(plan, ranges=ranges)


def _continued(found: EarlierLoad) -> Continued:
    return Continued(
        {(chunk.range_key, chunk.chunk): (chunk.rows, chunk.bytes) for chunk in found.chunks},
        Counter(chunk.copied_by for chunk in found.chunks),
        sum(len(predicates) for _, predicates in found.plan.ranges),
    )
