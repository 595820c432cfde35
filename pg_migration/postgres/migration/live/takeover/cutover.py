"""Have the target take over from the source that it follows: all is proved while writers wait, or nothing has happened.

Until the ledger says that the target has taken over, every failure ends in the state before: writers go on, and so does
replication. From then on nothing is undone; what is left to do is done by the next command, where this one can't.

The source's sessions are ended twice. Who waits when the ledger is written must not write to the source afterwards,
also where this process dies at that moment; who came since the first time is ended when users know of the new database.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import psycopg2

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import execute, fetch, undone_on_errors
from pg_migration.postgres.ddl.changes import suspend
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import listed
from pg_migration.postgres.migration.comparison.compare_state import CONSTRAINTS, SEQUENCES, STATE_CHECKS, examine
from pg_migration.postgres.migration.comparison.compare_tables import compare_tables
from pg_migration.postgres.migration.comparison.verdict import CONTENT, ROW_COUNT
from pg_migration.postgres.migration.live.ends import Ends, both_ends, followed, not_following
from pg_migration.postgres.migration.live.moved import Check, CutoverOptions, Moved, Rehearsal
from pg_migration.postgres.migration.live.takeover.command import run_command
from pg_migration.postgres.migration.live.takeover.prepared import (
    Prepared,
    Stopwatch,
    catch_up,
    differing,
    prepare,
    state_of,
)
from pg_migration.postgres.migration.live.takeover.recovery import (
    finish,
    follow_back,
    let_writers_go_on,
    tried,
    undo_fence,
)
from pg_migration.postgres.migration.live.undo import undo_in_source
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps.damage import reload_tables
from pg_migration.postgres.migration.steps.large_objects import copy_large_objects
from pg_migration.postgres.migration.steps.sequences import set_sequences
from pg_migration.postgres.migration.steps.structure import copy_rows_of_extensions, make, refreshes
from pg_migration.postgres.replication.fence import Ended, Fence, end_clients
from pg_migration.postgres.replication.identities import undo_identities
from pg_migration.postgres.replication.lag import position
from pg_migration.postgres.replication.read_only import (
    announce_decision,
    announce_fence,
    beginning,
    fence_key,
    make_announced_read_only,
    read_only_default,
)
from pg_migration.postgres.replication.record import last_replication, record
from pg_migration.postgres.replication.source_objects import (
    create_publication,
    insist_on_tables,
    note_of,
    writing,
)
from pg_migration.postgres.replication.state import TAKEN_OVER, Phase, Replication, new_name
from pg_migration.postgres.replication.structure import structure_changes
from pg_migration.postgres.replication.subscription import unsubscribe
from pg_migration.postgres.snapshot.snapshot import Protected
from pg_migration.postgres.transfer.extension_rows import ExtensionFailed

CHECKS: Mapping[Check, set[str]] = {"count": {ROW_COUNT}, "content": {ROW_COUNT, CONTENT}}

SLOT_SECONDS = 10.0

_NEXT_TRANSACTION = "SELECT pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot())"
_SLOT = "SELECT pg_catalog.pg_create_logical_replication_slot(%s, 'pgoutput')"
_ADVANCE = """
SELECT end_lsn OPERATOR(pg_catalog.>=) %s::pg_catalog.pg_lsn
  FROM pg_catalog.pg_replication_slot_advance(%s, %s::pg_catalog.pg_lsn)
"""

_AGAIN = "Start the cutover again, which does what is left."
_BY_HAND = "Run it by hand."


def rehearse(run: MigrationRun, chosen: CutoverOptions) -> Rehearsal:
    """Ask everything that a cutover would ask; nobody waits, and nothing is changed.

    Raises:
        MigrationError: nothing is followed, or a side can't be asked.
    """
    with both_ends(run) as ends:
        return _prepared(run, ends, chosen)[1].rehearsal


def cut_over(run: MigrationRun, chosen: CutoverOptions) -> Moved | None:
    """Have the target take over; None where it has already, and what was left to do is done.

    Raises:
        MigrationError: it has not, and the source goes on; or it has, and what is left is told in the run's failures.
    """
    with both_ends(run) as ends:
        replication = run.call(lambda: followed(run, ends))
        if replication.phase in TAKEN_OVER - {Phase.RETURNING}:
            run.call(lambda: finish(ends, replication, run.sides.target, run.migration.way_back_url))
            run.outcomes.notes.append("the target had taken over already")
            return None
        replication, prepared = _prepared(run, ends, chosen)
        run.outcomes.notes += [*prepared.rehearsal.warnings, str(prepared.rehearsal)]
        if prepared.rehearsal.problems:
            for problem in prepared.rehearsal.problems:
                run.fail(problem)
            raise MigrationError("no cutover was begun, and nobody had to wait")
        run.log.info(str(prepared.rehearsal))
        moved = _Cutover(run, ends, replication, prepared, chosen).done()
        run.outcomes.cutover = moved
        run.outcomes.notes.append(str(moved))
        return moved


def _prepared(run: MigrationRun, ends: Ends, chosen: CutoverOptions) -> tuple[Replication, Prepared]:
    chosen.demand_sense()
    run.migration.check()
    run.live.moves = True
    replication = run.call(lambda: undo_fence(ends.source, ends.target, followed(run, ends)))
    if replication.phase is not Phase.FOLLOWING:
        raise not_following(run, replication)
    # What an attempt that failed has set aside of tables that are copied anew.
    done = run.call(lambda: suspend.restore(ends.target, suspend.EVERYTHING))
    if done.failures:
        raise MigrationError(listed(map(str, done.failures)))
    return replication, prepare(run, ends, replication, chosen)


class _Cutover:
    """One cutover, from the moment on that writers are told to wait."""

    def __init__(
        self, run: MigrationRun, ends: Ends, replication: Replication, prepared: Prepared, chosen: CutoverOptions
    ) -> None:
        self._run, self._ends, self._replication = run, ends, replication
        self._prepared, self._chosen = prepared, chosen
        key, seconds = fence_key(replication.name), chosen.max_pause_seconds
        self._fence = run.call(lambda: Fence(ends.connections, run.sides.source, prepared.tables, seconds, key))
        self._part = Stopwatch()
        self._locked: Protected | None = None
        self._at: tuple[str, int] = ("", 0)
        self._decided = False  # whether the target may have taken over
        self._states = prepared.states

    def done(self) -> Moved:
        """Do it.

        Raises:
            MigrationError: the target has not taken over.
        """
        try:
            ended = self._until_it_moves()
        except MigrationError as failure:
            raise MigrationError(f"{failure}. {self._undo()}") from failure
        except BaseException:
            self._run.outcomes.notes.append(self._undo())
            raise
        try:
            more = self._afterwards()
        finally:
            self._fence.release()
        pause = self._fence.waited
        # What comes needs locks that those who have read and compared the tables would not let it have.
        self._run.call(self._run.sides.let_tables_go)
        for problem in self._at_leisure():
            self._left(problem)
        return Moved(
            len(self._run.catalog.tables),
            self._chosen.check,
            pause,
            self._part.parts,
            ended.sessions + more.sessions,
            [str(client) for client in more.left],
            self._replication.way_back,
        )

    def _until_it_moves(self) -> Ended:
        run, ends, chosen, part = self._run, self._ends, self._chosen, self._part
        before = run.call(lambda: read_only_default(ends.source))
        back = new_name() if chosen.way_back else None
        self._now(Phase.FENCED, read_only_before=before, way_back=back)
        if back is not None:
            run.call(lambda: self._make_way_back(back))
        run.call(lambda: self._announce(before))
        with part("locks"):
            run.call(self._lock)
            # Not before: sessions that come meanwhile would be refused for as long as the locks take.
            run.call(lambda: make_announced_read_only(ends.source, self._replication.name, run.run_id))
        with part("wait for the target"):
            at = run.call(lambda: catch_up(run, ends, self._replication, self._fence.left))
            ((transaction,),) = run.call(lambda: fetch(ends.source, _NEXT_TRANSACTION))
            self._at = at, transaction
        self._prove()
        with part("way back"):
            if back is not None:
                run.call(lambda: self._begin_way_back(back))
        with part("end of sessions"):
            ended = run.call(lambda: end_clients(ends.source, self._ours))
            self._demand_all_ended(ended)
        with part("structure"):
            if run.call(lambda: state_of(ends.source)) != self._states[0]:
                self._demand_no_changes()
        run.call(lambda: announce_decision(ends.source, self._replication.name, run.run_id))
        run.call(self._fence.keep)
        self._decided = True
        self._now(Phase.MOVED, fence=self._at[0], fence_transaction=self._at[1])
        return ended

    def _announce(self, before: str | None) -> None:
        """Say in the source what comes, which is no change of its structure, while others may change that."""
        source, known = self._ends.source, self._states
        with beginning(source):
            execute(source, "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE")
            with undone_on_errors(source):
                same = state_of(source) == known[0]
                announce_fence(source, self._replication, self._run.run_id, before)
                self._states = (state_of(source) if same else known[0], known[1])
            execute(source, "COMMIT")

    def _prove(self) -> None:
        """Bring over what replication does not, and compare both sides, whose rows nobody changes.

        Raises:
            MigrationError: something is not the same, or could not be brought over.
        """
        run, part, prepared, checks = self._run, self._part, self._prepared, CHECKS[self._chosen.check]
        with part("structure"):
            run.call(self._see)
            self._demand_same_structure()
        if prepared.reloaded:
            with part("tables that are copied anew"):
                reload_tables(run, self._tables([table.key for table in prepared.reloaded]))
                self._demand_no_failure()
        with part("sequences"):
            run.call(lambda: set_sequences(run, (), every=True))
        if run.catalog.configurations:
            with part("rows of extensions"):
                for found in run.call(lambda: list(copy_rows_of_extensions(run))):
                    if isinstance(found, ExtensionFailed):
                        run.fail(str(found))
        if run.with_large_objects:
            with part("large objects"):
                copy_large_objects(run)
        with part("materialized views"):
            views = run.call(lambda: refreshes(run, run.catalog.tables))
            if views:
                run.call(lambda: make(run, views))
        self._demand_no_failure()
        with part(self._chosen.check):
            names = [run.target_name(table) for table in run.catalog.tables]
            for _ in compare_tables(run, dict.fromkeys(names, checks)):
                pass
            self._demand_no_failure()
        with part("other checks"):
            wanted = [check for check in STATE_CHECKS if check.name in (SEQUENCES, CONSTRAINTS)]
            for _, _, seen in examine(run, wanted):
                for observation in seen:
                    if observation.wrong:
                        run.fail(str(observation))
            self._demand_no_failure()

    def _afterwards(self) -> Ended:
        """What belongs to the pause when the target has taken over already: the source can't be gone back to."""
        run, ends, name, part = self._run, self._ends, self._replication.name, self._part
        with part("end of replication"):
            self._left(run.call(lambda: tried(lambda: unsubscribe(ends.target, name))))
        if self._chosen.command:
            with part("command"):
                self._left(run.call(lambda: run_command(self._chosen.command, Side.TARGET)), _BY_HAND)
        with part("end of sessions"):
            return run.call(lambda: end_clients(ends.source, self._ours))

    def _at_leisure(self) -> Sequence[str | None]:
        """What nobody waits for, or needs locks on the tables."""
        run, ends, now = self._run, self._ends, self._replication
        steps: list[Callable[[], object]] = [
            lambda: undo_in_source(ends.source, now.name, now.identities, moved=True),
        ]
        if now.way_back is not None:
            steps.append(lambda: follow_back(ends, now, run.sides.target, run.migration.way_back_url))
        else:
            steps.append(lambda: undo_identities(ends.target, now.identities, by_name=True))
        return run.call(lambda: [tried(step) for step in steps])

    def _left(self, problem: str | None, remedy: str = _AGAIN) -> None:
        if problem is not None:
            self._run.fail(f"the target has taken over, but: {problem}. {remedy}")

    def _undo(self) -> str:
        """Let writers go on first of all, then take everything back; what became of it, for people."""
        self._fence.release()
        with suppress(MigrationError, psycopg2.Error):
            self._unlock_readers()
        if not self._decided and self._replication.phase is Phase.FENCED:
            # Also where the target, which has the ledger, is gone.
            tried(lambda: let_writers_go_on(self._ends.source, self._replication))
        try:
            now = last_replication(self._ends.target)
            if now is not None and now.phase in TAKEN_OVER:  # it was written, and the answer was lost
                return "It had taken place by then: start again, to have the rest done"
            undo_fence(self._ends.source, self._ends.target, self._replication)
        except (MigrationError, psycopg2.Error) as problem:
            return (
                f"What the cutover had begun could not be taken back ({problem}): the next command does that. Look "
                f"whether new sessions of the source are read only until then (default_transaction_read_only)"
            )
        return f"There was no cutover: writers waited for {self._fence.waited:.1f} s and go on, and so does replication"

    def _lock(self) -> None:
        connections = self._run.connections
        self._fence.lock(connections.stopped(), connections.cancel, self._lock_readers, self._unlock_readers)

    def _lock_readers(self) -> None:
        run = self._run
        self._locked = run.protected(run.workers())

    def _unlock_readers(self) -> None:
        locked, self._locked = self._locked, None
        if locked is not None:
            locked.release()

    def _see(self) -> None:
        """Read the source as it is now that nobody writes."""
        assert self._locked is not None, "lock() calls _lock_readers"
        self._run.begin_beside(self._ends.lock, self._locked.take())

    def _tables(self, names: Sequence[tuple[str, str]]) -> list[Table]:
        return [self._run.catalog.tables_by_name[name] for name in names]

    def _demand_same_structure(self) -> None:
        """Only if nobody has altered anything since both sides were compared; else they are compared again."""
        run = self._run
        ends = run.sides.source_connection, run.sides.target_connection
        if run.call(lambda: tuple(map(state_of, ends))) == self._states:
            return
        names = set(run.catalog.tables_by_name)
        run.read_anew()
        if found := run.call(lambda: differing(run)):
            raise MigrationError(f"the structure was altered meanwhile: {listed(map(str, found))}")
        if set(run.catalog.tables_by_name) != names:
            raise MigrationError("tables were made or dropped meanwhile; start again")
        self._demand_no_changes()

    def _demand_no_changes(self) -> None:
        run = self._run
        excluded = run.options.exclude_tables
        if found := run.call(lambda: structure_changes(self._ends.source, self._replication, excluded, run.schemas)):
            raise MigrationError(f"the structure was altered meanwhile: {listed(found)}")

    def _demand_no_failure(self) -> None:
        """Stop where something has failed, and where the time is over."""
        self._run.call(self._fence.check)
        if self._run.outcomes.failures:
            raise MigrationError("the two sides are not the same")

    def _demand_all_ended(self, ended: Ended) -> None:
        """A writer that waits would write to the source once the locks are gone."""
        if writing := [str(client) for client in ended.left if client.writes]:
            raise MigrationError(
                f"sessions that write to the source can't be ended by this role: {listed(writing)}. End them as a "
                f"superuser, and start again"
            )

    def _make_way_back(self, name: str) -> None:
        """Have the target keep what is written to it from now on, before anybody has to wait.

        An autovacuum or whatever else alters tables keeps a publication from being made, and a transaction that writes
        keeps a slot; both may take their time.
        """
        ends, replication = self._ends, self._replication
        replicated = {table.name for table in replication.tables}
        published = [found.published for found in self._prepared.tables if found.table.name in replicated]
        names = list(dict.fromkeys(published))
        note = {**note_of(replication), "target": replication.source.as_record(), "identities": []}

        def publish() -> None:
            """It is no change of the structure that was compared; what others do meanwhile is."""
            known = self._states
            execute(ends.target, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            same = state_of(ends.target) == known[1]
            create_publication(ends.target, name, names, note)
            self._states = (known[0], state_of(ends.target) if same else known[1])

        insist_on_tables(ends.target, f"publication {name} of the target can't be made", names, publish)
        # A limit for locks is one for the transactions that a slot waits for. The session is one of the run's: somebody
        # may stop it.
        waiting = self._run.connections.open(self._run.sides.target)
        with writing(waiting, SLOT_SECONDS):
            fetch(waiting, _SLOT, (name,))
        waiting.close()

    def _begin_way_back(self, name: str) -> None:
        """Have it leave out what has come from the source, which is all that was written until now.

        Raises:
            MigrationError: it would go back.
        """
        at = position(self._ends.target)
        ((reached,),) = fetch(self._ends.target, _ADVANCE, (at, name, at))
        if not reached:
            raise MigrationError(f"replication slot {name} of the target did not come to {at}")

    @property
    def _ours(self) -> list[int]:
        run, ends = self._run, self._ends
        return [*run.connections.processes(), *ends.connections.processes(), *self._fence.processes]

    def _now(self, phase: Phase, **changes: object) -> None:
        """Write down how it stands, before that is made so."""
        now = replace(self._replication, phase=phase, **changes)  # type: ignore[arg-type]
        self._run.call(lambda: record(self._ends.target, now))
        self._replication = now
