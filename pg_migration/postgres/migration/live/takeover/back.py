"""Have the source take over again, which has been given everything that was written to the target since the cutover.

The same as a cutover, in the other direction: proved while writers wait, or nothing has happened.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import MATERIALIZED_ROWS
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import ConfigurationError, ConnectionFailed, MigrationError
from pg_migration.postgres.figures import listed
from pg_migration.postgres.large_objects.state import MAX_BATCH_OBJECTS, pages, read_batches, read_states
from pg_migration.postgres.ledger.lock import TargetLock
from pg_migration.postgres.ledger.runs import session_name
from pg_migration.postgres.migration.comparison.compare_tables import compare_tables
from pg_migration.postgres.migration.live.ends import Ends, both_ends, followed
from pg_migration.postgres.migration.live.moved import CutoverOptions, Moved
from pg_migration.postgres.migration.live.takeover.command import run_command
from pg_migration.postgres.migration.live.takeover.cutover import CHECKS
from pg_migration.postgres.migration.live.takeover.prepared import CATCH_UP_SECONDS, Stopwatch, caught_up, unsound
from pg_migration.postgres.migration.live.takeover.recovery import finish, tried, undo_fence, undo_return
from pg_migration.postgres.migration.live.undo import undo_in_source
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.replication.fence import Ended, Fence, end_clients, lacking_rights
from pg_migration.postgres.replication.identities import undo_identities
from pg_migration.postgres.replication.lag import lag
from pg_migration.postgres.replication.read_only import (
    make_read_only,
    overriding_roles,
    read_only_default,
    undo_read_only,
    write_anyway,
)
from pg_migration.postgres.replication.record import last_replication, record
from pg_migration.postgres.replication.state import Phase, Replication
from pg_migration.postgres.replication.structure import FoundTable, altered_publication, tables_of
from pg_migration.postgres.replication.subscription import unsubscribe
from pg_migration.postgres.transfer.sequences import read_positions, set_positions

_LARGE_OBJECTS = (
    "SELECT pg_catalog.count(*), pg_catalog.sum(oid::pg_catalog.int8) FROM pg_catalog.pg_largeobject_metadata"
)

_AGAIN = "Start the way back again, which does what is left."
_BY_HAND = "Run it by hand."


def return_to_source(run: MigrationRun, chosen: CutoverOptions) -> Moved | None:
    """Have the source take over again; None where it has already, and what was left to do is done.

    Raises:
        MigrationError: it has not, and the target goes on; or it has, and what is left is told in the run's failures.
    """
    chosen.demand_sense()
    run.migration.check()
    run.live.moves = True
    with both_ends(run) as ends:
        replication = run.call(lambda: undo_fence(ends.source, ends.target, followed(run, ends)))
        if replication.phase is Phase.BACK:
            run.call(lambda: finish(ends, replication, run.sides.target, run.migration.way_back_url))
            run.outcomes.notes.append("the source had taken over again already")
            return None
        if replication.phase is not Phase.MOVED or replication.way_back is None:
            raise ConfigurationError(
                f"there is no way back from {run.sides.target.description}: only a cutover with a way back makes one, "
                f"and it lasts until pg_migration end-way-back"
            )
        # What the cutover may have left to do.
        run.call(lambda: finish(ends, replication, run.sides.target, run.migration.way_back_url))
        moved = _Return(run, ends, replication, chosen).done()
        run.outcomes.cutover = moved
        run.outcomes.notes.append(str(moved))
        return moved


class _Return:
    """One way back."""

    def __init__(self, run: MigrationRun, ends: Ends, replication: Replication, chosen: CutoverOptions) -> None:
        assert replication.way_back is not None, "there is a way back"
        self._run, self._ends, self._replication, self._chosen = run, ends, replication, chosen
        self._back = replace(replication, name=replication.way_back)
        self._part = Stopwatch()
        self._tables = run.call(self._to_fence)

    def done(self) -> Moved:
        """Do it.

        Raises:
            MigrationError: the source has not taken over.
        """
        run, ends = self._run, self._ends
        if problems := run.call(lambda: list(self._problems())):
            for problem in problems:
                run.fail(problem)
            raise MigrationError("no way back was begun, and nobody had to wait")
        run.call(lambda: caught_up(run, ends, Side.SOURCE, self._back, CATCH_UP_SECONDS))
        fence = run.call(
            lambda: Fence(ends.connections, run.sides.target, self._tables, self._chosen.max_pause_seconds)
        )
        try:
            ended = self._until_it_moves(fence)
        except MigrationError as failure:
            raise MigrationError(f"{failure}. {self._undo(fence)}") from failure
        except BaseException:
            run.outcomes.notes.append(self._undo(fence))
            raise
        try:
            more = self._afterwards(fence)
        finally:
            fence.release()
        for left in run.call(self._at_leisure):
            self._left(left)
        return Moved(
            len(run.catalog.tables),
            self._chosen.check,
            fence.waited,
            self._part.parts,
            ended.sessions + more.sessions,
            [str(client) for client in more.left],
        )

    def _to_fence(self) -> list[FoundTable]:
        names = {table.name for table in self._replication.tables}
        return [t for t in tables_of(self._ends.target, {schema for schema, _ in names}) if t.table.name in names]

    def _problems(self) -> Iterator[str]:
        """What stands in the way, as far as it can be told before anybody waits."""
        ends, replication = self._ends, self._replication
        yield from unsound(lag(ends.target, ends.source, self._back), self._back, Side.SOURCE)
        yield from altered_publication(ends.target, self._back.name)
        schemas = {schema for table in replication.tables for schema in (table.name[0], table.root[0])}
        ours, theirs = (
            {found.table.name: found.table.columns for found in tables_of(end, schemas)}
            for end in (ends.source, ends.target)
        )
        for name, columns in theirs.items():
            if name not in ours:
                yield f"table {'.'.join(name)} of the target is not in the source, which would be without its rows"
            elif ours[name] != columns:
                yield f"table {'.'.join(name)} has other columns in the target than in the source"
        if fetch(ends.source, _LARGE_OBJECTS) != fetch(ends.target, _LARGE_OBJECTS) or self._written():
            yield (
                "the target has other large objects than the source, or other bytes in them; they are not replicated: "
                "bring them to the source by hand, or remove those that are new"
            )
        yield from lacking_rights(ends.target, self._tables, Side.TARGET)
        if overriding := overriding_roles(ends.target):
            yield (
                f"sessions of {listed(overriding)} write to the target also where it is read only by default: "
                f"ALTER ROLE ... RESET default_transaction_read_only there, also IN DATABASE"
            )

    def _written(self) -> bool:
        """Whether one of the large objects that a cutover brings has other bytes in the target than in the source.

        Asked by sessions of the run, as that takes time and may be stopped.
        """
        run = self._run
        brought = run.catalog.large_objects
        if brought is None:
            return False
        ends, columns = (run.sides.source_connection, run.sides.target_connection), brought.columns
        for page in pages(lambda after: read_batches(ends[0], columns, MAX_BATCH_OBJECTS, after)):
            for batch in page:
                ours, theirs = (read_states(end, batch.oids, hashed=True) for end in ends)
                if {oid: s.digest for oid, s in ours.items()} != {oid: s.digest for oid, s in theirs.items()}:
                    return True
        return False

    def _until_it_moves(self, fence: Fence) -> Ended:
        run, ends, part = self._run, self._ends, self._part
        catalog = run.call(lambda: run.catalog)
        before = run.call(lambda: read_only_default(ends.target))
        self._now(Phase.RETURNING, target_read_only_before=before)
        with part("locks"):
            run.call(lambda: fence.lock(run.connections.stopped(), run.connections.cancel, _nothing, _nothing))
            run.call(lambda: make_read_only(ends.target))
        with part("wait for the source"):
            run.call(lambda: caught_up(run, ends, Side.SOURCE, self._back, fence.left))
        with part("sequences"):
            run.call(self._set_sequences)
        with part(self._chosen.check):
            checks = CHECKS[self._chosen.check]
            for _ in compare_tables(run, {run.target_name(table): checks for table in catalog.tables}):
                pass
        run.call(fence.check)
        if run.outcomes.failures:
            raise MigrationError("the two sides are not the same")
        with part("end of sessions"):
            ended = run.call(lambda: end_clients(ends.target, self._ours(fence)))
            if writing := [str(client) for client in ended.left if client.writes]:
                raise MigrationError(
                    f"sessions that write to the target can't be ended by this role: {listed(writing)}. End them as a "
                    f"superuser, and start again"
                )
        run.call(fence.keep)
        self._now(Phase.BACK)
        return ended

    def _set_sequences(self) -> None:
        """Where those of the target are."""
        run, ends = self._run, self._ends
        names = {(run.schemas[s.schema], s.name): s.key for s in run.catalog.sequences}
        positions = read_positions(ends.target, list(names))
        if positions:
            set_positions(ends.source, {names[there]: position for there, position in positions.items()})

    def _afterwards(self, fence: Fence) -> Ended:
        run, ends, now, part = self._run, self._ends, self._replication, self._part
        with part("end of replication"):
            self._left(run.call(lambda: tried(lambda: unsubscribe(ends.source, self._back.name))))
            self._left(run.call(lambda: tried(lambda: undo_read_only(ends.source, now.read_only_before))))
        if self._chosen.command:
            with part("command"):
                self._left(run.call(lambda: run_command(self._chosen.command, Side.SOURCE)), _BY_HAND)
        with part("end of sessions"):
            return run.call(lambda: end_clients(ends.target, self._ours(fence)))

    def _at_leisure(self) -> list[str | None]:
        ends, now = self._ends, self._replication
        steps = [
            lambda: undo_in_source(ends.target, self._back.name, ()),
            lambda: undo_identities(ends.target, now.identities, by_name=True),
        ]
        return [*(tried(step) for step in steps), *self._refreshed()]

    def _refreshed(self) -> Iterator[str | None]:
        """Fill the materialized views of the source anew, as nothing replicates them."""
        for item in self._run.catalog.objects:
            if item.kind == MATERIALIZED_ROWS:
                statement = sql.SQL("REFRESH MATERIALIZED VIEW {}").format(sql.Identifier(item.schema, item.name))
                if problem := tried(partial(execute, self._ends.source, statement)):
                    yield f"materialized view {item.schema}.{item.name} of the source was not refreshed: {problem}"

    def _left(self, problem: str | None, remedy: str = _AGAIN) -> None:
        if problem is not None:
            self._run.fail(f"the source has taken over again, but: {problem}. {remedy}")

    def _undo(self, fence: Fence) -> str:
        """Let writers go on first of all, then take everything back; what became of it, for people."""
        fence.release()
        try:
            now = last_replication(self._ends.target)
            if now is not None and now.phase is Phase.BACK:  # it was written, and the answer was lost
                return "It had taken place by then: start again, to have the rest done"
            undo_fence(self._ends.source, self._ends.target, self._replication)
        except (MigrationError, psycopg2.Error) as problem:
            return (
                f"What the way back had begun could not be taken back ({problem}): the next command does that. Until "
                f"then new sessions of the target are read only"
            )
        return f"There was no way back: writers waited for {fence.waited:.1f} s and go on, and so does replication"

    def _ours(self, fence: Fence) -> list[int]:
        return [*self._run.connections.processes(), *self._ends.connections.processes(), *fence.processes]

    def _now(self, phase: Phase, **changes: object) -> None:
        now = replace(self._replication, phase=phase, **changes)  # type: ignore[arg-type]
        self._run.call(lambda: record(self._ends.target, now))
        self._replication = now


def _nothing() -> None:
    """There is nothing to be locked besides."""


def end_the_way_back(run: MigrationRun) -> None:
    """Stop replicating to the old source, which need not be reached: the target keeps WAL for it until then.

    Raises:
        MigrationError: there is no way back, or the target refused.
    """
    run.migration.check()
    with Connections(session_name(run.run_id)) as connections:
        target = run.call(lambda: connections.open(run.sides.target))
        write_anyway(target)
        lock = run.call(lambda: TargetLock(connections, run.sides.target, run.run_id))
        run.call(lock.acquire)
        replication = run.call(lambda: last_replication(target))
        if replication is not None and replication.phase is Phase.RETURNING:  # of a way back that is dead
            returning = replication
            replication = run.call(lambda: undo_return(target, returning))
        if replication is None or replication.way_back is None or replication.phase not in (Phase.MOVED, Phase.ENDED):
            raise ConfigurationError(f"there is no way back from {run.sides.target.description} that could be ended")
        name = replication.way_back
        run.call(lambda: record(target, replace(replication, phase=Phase.ENDED)))
        run.call(lambda: _end_in_source(run, connections, name))
        run.call(lambda: undo_in_source(target, name, ()))
        run.call(lambda: undo_identities(target, replication.identities, by_name=True))
        run.call(lambda: record(target, replace(replication, phase=Phase.ENDED, way_back=None)))
        run.outcomes.notes.append("there is no way back any more: the target keeps nothing for the old source")


def _end_in_source(run: MigrationRun, connections: Connections, name: str) -> None:
    source: Connection | None = None
    problem: str | None = None
    with suppress(ConnectionFailed):
        source = connections.open(run.sides.source)
    if source is None:
        problem = "it can't be reached"
    else:
        write_anyway(source)
        problem = tried(lambda: unsubscribe(source, name))
    if problem is not None:
        run.outcomes.notes.append(
            f"subscription {name} is left in the old source ({problem}). If that is ever used again, drop it there: "
            f"ALTER SUBSCRIPTION {name} DISABLE; ALTER SUBSCRIPTION {name} SET (slot_name = NONE); DROP SUBSCRIPTION "
            f"{name}"
        )
