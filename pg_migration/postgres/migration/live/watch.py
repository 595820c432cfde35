"""Look after a replication: how it stands, what is wrong, and what has to be taken away for the source's sake.

A slot keeps WAL until the source's disk is full. So a look drops it when it keeps more than it may, whether the target
can be asked or not, and takes away what runs have left that are dead.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import ConnectionFailed, MigrationError, server_message
from pg_migration.postgres.figures import listed, size
from pg_migration.postgres.ledger.lock import TargetLock
from pg_migration.postgres.ledger.source_identity import Identity, place_in
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.live.begin import half_of_limit, over_limit
from pg_migration.postgres.migration.live.takeover.recovery import (
    WRITERS_GO_ON,
    let_go_on_alone,
    tried,
    undo_fence,
    undo_return,
)
from pg_migration.postgres.migration.live.undo import BEFORE_FOLLOWING, DIED, OVER, clear_dead, end, made_for, remains
from pg_migration.postgres.migration.schemas import map_schemas
from pg_migration.postgres.replication.lag import MAX_LAG_SECONDS, Lag, lag, slot_state
from pg_migration.postgres.replication.read_only import read_only_default
from pg_migration.postgres.replication.record import forget_validation, last_replication, record_resumption
from pg_migration.postgres.replication.source_objects import (
    Found,
    by_name,
    drop_slot,
    end_note,
    note_timeline,
    ours,
    timeline_of,
)
from pg_migration.postgres.replication.state import TAKEN_OVER, Phase, Replication
from pg_migration.postgres.replication.structure import structure_changes
from pg_migration.postgres.replication.subscription import (
    SubscriptionState,
    astray,
    connection_string,
    disabled,
    resume,
    subscribe,
    subscription_state,
)

SESSIONS = "pg_migration replication"
FOLLOWS = frozenset({Phase.FOLLOWING, Phase.FENCED})
_AHEAD = (
    "the target has received more than the source has written: a standby that had not everything yet has taken over, "
    "or the source was set back. What is written at the positions that the target has passed is missing"
)

# A subscription that never ran may be made again: its slot is where it began.
_NEVER_READ = """
SELECT confirmed_flush_lsn = %s::pg_catalog.pg_lsn FROM pg_catalog.pg_replication_slots WHERE slot_name = %s
"""


# A subscription that somebody has given another name.
_RIVALS = "SELECT subname::text FROM pg_catalog.pg_subscription WHERE subslotname = %s"
_CONFIRMED = "SELECT pg_catalog.concat(confirmed_flush_lsn) FROM pg_catalog.pg_replication_slots WHERE slot_name = %s"


@dataclass(frozen=True)
class Watched:
    """What a look found.

    ``replication`` is the last one into the target, as it stands now; None where there never was one. ``lag`` is there
    while it follows. ``problems`` keep it from going on, or its target from having everything; ``warnings`` may come
    to that. ``done`` is what was taken away.
    """

    replication: Replication | None
    lag: Lag | None
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    done: Sequence[str] = ()


@dataclass
class _Look:
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)


def watch(migration: Migration, drops: bool = True) -> Watched:
    """Look at the replication into a target, and do what can't wait.

    Args:
        drops: whether a slot may be dropped that keeps too much, and what dead runs have left be taken away.

    Raises:
        ConnectionFailed: a side can't be reached. Where that is the target, a slot that keeps too much was dropped all
            the same, and the message says so.
    """
    with Connections(SESSIONS) as connections:
        source = _opened(connections, migration.source)
        target = _opened(connections, migration.target)
        if isinstance(target, ConnectionFailed):
            told = [] if isinstance(source, ConnectionFailed) else _guard(source, migration, drops)
            raise ConnectionFailed("; ".join([str(target), *told]), target.transient, target.full)
        if isinstance(source, ConnectionFailed):
            told = _end_return(migration, connections, target) if drops else []
            told += _guard_way_back(migration, target, drops)
            raise ConnectionFailed("; ".join([str(source), *told]), source.transient, source.full)
        try:
            return _Watch(migration, connections, source, target, drops).look()
        except psycopg2.Error as error:
            raise ConnectionFailed(f"the look at the replication was cut off: {server_message(error)}") from error


def _opened(connections: Connections, end_: Endpoint) -> Connection | ConnectionFailed:
    try:
        return connections.open(end_)
    except ConnectionFailed as refusal:
        return refusal


def _guard(source: Connection, migration: Migration, drops: bool) -> list[str]:
    """Drop slots that keep too much for a target that can't be asked; what was found, for people."""
    place, told = place_in(migration.target.description), []
    try:
        for found in ours(source):
            if found.target is None or place not in found.target.places:
                continue
            if found.fence is not None and drops:
                told.append(let_go_on_alone(source, found))
            if found.slot:
                told.append(_guarded(source, found, drops))
    except (MigrationError, psycopg2.Error) as error:
        told.append(str(error))
    return told


def _end_return(migration: Migration, connections: Connections, target: Connection) -> list[str]:
    """Let the writers of the target go on that a way back was to keep waiting that is dead; what was done."""
    try:
        last = last_replication(target)
        if last is None or last.phase is not Phase.RETURNING:
            return []
        if last.target.differs_from(Identity.of(target, migration.target)) is not None:
            return []
        if not TargetLock(connections, migration.target, str(uuid.uuid4())).is_free():
            return []
        now = last_replication(target)
        if now is not None and now.phase is Phase.RETURNING:
            undo_return(target, now)
            return [WRITERS_GO_ON]
    except (MigrationError, psycopg2.Error) as error:
        return [str(error)]
    return []


def _guard_way_back(migration: Migration, target: Connection, drops: bool) -> list[str]:
    """End a way back that keeps too much for a source that can't be asked; what was found, for people."""
    look = _Look()
    try:
        last = last_replication(target)
        if last is None or last.way_back is None or last.phase not in TAKEN_OVER:
            return []
        if last.target.differs_from(Identity.of(target, migration.target)) is None:
            _judge_kept(look, target, last, last.way_back, drops)
    except (MigrationError, psycopg2.Error) as error:
        look.problems.append(str(error))
    return [*look.problems, *look.warnings]


def _guarded(source: Connection, found: Found, drops: bool) -> str:
    kept, limit = found.retained or 0, found.max_retained_wal
    if limit is None or kept < limit or not drops:
        return f"the source keeps {size(kept)} of WAL for it (slot {found.name})"
    reason = over_limit(kept, limit)
    drop_slot(source, found.name)
    end_note(source, found, reason)
    return reason


class _Watch:
    def __init__(
        self, migration: Migration, connections: Connections, source: Connection, target: Connection, drops: bool
    ) -> None:
        self._migration, self._connections = migration, connections
        self._source, self._target, self._drops = source, target, drops
        self._ends = Identity.of(source, migration.source), Identity.of(target, migration.target)
        self._look = _Look()

    def look(self) -> Watched:
        last = last_replication(self._target)
        if last is not None and last.target.differs_from(self._ends[1]) is not None:
            last = None  # the bookkeeping was copied here with the database
        if last is not None and last.phase in (Phase.FENCED, Phase.RETURNING):
            last = self._let_writers_go_on(last)
        if last is not None and last.phase in FOLLOWS:
            if elsewhere := last.source.differs_from(self._ends[0]):
                self._look.problems.append(
                    f"the target follows another source than the one that is configured, {elsewhere}"
                )
                return self._watched(last, None)
            return self._following(last)
        if last is not None and last.phase in BEFORE_FOLLOWING:
            return self._copying(last)
        if last is not None and last.phase in TAKEN_OVER and last.way_back is not None:
            self._look_at_way_back(last, last.way_back)
        self._clear(last)
        self._look_at_unknown(last)
        return self._watched(last_replication(self._target) if last is not None else None, None)

    def _watched(self, replication: Replication | None, found: Lag | None) -> Watched:
        look = self._look
        return Watched(replication, found, tuple(look.problems), tuple(look.warnings), tuple(look.done))

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        """Whether nobody else writes to the target, and does not as long as the block lasts."""
        with Connections(SESSIONS) as connections:
            yield TargetLock(connections, self._migration.target, str(uuid.uuid4())).is_free()

    def _tried(self, step: Callable[[], Sequence[str] | None]) -> None:
        try:
            self._look.done += step() or ()
        except MigrationError as refusal:
            self._look.problems.append(str(refusal))

    def _let_writers_go_on(self, last: Replication) -> Replication:
        """New sessions are read only since a cutover, or a way back, has begun that may be dead by now."""
        if not self._drops or last.source.differs_from(self._ends[0]):
            return last
        with self._lock() as free:
            if not free:
                return last

            def undo() -> list[str]:
                now = last_replication(self._target)
                if now is None or now == undo_fence(self._source, self._target, now):
                    return []
                return [WRITERS_GO_ON]

            self._tried(undo)
        return last_replication(self._target) or last

    def _clear(self, last: Replication | None) -> None:
        """Take away what is left in the source, with nobody at work."""
        left = remains(self._source, self._target, last, self._ends[1])
        over = last is not None and last.phase in OVER and subscription_state(self._target, last.name) is not None
        if not self._drops or not (left or over):
            return
        with self._lock() as free:
            if free:
                self._tried(lambda: clear_dead(self._source, self._target, self._ends, DIED))
            elif last is not None and last.phase in OVER:
                self._look.warnings.append(f"left in the source until now: {listed(one.name for one in left)}")

    def _look_at_unknown(self, last: Replication | None) -> None:
        """What follows into the target although the ledger does not know of it, as that was lost."""
        known = () if last is None else (last.name, last.way_back)
        for found in ours(self._source):
            if found.name in known or not made_for(found, self._ends[1]):
                continue
            if subscription_state(self._target, found.name) is not None:
                told = _guarded(self._source, found, self._drops) if found.slot else "its slot is gone"
                self._look.problems.append(
                    f"the target has a subscription {found.name} that its ledger does not know, as that was lost: "
                    f"{told}. Give it up (pg_migration abandon), and follow anew"
                )

    def _copying(self, last: Replication) -> Watched:
        with self._lock() as free:
            if free and self._drops:
                self._tried(lambda: clear_dead(self._source, self._target, self._ends, DIED))
                return self._watched(last_replication(self._target), None)
        if free:
            self._look.problems.append(f"{DIED}, and what it has made in the source is still there")
            return self._watched(last, None)
        # The run is alive. It looks at the slot itself as long as it copies; it notices that the slot is gone.
        kept, limit = slot_state(self._source, last.name).retained or 0, last.max_retained_wal
        if kept >= limit and self._drops:
            self._tried(lambda: [f"slot {last.name}"] if drop_slot(self._source, last.name) else [])
            self._look.problems.append(over_limit(kept, limit))
        elif kept >= limit / 2:
            self._look.warnings.append(half_of_limit(kept, limit))
        return self._watched(last, None)

    def _following(self, last: Replication) -> Watched:
        found = lag(self._source, self._target, last)
        kept, limit = found.retained_wal_bytes or 0, last.max_retained_wal
        if found.slot_is_lost:
            return self._ended(last, found, *self._why_lost(last, found))
        if found.is_ahead:
            return self._ended(last, found, Phase.LOST, _AHEAD)
        if last.phase is Phase.FOLLOWING:
            self._look_at_timeline(last)
        # While writers are kept waiting no WAL is written, and the cutover needs the slot yet.
        if kept >= limit and last.phase is Phase.FOLLOWING:
            reason = over_limit(kept, limit)
            if self._drops:
                self._tried(lambda: [f"slot {last.name}"] if drop_slot(self._source, last.name) else [])
            return self._ended(last, found, Phase.ABANDONED, reason)
        if kept >= limit / 2:
            self._look.warnings.append(half_of_limit(kept, limit))
        if found.subscription is None and last.phase is Phase.FOLLOWING:
            again = self._subscribed_again(last, found)
            if again is None:
                return self._watched(last_replication(self._target), found)
            found = again
        if self._resumed(last, last.name, self._source, self._target, found.subscription):
            found = lag(self._source, self._target, last)
        self._judge(last, found)
        return self._watched(last, found)

    def _look_at_timeline(self, last: Replication) -> None:
        """A standby that has taken over may lack what the target has, and writes to the same positions since."""
        now, noted = timeline_of(self._source), self._noted(last)
        if now is None or noted is None or noted.timeline in (None, now):
            return
        self._look.warnings.append(
            "a standby of the source has taken over: rows differ where it lacked something that the target has. Have "
            "everything compared (pg_migration validate)"
        )
        if not self._drops:
            return
        with self._lock() as free:
            if free and self._is_still(last) and (noted := self._noted(last)) is not None:
                forget_validation(self._target, last.name)
                if problem := tried(lambda: note_timeline(self._source, noted, now)):
                    self._look.problems.append(problem)

    def _noted(self, last: Replication) -> Found | None:
        found = by_name(self._source, last.name)
        return found if found is not None and found.note else None

    def _resumed(
        self,
        last: Replication,
        name: str,
        publisher: Connection,
        subscriber: Connection,
        state: SubscriptionState | None,
    ) -> bool:
        """Have a subscription go on that an error has disabled; whether it was.

        That the connection to the publisher was lost, as when its server was restarted, is an error like any other
        (PostgreSQL docs: CREATE SUBSCRIPTION, disable_on_error). What can't be applied fails again at once, and at the
        same position nothing is tried twice.
        """
        if not self._drops or state is None or state.enabled or not state.errors:
            return False
        ((confirmed,),) = fetch(publisher, _CONFIRMED, (name,)) or ((None,),)
        if not confirmed or not record_resumption(self._target, last.name, confirmed):
            return False
        self._tried(lambda: resume(subscriber, name))
        self._look.warnings.append(
            f"subscription {name} had been disabled by an error, such as a lost connection, and was enabled again. If "
            f"the error comes again, the log of its server says which"
        )
        return True

    def _why_lost(self, last: Replication, found: Lag) -> tuple[Phase, str]:
        note = self._noted(last)
        if note is not None and note.ended is not None:
            return Phase.ABANDONED, note.ended
        if found.wal_status is None:
            return Phase.LOST, (
                "the replication slot is gone, as somebody has dropped it or a standby without it has taken over: what "
                "was written since is missing"
            )
        return Phase.LOST, (
            "the source has removed WAL that the slot needed (max_slot_wal_keep_size): what was written since is "
            "missing"
        )

    def _ended(self, last: Replication, found: Lag, phase: Phase, reason: str) -> Watched:
        """End it, where nobody is at work with it."""
        if not self._drops:
            self._look.problems.append(reason)
            return self._watched(last, found)
        with self._lock() as free:
            if free and not self._is_still(last):  # nothing is wrong: it was brought to an end since it was looked at
                return self._watched(last_replication(self._target), None)
            self._look.problems.append(reason)
            if not free:
                return self._watched(last, found)

            def ending() -> list[str]:
                return end(self._source, self._target, last, phase, reason)[1]

            self._tried(ending)
        return self._watched(last_replication(self._target), None)

    def _is_still(self, last: Replication) -> bool:
        """Whether nobody has changed what the ledger says since this look began, as a cutover may have.

        Call it with the lock in hand.
        """
        now = last_replication(self._target)
        return now is not None and (now.name, now.phase) == (last.name, last.phase)

    def _subscribed_again(self, last: Replication, found: Lag) -> Lag | None:
        """Make the subscription of a run that died just before it did; None where somebody is at work."""
        if not self._drops or fetch(self._source, _NEVER_READ, (last.consistent_point, last.name)) != [(True,)]:
            return found
        with self._lock() as free:
            if not free or not self._is_still(last):
                return None
            if subscription_state(self._target, last.name) is None and not fetch(self._target, _RIVALS, (last.name,)):
                slot = slot_state(self._source, last.name)
                migration, source = self._migration, self._source
                url = connection_string(migration.source, source, migration.replication_url)
                try:
                    subscribe(self._target, last, url, source.server_version, slot.failover)
                except MigrationError as refusal:
                    self._look.problems.append(str(refusal))
        return lag(self._source, self._target, last)

    def _judge(self, last: Replication, found: Lag) -> None:
        problems, warnings = self._look.problems, self._look.warnings
        state = found.subscription
        if state is None:
            problems.append(
                f"the target has no subscription {last.name} any more: somebody has dropped or renamed it. Drop what "
                f"reads its slot by another name, run pg_migration abandon, and begin anew"
            )
        elif not state.enabled:
            problems.append(disabled(state, last.name, Side.TARGET))
        elif state.pid is None:
            warnings.append(
                f"no worker of the target runs for subscription {last.name}; its log says why. Where the source's "
                f"address or password is another one now: ALTER SUBSCRIPTION {last.name} CONNECTION '...'"
            )
        elif not found.slot_active:
            warnings.append(f"nobody reads slot {last.name} of the source")
        if found.awaited_standbys:
            warnings.append(
                f"the source sends nothing before its standbys have it, and nobody reads "
                f"{listed(found.awaited_standbys)} of its synchronized_standby_slots: start them, or change that"
            )
        if state is not None and not state.ready:
            problems.append(f"{found.tables - found.tables_ready} of {found.tables} tables are not replicated yet")
        if state is not None:
            problems += astray(state, last, Side.TARGET.value)
        said = read_only_default(self._source) if last.phase is Phase.FOLLOWING else None
        if said is not None and said.lower() in ("on", "true", "yes", "1"):
            warnings.append(
                "new sessions of the source are read only by default (default_transaction_read_only): somebody has "
                "made it so, or it was cut over to another target"
            )
        if found.conflicts:
            told = ", ".join(f"{count} {name}" for name, count in sorted(found.conflicts.items()))
            warnings.append(f"changes met other rows in the target than in the source: {told}")
        problems += structure_changes(self._source, last, self._migration.options.exclude_tables, self._schemas())
        if problems and self._drops:
            forget_validation(self._target, last.name)

    def _schemas(self) -> Sequence[str]:
        migration = self._migration
        whole = self._source if migration.is_whole else None
        return list(map_schemas(migration.source_schemas, migration.target_schemas, whole))

    def _look_at_way_back(self, last: Replication, name: str) -> None:
        _judge_kept(self._look, self._target, last, name, self._drops)
        if last.phase is not Phase.MOVED:
            return
        state = subscription_state(self._source, name)
        if state is None:
            with self._lock() as free:
                if free:  # else the cutover is about to make it
                    self._look.problems.append(
                        "the source has no subscription, so that nothing is written back: start the cutover again, "
                        "which makes one, or give the way back up (pg_migration end-way-back)"
                    )
            return
        if not state.enabled and not self._resumed(last, name, self._target, self._source, state):
            self._look.problems.append(disabled(state, name, Side.SOURCE))
        behind = lag(self._target, self._source, replace(last, name=name)).lag_seconds
        if behind is not None and behind > MAX_LAG_SECONDS:
            self._look.warnings.append(f"on the way back, the source is {behind:.0f} s behind the target")


def _judge_kept(look: _Look, target: Connection, last: Replication, name: str, drops: bool) -> None:
    """The target keeps WAL for the old server, which may be gone: the way back ends before a disk is full."""
    slot = slot_state(target, name)
    kept, limit = slot.retained or 0, last.max_retained_wal
    if kept >= limit and drops:
        if problem := tried(lambda: drop_slot(target, name)):
            look.problems.append(problem)
            return
        look.done.append(f"slot {name} of the target")
        look.problems.append(
            f"the target kept {size(kept)} of WAL for the way back, and max_retained_wal is {size(limit)}: its slot "
            f"was dropped, and there is no way back any more (pg_migration end-way-back)"
        )
    elif kept >= limit / 2:
        look.warnings.append(f"the target keeps {size(kept)} of WAL for the way back; at {size(limit)} it ends")
    if slot.wal_status is None and last.phase is not Phase.ENDED:
        look.problems.append("the slot of the way back is gone: there is no way back any more")
