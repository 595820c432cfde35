"""What a run has to do with replication: that of others, which it respects, and its own, where it begins one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property

import psycopg2

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import MigrationError, SourceChanged
from pg_migration.postgres.figures import bytes_of, listed
from pg_migration.postgres.ledger.lock import TargetLock
from pg_migration.postgres.ledger.runs import session_name
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.live.begin import (
    Beginning,
    RetainedWal,
    begin_replication,
    demand_no_replication,
)
from pg_migration.postgres.migration.live.undo import BEFORE_FOLLOWING, DIED, OVER, clear_dead
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.migration.state.sides import Sides
from pg_migration.postgres.planning.forecast import copying_takes
from pg_migration.postgres.preflight import Ends, Finding
from pg_migration.postgres.preflight.resources import data_folder
from pg_migration.postgres.replication.coverage import coverage
from pg_migration.postgres.replication.prerequisites import Following, look_at_replication, wal_limit
from pg_migration.postgres.replication.record import last_replication
from pg_migration.postgres.replication.slot import Log
from pg_migration.postgres.replication.state import Phase, Replication
from pg_migration.postgres.replication.subscription import connection_string
from pg_migration.postgres.snapshot.snapshot import ListTables, Snapshot


class RunsReplication:
    """The replication of one run.

    ``follows``: whether the target is to follow the source when the run has copied everything. ``replication``: that
    which it has begun, since its slot is there. ``moves``: whether one side is about to take over, so that nothing else
    may write there.
    """

    def __init__(
        self,
        run_id: str,
        follows: bool,
        options: Options,
        define: Callable[[], Migration],
        connections: Connections,
        sides: Sides,
        log: Log,
    ) -> None:
        """
        Args:
            define: what is migrated.
            log: may be used by every thread.
        """
        self.follows = follows
        self.moves = False
        self.replication: Replication | None = None
        self._run_id, self._options, self._define = run_id, options, define
        self._connections, self._sides, self._log = connections, sides, log
        self._following: Following | None = None
        self._retained: RetainedWal | None = None
        self._made_replication = False

    def demand_none(self) -> Replication | None:
        """Refuse to write where replication or applications do; the last replication, where it does not stand so.

        Raises:
            MigrationError: saying what to do instead.
        """
        sides = self._sides
        if sides.ledger is None and not sides.subscriptions:
            return None
        return demand_no_replication(sides.target_connection, sides.identities[Side.TARGET], sides.subscriptions)

    def clear(self, exclusive: bool) -> None:
        """Refuse to write where replication or applications do, and take away what dead runs have left.

        That has to be done before this run locks tables of the source.

        Args:
            exclusive: refuse when another run writes to the target, instead of waiting for it.
        """
        last, sides = self.demand_none(), self._sides
        left = last is not None and (
            last.phase in BEFORE_FOLLOWING or (last.phase in OVER and last.name in sides.subscriptions)
        )
        if self.follows or left:
            sides.take_lock(self._run_id, exclusive)
            ends = sides.identities[Side.SOURCE], sides.identities[Side.TARGET]
            done = clear_dead(sides.source_connection, sides.target_connection, ends, DIED, whole=self.follows)
            if done:
                self._log.warning(f"taken away of what an earlier run has left in the source: {listed(done)}")

    def at_stake(self, ends: Ends, catalog: Catalog, workers: Callable[[], int]) -> Iterator[Finding]:
        """Whether the target can follow the source after the copy; nothing where the run does not."""
        if self.follows:
            self._following = self._what_follows(ends, catalog, workers())
            yield from look_at_replication(self._following)

    def _what_follows(self, ends: Ends, catalog: Catalog, workers: int) -> Following:
        """What is looked at before, and made."""
        options, sides, migration = self._options, self._sides, self._define()
        url = connection_string(sides.source, sides.source_connection, migration.replication_url)
        return Following(
            ends,
            self._connections,
            sides.source,
            sides.databases,
            catalog,
            coverage(sides.source_connection, catalog, options.no_identity),
            options.no_identity,
            bytes_of(options.max_retained_wal),
            url,
            is_other_way=bool(migration.replication_url.strip()),
            seconds=copying_takes(sides.target_connection, catalog.tables, workers),
        )

    def begin(self, list_tables: ListTables, readers: int) -> Snapshot:
        """Make what the source needs for it, and take the slot's snapshot; call it when `at_stake` found no error.

        Raises:
            MigrationError: it can't be done. `close` takes away what is left.
        """
        following, sides = self._following, self._sides
        assert following is not None, "at_stake() was asked"
        source, target = sides.source_connection, sides.target_connection
        beginning = Beginning(
            *(self._connections, sides.source, source, target, self._run_id, sides.databases, following.coverage),
            *(wal_limit(source, following.max_retained_wal, data_folder(source)).bytes, self._options.max_lag_seconds),
            log=self._log,
        )
        self._made_replication = True
        self.replication, snapshot = begin_replication(beginning, list_tables, readers)
        self._retained = RetainedWal(self._connections, sides.source, self.replication, self._log)
        return snapshot

    def demand_same_coverage(self, catalog: Catalog) -> None:
        """Refuse to go on where tables are not as they were published.

        Args:
            catalog: the source's, as the slot's snapshot shows it.

        Raises:
            SourceChanged: they are not.
        """
        assert self._following is not None, "at_stake() was asked"
        now = coverage(self._sides.source_connection, catalog, self._options.no_identity)
        if others := self._following.coverage.differs_from(now):
            raise SourceChanged(
                f"tables of the source were made or changed while the run began: {listed(others)}. Start the run again."
            )

    @property
    def is_look_due(self) -> bool:
        """Whether a slot keeps WAL for this run, and nobody has looked how much for a while."""
        return self._retained is not None and self._retained.is_due()

    def look_at_slot(self) -> None:
        """Look that this is not too much.

        Raises:
            MigrationError: the slot is gone, or was dropped.
        """
        assert self._retained is not None, "a look is due"
        self._retained.look()

    @property
    def followed(self) -> Replication | None:
        """What replicates from the source to the target meanwhile, in a run that compares both as they are."""
        return None if self._sides.snapshot is not None or not self._sides.has_ledger else self._followed

    @cached_property
    def _followed(self) -> Replication | None:
        found, ends = last_replication(self._sides.target_connection), self._sides.identities
        if found is None or found.phase is not Phase.FOLLOWING:
            return None
        there = (ends[Side.SOURCE].differs_from(found.source), ends[Side.TARGET].differs_from(found.target))
        return found if there == (None, None) else None

    def close(self, failures: Sequence[str]) -> None:
        """Take away what this run has made in the source, unless the target follows; call it when its own sessions have
        no locks there any more.

        Whoever has the target's lock by then does it in its place; where a server is away, the next run or look does.

        Args:
            failures: of the run.
        """
        if not self._made_replication:
            return
        if self.replication is not None and self.replication.phase not in BEFORE_FOLLOWING:
            return
        reason = failures[0] if failures else "the run ended before the target followed"
        source_end, target_end = self._sides.source, self._sides.target
        with Connections(session_name(self._run_id)) as connections, suppress(MigrationError, psycopg2.Error):
            lock = TargetLock(connections, target_end, self._run_id)
            lock.acquire()
            source, target = connections.open(source_end), connections.open(target_end)
            ends = Identity.of(source, source_end), Identity.of(target, target_end)
            clear_dead(source, target, ends, reason, whole=False)
