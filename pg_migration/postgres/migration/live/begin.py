"""How a run begins that is to be followed by replication, and what it may cost the source until then."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.errors import ConfigurationError, MigrationError
from pg_migration.postgres.figures import size
from pg_migration.postgres.ledger.own_rows import Databases
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.replication.coverage import Coverage
from pg_migration.postgres.replication.identities import set_identity
from pg_migration.postgres.replication.lag import LOST, slot_state
from pg_migration.postgres.replication.record import last_replication, record
from pg_migration.postgres.replication.slot import Log, make_slot
from pg_migration.postgres.replication.source_objects import drop_slot, make_publication, note_of, publish, timeline_of
from pg_migration.postgres.replication.state import TAKEN_OVER, Phase, Replication, new_name
from pg_migration.postgres.snapshot.snapshot import ListTables, Snapshot

LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Beginning:
    """What a run knows when it begins to be one that is followed."""

    connections: Connections
    source: Endpoint
    source_connection: Connection
    target_connection: Connection
    run_id: str
    databases: Databases
    coverage: Coverage
    max_retained_wal: int
    max_lag_seconds: int
    log: Log


def demand_no_replication(target: Connection, which: Identity, subscriptions: Sequence[str] = ()) -> Replication | None:
    """Refuse to write where replication writes, and where applications write since the target took over.

    Args:
        which: which database the target is.
        subscriptions: those by our names that it had when it was connected.

    Returns:
        The last replication, which is over, or whose run is dead or at work.

    Raises:
        ConfigurationError: saying what to do instead.
    """
    last = None
    with suppress(psycopg2.errors.InsufficientPrivilege):  # who may not read the ledger is told so before it is written
        last = last_replication(target)
    if last is not None and last.target.differs_from(which) is not None:
        last = None  # the bookkeeping was copied here with the database
    if unknown := [name for name in subscriptions if last is None or name != last.name]:
        raise ConfigurationError(
            f"the target has a subscription {', '.join(unknown)} that its bookkeeping does not know, as that was lost, "
            f"and replication may write to it. Give it up with pg_migration abandon. Nothing was changed."
        )
    if last is None:
        return None
    since = f"{last.changed_at:%Y-%m-%d %H:%M:%S} UTC" if last.changed_at is not None else "some time"
    if last.phase in (Phase.FOLLOWING, Phase.FENCED):
        raise ConfigurationError(
            f"the target follows a source since {since} (replication {last.name}), and nothing else may write to it. "
            f"Look at it with pg_migration lag; end it with pg_migration cutover, or give it up with pg_migration "
            f"abandon. Nothing was changed."
        )
    if last.phase is Phase.BACK:
        raise ConfigurationError(
            f"the source has taken over again from the target at {since}, which is read only since then. Run "
            f"pg_migration release first, if nothing that was written to the target is needed any more. Nothing was "
            f"changed."
        )
    if last.phase in TAKEN_OVER:
        raise ConfigurationError(
            f"the target has taken over from its source at {since}: applications write to it, and a run would "
            f"overwrite that with what the source had. Where this is really wanted, run pg_migration release first. "
            f"Nothing was changed."
        )
    return last


def begin_replication(beginning: Beginning, list_tables: ListTables, readers: int) -> tuple[Replication, Snapshot]:
    """Make publication and slot, and take over the slot's snapshot; the ledger is written before each step.

    Returns:
        The replication, in the phase COPYING, and the snapshot, which the session of the source sees.

    Raises:
        MigrationError: it can't be done. What is left has to be undone, as the ledger says.
    """
    source, target, coverage = beginning.source_connection, beginning.target_connection, beginning.coverage
    replication = Replication(
        new_name(),
        Phase.PREPARING,
        beginning.run_id,
        beginning.databases.source,
        beginning.databases.target,
        coverage.tables,
        coverage.reloaded,
        beginning.max_retained_wal,
        beginning.max_lag_seconds,
        coverage.identities,
    )
    record(target, replication)
    # In this order: a table that is published without an identity could not be updated any more.
    note = {**note_of(replication), "timeline": timeline_of(source)}
    make_publication(source, replication.name, (), note)
    for changed in coverage.identities:
        set_identity(source, changed)
    publish(source, replication.name, coverage.published)
    slot = make_slot(beginning.connections, beginning.source, replication.name, beginning.log)
    try:
        replication = replace(replication, consistent_point=slot.consistent_point)
        record(target, replication)
        snapshot = Snapshot.of_slot(
            beginning.connections, beginning.source, slot.name, slot.close, source, list_tables, readers
        )
    finally:
        slot.close()
    replication = replace(replication, phase=Phase.COPYING)
    record(target, replication)
    return replication, snapshot


class RetainedWal:
    """Looks now and then, while a run copies, how much WAL the source keeps for it, from a session of its own."""

    def __init__(self, connections: Connections, source: Endpoint, replication: Replication, log: Log) -> None:
        assert source.side is Side.SOURCE
        self._connections, self._source, self._replication, self._log = connections, source, replication, log
        self._session: Connection | None = None
        self._due, self._warned = 0.0, False

    def is_due(self) -> bool:
        """Whether it is time for a look."""
        return time.monotonic() >= self._due

    def look(self) -> None:
        """Look at the slot, and drop it where it keeps too much.

        Raises:
            MigrationError: the slot is gone, lost or was dropped: what was copied can't be followed by replication.
        """
        self._due = time.monotonic() + LOOK_SECONDS
        if self._session is None or self._session.closed:
            self._session = self._connections.open(self._source)
        slot, limit = slot_state(self._session, self._replication.name), self._replication.max_retained_wal
        if slot.wal_status in (None, LOST):
            raise MigrationError(
                f"replication slot {self._replication.name} of the source is "
                f"{'gone' if slot.wal_status is None else 'lost (max_slot_wal_keep_size)'}: the copy can't be followed "
                f"by replication. Start again."
            )
        kept = slot.retained or 0
        if kept >= limit:
            drop_slot(self._session, self._replication.name)
            raise MigrationError(over_limit(kept, limit))
        if kept >= limit / 2 and not self._warned:
            self._warned = True
            self._log.warning(half_of_limit(kept, limit))


def over_limit(kept: int, limit: int) -> str:
    """Why a slot was dropped."""
    return (
        f"the source kept {size(kept)} of WAL for the target, and max_retained_wal is {size(limit)}: the slot was "
        f"dropped, so that the source's disk does not fill"
    )


def half_of_limit(kept: int, limit: int) -> str:
    """That a slot will be dropped soon."""
    return (
        f"the source keeps {size(kept)} of WAL for the target; at {size(limit)} (max_retained_wal) the slot is dropped"
    )
