"""How far a target is behind its source, and what that costs the source."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import listed
from pg_migration.postgres.replication.slot import FAILOVER_SINCE
from pg_migration.postgres.replication.state import Replication
from pg_migration.postgres.replication.subscription import (
    DISABLED_ON_ERROR_SINCE,
    READY,
    SubscriptionState,
    disabled,
    subscription_state,
)
from pg_migration.postgres.sql_files import sql_file

POLL_SECONDS = 0.01
# Whoever stops a wait because the time is over does it about when that is.
STOPPED_SECONDS = 0.5
# Who is farther behind has to catch up before a cutover or a way back, as writers would wait for that.
MAX_LAG_SECONDS = 10.0
LOST = "lost"
WAL_STATUS_SINCE = 130000
INACTIVE_SINCE = 170000

# The standbys that are sent everything before a slot that fails over, and that nobody serves. Names of slots have no
# capitals and nothing to be quoted.
_AWAITED_STANDBYS = """
ARRAY(SELECT x.name
        FROM pg_catalog.regexp_split_to_table(
                 pg_catalog.current_setting('synchronized_standby_slots'), '[ ,"]+') AS x (name)
       WHERE s.failover AND x.name <> ''
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots p WHERE p.slot_name = x.name AND p.active)
       ORDER BY 1)
"""

_AWAITED = """
SELECT a.pid, coalesce(a.usename::pg_catalog.text, '?'), a.application_name
  FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(%s)) AS b (pid)
  JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) b.pid
"""
# Behind this message is everything that was written before it; it is on disk when the statement ends.
_MESSAGE = """
SELECT pg_catalog.set_config('synchronous_commit', 'on', true),
       pg_catalog.pg_logical_emit_message(true, 'pg_migration', '')
"""


@dataclass(frozen=True)
class Lag:
    """How a replication stands; what is not known is None.

    ``lag_bytes`` is WAL of the source that the target has not received, ``lag_seconds`` how old that is. The source
    keeps ``retained_wal_bytes`` for the slot. ``applied_per_second`` is in bytes of WAL, since this process looked
    last. ``wal_status`` is pg_replication_slots.wal_status: ``lost`` where the slot can't go on, None where it is gone.
    ``awaited_standbys`` are slots of standbys that are to have everything first, and that nobody reads.
    """

    lag_bytes: int | None
    lag_seconds: float | None
    retained_wal_bytes: int | None
    applied_per_second: float | None
    apply_errors: int | None
    conflicts: Mapping[str, int]
    tables_ready: int
    tables: int
    slot_active: bool
    wal_status: str | None
    subscription: SubscriptionState | None = field(repr=False)
    awaited_standbys: Sequence[str] = ()

    @property
    def slot_is_lost(self) -> bool:
        """Whether changes are missing that the target has not got."""
        return self.wal_status in (None, LOST)

    @property
    def is_ahead(self) -> bool:
        """Whether the target has received more than the source has written, which so is another server than it was."""
        return self.lag_bytes is not None and self.lag_bytes < 0


@dataclass(frozen=True)
class SlotState:
    """What the source says of a slot. ``retained`` and ``ahead`` (of what was confirmed) are in bytes of WAL."""

    wal_status: str | None
    retained: int | None
    active: bool
    now: float
    insert: str
    ahead: int | None
    seconds: float | None
    inactive_seconds: float | None
    failover: bool
    awaited_standbys: Sequence[str]


_looked: dict[str, tuple[float, int]] = {}


def slot_state(source: Connection, name: str, received: str | None = None) -> SlotState:
    """How a slot of the source stands.

    Args:
        received: the position that ``ahead`` counts from; by default what the target has confirmed.
    """
    version = source.server_version
    parts = {
        "status": "s.wal_status"
        if version >= WAL_STATUS_SINCE
        else "CASE WHEN s.restart_lsn IS NULL THEN 'lost' ELSE 'reserved' END",
        "inactive": "extract(epoch FROM pg_catalog.clock_timestamp() - s.inactive_since)::pg_catalog.float8"
        if version >= INACTIVE_SINCE
        else "NULL::pg_catalog.float8",
        "failover": "s.failover" if version >= FAILOVER_SINCE else "false",
        "awaited": _AWAITED_STANDBYS if version >= FAILOVER_SINCE else "'{}'::text[]",
    }
    query = sql_file("replication/queries/slot.sql")
    for part, expression in parts.items():
        query = query.replace(f"{{{part}}}", expression)
    ((status, retained, active, now, insert, ahead, seconds, inactive, failover, awaited),) = fetch(
        source, query, {"name": name, "received": received}
    )
    return SlotState(status, retained, bool(active), now, insert, ahead, seconds, inactive, bool(failover), awaited)


def lag(source: Connection, target: Connection, replication: Replication) -> Lag:
    """How far the target is behind, as far as both sides tell."""
    state = subscription_state(target, replication.name)
    slot = slot_state(source, replication.name, state.received if state else None)
    seconds = _seconds(slot, state)
    tables = state.tables if state else {}
    return Lag(
        slot.ahead,
        seconds,
        slot.retained,
        _rate(replication.name, state),
        state.errors if state else None,
        state.conflicts if state else {},
        tables.get(READY, 0),
        sum(tables.values()),
        slot.active,
        slot.wal_status,
        state,
        slot.awaited_standbys,
    )


def _seconds(slot: SlotState, state: SubscriptionState | None) -> float | None:
    if slot.ahead is not None and slot.ahead <= 0:
        return 0.0
    if not slot.active:
        return slot.inactive_seconds
    since_sent = max(0.0, slot.now - state.sent_at) if state and state.sent_at is not None else None
    known = [seconds for seconds in (slot.seconds, since_sent) if seconds is not None]
    return max(known, default=None)


def _rate(name: str, state: SubscriptionState | None) -> float | None:
    if state is None or state.received is None:
        return None
    now, (high, low) = time.monotonic(), state.received.split("/")
    at = (int(high, 16) << 32) + int(low, 16)
    before = _looked.get(name)
    _looked[name] = now, at
    if before is None or now <= before[0]:
        return None
    return max(0.0, (at - before[1]) / (now - before[0]))


def position(source: Connection) -> str:
    """The position behind everything that was written until now, with something behind that, so that it is passed.

    Args:
        source: in autocommit mode: what is written here counts only when it is committed.
    """
    ((found,),) = fetch(source, "SELECT pg_catalog.concat(pg_catalog.pg_current_wal_insert_lsn())")
    # Only what is on disk is sent; neither a setting nor a standby is to have anybody wait for that.
    execute(source, "BEGIN READ WRITE; SET LOCAL synchronous_commit = local")
    execute(source, _MESSAGE)
    execute(source, "COMMIT")
    return str(found)


def wait_until_applied(
    follower: Connection,
    replication: Replication,
    position: str,
    deadline: float,
    stopped: threading.Event,
    side: Side = Side.TARGET,
) -> None:
    """Wait until the follower has applied all that was committed on the other side before a `position`.

    What is received is applied in that order, and a commit may end exactly at the position: so only what was sent from
    behind it tells that everything before is applied.

    Args:
        deadline: of time.monotonic().
        side: the one that follows: the source, on a way back.

    Raises:
        MigrationError: not until then, or it can't any more, or somebody stopped it.
    """
    while True:
        state = subscription_state(follower, replication.name)
        if state is None:
            raise MigrationError(f"the {side.value} has no subscription {replication.name} any more")
        if not state.enabled:
            raise MigrationError(disabled(state, replication.name, side))
        query = "SELECT coalesce(%s::pg_catalog.pg_lsn > %s::pg_catalog.pg_lsn, false)"
        if state.received is not None and fetch(follower, query, (state.received, position)) == [(True,)]:
            return
        halted = stopped.wait(POLL_SECONDS)
        if time.monotonic() > deadline - (STOPPED_SECONDS if halted else 0.0):
            raise MigrationError(
                f"the {side.value} has not applied the other side's changes up to {position} in time; it has received "
                f"them up to {state.received or 'an unknown position, as no worker runs'}"
                f"{_awaited(follower, state.pid)}{_tries_again(follower)}"
            )
        if halted:
            raise MigrationError(f"the wait for the {side.value} was stopped")


def _tries_again(follower: Connection) -> str:
    """What no state tells, for people: before 15 no error disables a subscription."""
    if follower.server_version >= DISABLED_ON_ERROR_SINCE:
        return ""
    return ". Its version tries a change that fails again and again: the log of its server says whether one does"


def _awaited(follower: Connection, worker: int | None) -> str:
    """Who has a lock that a worker waits for, for people."""
    rows = fetch(follower, _AWAITED, (worker,)) if worker is not None else []
    told = [f"pid {pid} (role {role}, {program or 'no application name'})" for pid, role, program in rows]
    return f", and waits for a lock of {listed(told)}" if told else ""
