"""The state of one run: its connections, its one snapshot, what it found and what became of it.

Steps of a run share one process (the jobs use the in-process executor), so this is held by the resource ``migration``
and passed from step to step.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol, TypeVar

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import (
    Address,
    Catalog,
    SchemaObject,
    Surroundings,
    Table,
    TableName,
    discover,
    read_surroundings,
)
from pg_migration.postgres.catalog.identity import identity_of, there
from pg_migration.postgres.catalog.values_path import application_path
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.free_connections import (
    affordable_runs,
    affordable_workers,
)
from pg_migration.postgres.connection.literals import readable
from pg_migration.postgres.connection.statements import execute, fetch, gathered
from pg_migration.postgres.ddl import (
    Reconciliation,
    Surplus,
    Verdict,
    acted_for,
    attainable,
    brought_tables,
    create_roles,
    missing_roles,
    reconcile,
    within_reach,
)
from pg_migration.postgres.errors import (
    ConfigurationError,
    MigrationError,
    NotPermitted,
    SourceChanged,
    StructureConflict,
)
from pg_migration.postgres.figures import listed
from pg_migration.postgres.hashing.copied_rows import HashedChunks, record_digests
from pg_migration.postgres.hashing.digests import Hashing, Sized, count_as_digest
from pg_migration.postgres.large_objects.prerequisites import look_at_large_objects
from pg_migration.postgres.ledger import chunks, own_rows, plans, source_state
from pg_migration.postgres.ledger import runs as runs_
from pg_migration.postgres.ledger.brought_objects import forget_brought, of_next
from pg_migration.postgres.ledger.chunks import LoadedRange
from pg_migration.postgres.ledger.lock import BorrowedLock
from pg_migration.postgres.ledger.progress import forget_progress, record_progress
from pg_migration.postgres.ledger.runs import applied_transforms, has_rows, record_transform, shared_snapshot
from pg_migration.postgres.migration.catalogs import TargetCatalogs
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.live.of_run import RunsReplication
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.migration.outcomes import Outcomes
from pg_migration.postgres.migration.schemas import map_schemas
from pg_migration.postgres.migration.state.sides import Sides
from pg_migration.postgres.planning.plan import TablePlan, in_order
from pg_migration.postgres.planning.planner import Planner
from pg_migration.postgres.planning.wire_format import raw_encoding
from pg_migration.postgres.preflight import (
    Ends,
    Finding,
    Intent,
    Severity,
    demand,
    look_at_contents,
    look_at_servers,
    look_at_transform,
    rows_to_delete,
)
from pg_migration.postgres.preflight.objects import NOT_COPIED
from pg_migration.postgres.preflight.permissions import different
from pg_migration.postgres.preflight.resources import ALL_CONNECTIONS, CONNECTIONS
from pg_migration.postgres.roles.reach import Standing, standing_of
from pg_migration.postgres.snapshot.readers import Lockable, lockable_tables
from pg_migration.postgres.snapshot.snapshot import Protected, Snapshot
from pg_migration.postgres.statistics import extended
from pg_migration.postgres.statistics.restoring import RESTORED_SINCE
from pg_migration.postgres.swap import shadows
from pg_migration.postgres.swap.names import next_name, previous_name
from pg_migration.postgres.swap.refusals import look_at_swap, without_publications
from pg_migration.postgres.transfer.events import Event, RowsHashed, WorkerLeft, is_complete
from pg_migration.postgres.transfer.load_context import LoadContext, Lock
from pg_migration.postgres.transfer.progress import Pace, Progress
from pg_migration.postgres.transfer.workload import COUNTING, Workload
from pg_migration.postgres.transform.document import Document
from pg_migration.postgres.transform.probing import Source
from pg_migration.postgres.transform.transformation import Transformation, transform

Result = TypeVar("Result")

# Between two times that the ledger is told how far the run is.
RECORD_SECONDS = 2.0


class Log(Protocol):
    """Where a run writes what it does: Python's own loggers, and Dagster's."""

    def info(self, message: str, /) -> object:
        """What goes as it should."""

    def warning(self, message: str, /) -> object:
        """What people should know."""

    def error(self, message: str, /) -> object:
        """A problem that makes the run fail."""


@dataclass(frozen=True)
class _Later:
    """Where threads that may not use the log put what is to be logged."""

    warning: Callable[[str], object]


@dataclass(frozen=True)
class Scope:
    """What of the target a run may empty or replace: these tables by their names there (None: all).

    ``structure``: whether it makes the structure, and so may drop tables.
    """

    tables: frozenset[TableName] | None = None
    structure: bool = True


class MigrationRun:
    """One run. Nothing is connected before `begin`; `close` ends everything, whatever state it is in."""

    def __init__(
        self,
        run_id: str,
        options: Options,
        define: Callable[[], Migration],
        owner: str | None = None,
        makes_everything: bool = False,
    ) -> None:
        """
        Args:
            options: the same as the migration's, known also where the migration can't be made.
            define: makes the migration; called once, when the run begins.
            owner: the run whose snapshot and lock this run borrows, to copy ranges for it.
            makes_everything: whether it is to make and load everything, and so beside what is there where the options
                say so.
        """
        self.run_id = run_id
        self.options = options
        self.owner = owner
        self.swaps = makes_everything and options.refresh == "swap"
        self.connections = Connections(runs_.session_name(owner or run_id))
        self.outcomes = Outcomes()
        self.begun = False
        self._covers_everything = False
        self.reported = False
        self.dropped: tuple[SchemaObject, ...] = ()  # in the target, not for good, in this order
        self.kept: frozenset[Address] = frozenset()  # of the source: what was in the target already, and the same
        self._plans: dict[TableName, TablePlan] = {}
        self._workers: int | None = None
        self._workers_left, self._left_note = 0, ""
        self.workload = Workload()
        self._pace, self._record_at = Pace(), 0.0
        self.unrecorded: list[RowsHashed] = []
        self.transformation: Transformation | None = None
        # Of a run that only compares a subset, whose rows are known in it alone.
        self.held_snapshot: Snapshot | None = None
        self._chooses_anew = False
        self.listeners: list[Callable[[Event], object]] = []  # in the thread that waits for the work
        self.log: Log = logging.getLogger(__name__)
        self._define, self._thread = define, threading.get_ident()
        self._waits: queue.SimpleQueue[str] = queue.SimpleQueue()
        ours = [f"{runs_.session_name(run)}%" for run in dict.fromkeys((owner or run_id, run_id))]
        later = _Later(self._waits.put)
        self.sides = Sides(
            lambda: self.migration, self.connections, options.create_roles, self.outcomes, ours, self._waits.put
        )
        follows = makes_everything and options.follow
        self.live = RunsReplication(
            run_id, follows, options, lambda: self.migration, self.connections, self.sides, later
        )
        self.connections.meanwhile = self._log_waits

    @cached_property
    def migration(self) -> Migration:
        """What is migrated.

        Raises:
            ConfigurationError: when that can't be told.
        """
        return self._define()

    def tell(self, event: Event) -> None:
        """Tell whoever listens of something that happened, or how far the run is, which is logged now and then."""
        if isinstance(event, Progress):
            self._note(event)
            if self.live.is_look_due:
                self.call(self.live.look_at_slot)
        for listener in self.listeners:
            listener(event)

    def _note(self, progress: Progress) -> None:
        """Let those know who look at the log or ask the target, without telling too much."""
        if self._pace.is_due():
            self.log.info(readable(f"{progress.phase}: {progress.total}"))
        if self.begun and self.owner is None and time.monotonic() >= self._record_at:
            self._record_at = time.monotonic() + RECORD_SECONDS
            with suppress(MigrationError):  # what is wrong with the target will show elsewhere
                self.call(lambda: record_progress(self.sides.target_connection, self.run_id, progress.as_json()))

    def fail(self, problem: str) -> None:
        """Put a problem where people look: in the run's log and its summary."""
        problem = readable(problem)
        self.log.error(problem)
        self.outcomes.failures.append(problem)

    def begin(self, exclusive: bool, scope: Scope = Scope()) -> None:
        """Connect to both ends, make sure that the migration may go ahead, and take the snapshot. Again: does nothing.

        Args:
            exclusive: refuse when another run writes to the target, instead of waiting for it.
            scope: what of the target it is going to empty or replace.

        Raises:
            MigrationError: for everything that a user can mend; the target was not touched.
        """
        if self.begun:
            return
        self.migration.check()
        self._covers_everything = exclusive
        source, target, owner = self.sides.source, self.sides.target, self.owner
        self.call(lambda: self._borrow(source, target, owner) if owner else self._connect(source, exclusive, scope))
        self.begun = True

    def _connect(self, source: Endpoint, exclusive: bool, scope: Scope) -> None:
        whole = exclusive and scope == Scope()
        self._chooses_anew = whole
        self.sides.connect()  # both ends are tried before anything else
        self.live.clear(exclusive)
        self._look([*look_at_servers(self.ends, self.intent), *self.other_database()])
        workers = self.workers()
        self.sides.at_once(
            # Whose snapshot is that of a slot locks nothing before there is one.
            lambda: None if self.live.follows else setattr(self.sides, "snapshot", self.protected_snapshot(workers)),
            lambda: self.sides.prepare_lock(self.run_id),
            lambda: self._surroundings,
            self.sides.keep_a_writer,
        )
        if self.sides.snapshot is not None:
            self._check_protected(self.sides.snapshot)
        self._look(look_at_contents(self.ends, self.catalog, self.intent))
        self.sides.take_lock(self.run_id, exclusive)
        self.live.demand_none()  # nobody has begun one until the lock was there
        self._look(self.large_objects_at_stake())
        if not whole:
            self.demand_same_transform()
        anew = whole or not has_rows(self.sides.target_connection, self.schemas.values())
        self._look([self.rows_at_stake(scope)])
        self._look(self.swap_at_stake())
        self._look(self.live.at_stake(self.ends, self.catalog, self.workers))
        with self.target_catalogs.unaffected():
            if self.options.create_roles:
                missing = missing_roles(self.sides.target_connection, self.catalog)
                create_roles(self.sides.target_connection, missing, acted_for(self.catalog))
            self.sides.set_event_triggers_aside()
        if self.sides.ledger is not None:
            runs_.end_orphans(self.sides.target_connection, self.run_id)
        if self.live.follows:
            self._begin_replication(workers)
        assert self.sides.snapshot is not None
        if self.swaps:
            forget_brought(self.sides.target_connection, self.origin)
            shadows.forget_loaded(self.sides.target_connection, self._live)
        names = {table: self.place(table) for table in self.catalog.tables}
        with gathered(self.sides.target_connection):
            runs_.open_run(
                self.sides.target_connection, self.run_id, source, self.sides.snapshot, self.sides.identity_records
            )
            if anew:
                document = self._document
                applied = (document.digest, self.moment) if document is not None else None
                record_transform(self.sides.target_connection, self.schemas.values(), self.run_id, applied)
            forget_progress(self.sides.target_connection)
            own_rows.forget_counts(self.sides.target_connection, self._emptied(scope))
            source_state.record(self.sides.source_connection, self.sides.target_connection, self.run_id, names)

    def begin_beside(self, lock: Lock, snapshot: Snapshot) -> None:
        """Begin with the target's lock and a snapshot, that `source_connection` sees, of a caller who has made sure of
        everything else."""
        self.sides.lock, self.sides.snapshot = lock, snapshot
        runs_.open_run(
            self.sides.target_connection, self.run_id, self.sides.source, snapshot, self.sides.identity_records
        )
        self.begun = True

    def _begin_replication(self, readers: int) -> None:
        """Take the snapshot of the replication that this run begins."""
        self.sides.snapshot = snapshot = self.live.begin(self._to_protect, readers)
        # What was read until now was not read in the snapshot.
        self.read_anew()
        self.__dict__.pop("live_catalog", None)
        self._check_protected(snapshot)
        self.live.demand_same_coverage(self.catalog)
        self.outcomes.notes += [
            f"{'.'.join(name)} was emptied or rewritten by somebody just after the replication slot was made: the "
            f"snapshot shows no rows, and replication does the same to the copy"
            for name in sorted(snapshot.emptied)
        ]

    def read_anew(self) -> None:
        """Forget what is known of the structure of both sides."""
        for known in ("catalog", "target_catalogs"):
            self.__dict__.pop(known, None)

    def _borrow(self, source: Endpoint, target: Endpoint, owner: str) -> None:
        """Read what another run reads, and write under its lock; it has made sure of everything else."""
        shared = shared_snapshot(self.sides.target_connection, owner)
        self.sides.lock = BorrowedLock(self.connections, target, owner, self.run_id)
        self.sides.lock.check_held()
        self.sides.snapshot = Snapshot.borrow(
            self.connections, source, shared, self.sides.source_connection, self._to_protect, self.workers()
        )

    def protected_snapshot(self, readers: int) -> Snapshot:
        """A snapshot of the source, which `source_connection` sees from now on, as it is told in `Protected.of`."""
        return self.protected(readers).take()

    def protected(self, readers: int) -> Protected:
        """What is locked for it, before it is taken."""
        return Protected.of(
            self.connections, self.sides.source, self.sides.source_connection, self._to_protect, readers
        )

    def _to_protect(self, source: Connection) -> Sequence[Lockable]:
        return lockable_tables(source, list(self.schemas), self.options.exclude_tables)

    def _check_protected(self, snapshot: Snapshot) -> None:
        """Refuse to go on with tables that were made between the listing of what to lock and the snapshot."""
        locked = {table.name for table in snapshot.tables}
        if new := [".".join(table.key) for table in self.catalog.tables if table.key not in locked]:
            raise SourceChanged(
                f"tables of the source were made while the run began: {listed(new)}. Start the run again."
            )

    def _emptied(self, scope: Scope) -> set[TableName]:
        names = {self.place(table) for table in self.catalog.tables}
        return names if scope.tables is None else names & scope.tables

    def unknown_rows(self, scope: Scope = Scope()) -> list[own_rows.UnknownRows]:
        """The tables of the target whose rows would be lost, and were not loaded by us from this source."""
        if self.swaps:
            at_stake = shadows.tables_at_stake(self.sides.target_connection, self._live)
            return own_rows.unknown_rows(self.sides.target_connection, self.sides.databases, (), at_stake)
        dropped: set[TableName] = set()
        if scope.structure and self.options.drop_existing_tables:
            plan = reconcile(self.catalog, self.target_catalogs.now(), drop_existing=True)
            dropped = {item.table for item in plan.dropped if item.kind == "table" and item.table is not None}
        elif scope.structure and self._has_lost_tables():
            target = self.target_catalogs.now()
            taken_back = Surplus(self.catalog, target).taken_back
            dropped = {
                item.table
                for item in target.objects
                if item.kind == "table" and item.table is not None and item.address in taken_back
            }
        return own_rows.unknown_rows(self.sides.target_connection, self.sides.databases, self._emptied(scope), dropped)

    @property
    def _live(self) -> list[str]:
        return list(self.live_schemas.values())

    def other_database(self) -> list[Finding]:
        """That a swap does not put the copy in the place of what it was copied from."""
        if not self.swaps:
            return []
        inner = {name: name for live in self._live for name in (live, next_name(live), previous_name(live))}
        return [different(replace(self.ends, schemas={**{name: name for name in self.schemas if name in inner}}))]

    def swap_at_stake(self, live: Catalog | None = None) -> Iterator[Finding]:
        """What of the target would be lost by a swap, or stands in its way; nothing where the run does not swap.

        Args:
            live: what is live, where the caller has just read it.
        """
        if not self.swaps:
            return
        source, target = self.live_catalog, live or self.target_catalog_of({n: n for n in self._live})
        own, theirs = Surplus(source, target).staying(Verdict.OWN), there(target)
        left_out = [item for item in source.excluded if identity_of(source, item) in theirs]
        yield from look_at_swap(self.sides.target_connection, self._live, source, own, left_out)

    def _has_lost_tables(self) -> bool:
        """Whether the source lacks tables that it once had, and the target may still have."""
        if self.sides.ledger is None:
            return False
        had = brought_tables(self.sides.target_connection, self.sides.source.place)
        return not had <= set(map(self.catalog.target_name, self.catalog.tables_by_name))

    def rows_at_stake(self, scope: Scope = Scope()) -> Finding:
        """What of the target's rows would go: refused, unless they are ours or the configuration allows it."""
        found = self.unknown_rows(scope)
        if not found:
            known = self.sides.ledger is not None
            emptied = (
                shadows.tables_at_stake(self.sides.target_connection, self._live)
                if self.swaps
                else self._emptied(scope)
            )
            ours = own_rows.written(self.sides.target_connection, emptied) if known else []
            return rows_to_delete.of_ours(ours)
        where = self.outcomes.addresses[Side.TARGET]
        return rows_to_delete.of_unknown_rows(found, where, self.options.overwrite_existing_rows)

    def large_objects_at_stake(self) -> Iterator[Finding]:
        """Whether the source's large objects can be read, and made in the target; nothing where it has none."""
        found, options = self.catalog.large_objects, self.options
        if found is not None:
            yield from look_at_large_objects(
                self.ends,
                found,
                self.sides.databases,
                options.owners,
                options.privileges,
                options.overwrite_existing_rows,
            )

    def _look(self, found: Iterable[Finding]) -> None:
        """Keep what preflight finds; its warnings go to the summary, unless they come there in another way.

        Raises:
            NotReady: when there is an error among it.
        """
        findings = list(found)
        self.outcomes.findings += findings
        self.outcomes.notes += [
            f"{finding.check}: {finding}"
            for finding in findings
            if finding.severity is Severity.WARNING
            and finding.check not in (*CONNECTIONS.values(), ALL_CONNECTIONS, NOT_COPIED)
        ]
        demand(findings)

    @property
    def ends(self) -> Ends:
        """Both sides, as preflight asks them."""
        connections = self.sides.source_connection, self.sides.target_connection
        return Ends(*connections, self.sides.target, self.schemas, self.sides.reach, self._structure)

    def _structure(self) -> tuple[Catalog, Reconciliation] | None:
        try:
            target = self.target_catalogs.now()
            return target, reconcile(self.catalog, target, self.options.drop_existing_tables)
        except (NotPermitted, StructureConflict):  # which is told by whoever is to change something
            return None

    @cached_property
    def _standing(self) -> Standing | None:
        """How it stands to what is there, where what it can't change is to be left as it is."""
        if self.options.owners != "best_effort" or self.sides.reach.superuser:
            return None
        return standing_of(self.sides.target_connection, self.schemas.values())

    @property
    def intent(self) -> Intent:
        """What preflight has to know of the configuration."""
        options = self.options
        return Intent(options.workers, options.partition_threshold, options.create_roles)

    @cached_property
    def live_schemas(self) -> Mapping[str, str]:
        """Source schema to the target schema that people know."""
        migration = self.migration
        connection = self.sides.source_connection if migration.is_whole else None
        return map_schemas(migration.source_schemas, migration.target_schemas, connection)

    @cached_property
    def schemas(self) -> Mapping[str, str]:
        """Source schema to the target schema that the run works in."""
        if not self.swaps:
            return self.live_schemas
        return {source: next_name(live) for source, live in self.live_schemas.items()}

    def as_known(self, place: TableName) -> TableName:
        """The name of a table in the target, as people know it, for where it is now."""
        known = {inner: self.live_schemas[source] for source, inner in self.schemas.items()}
        return known.get(place[0], place[0]), place[1]

    def make_shadows(self) -> None:
        """Where the run swaps, make the schemas that it works in, in place of those that earlier runs have left."""
        if self.swaps:
            shadows.make(self.sides.target_connection, self._live, self.run_id)
            self.target_catalogs.changed()

    def swapped(self, source: Catalog) -> None:
        """Say that what the run has made is where people look for it.

        Args:
            source: as `catalog`, with these names of the target's schemas.
        """
        self.swaps = False
        for known in ("schemas", "catalog", "target_catalogs"):
            self.__dict__.pop(known, None)
        self.catalog = source

    @cached_property
    def catalog(self) -> Catalog:
        """The source's structure, in the snapshot, less the excluded tables."""
        if self.swaps:
            # What is said of names that stay as text is of those that people know.
            found = replace(without_publications(self.catalog_of(self.schemas)), notices=self.live_catalog.notices)
        else:
            found = self.catalog_of(self.schemas)
        found = self._transformed(found)
        # The schemas themselves, and what is said of them, are no contents.
        schemas = {item.address[:2] for item in found.objects if item.kind == "schema"}
        if found.large_objects is None and all(item.address[:2] in schemas for item in found.objects):
            raise ConfigurationError(
                f"schema {', '.join(self.schemas)} of the source {self.sides.source.description} is empty or wholly "
                f"excluded: check PG_MIGRATION_SOURCE_URL and PG_MIGRATION_SOURCE_SCHEMA"
            )
        return found

    @cached_property
    def live_catalog(self) -> Catalog:
        """The source's structure with the names that it has in the target once it is swapped, in the snapshot."""
        return self.catalog_of(self.live_schemas)

    def catalog_of(self, schemas: Mapping[str, str]) -> Catalog:
        """The source's structure with these names of the target's schemas; all of each table's rows are read of it."""
        with _said_of(self.sides.source):
            around = self._surroundings
            found = discover(
                self.sides.source_connection,
                schemas,
                self.options.exclude_tables,
                target_version=self.sides.target_connection.server_version,
                target_extensions=around.extensions,
                surroundings=around,
                keep_versions=self.options.extension_versions == "source",
                maker=self.sides.reach.role,
                **self._discovered,
            )
        whole, names, unsaid = found, schemas.values(), self._standing

        def there() -> Catalog:
            return self.target_catalog_of({name: name for name in names}, own_grants=self._is_in(whole))

        found = attainable(whole, self.sides.target_connection, self.sides.reach, names, there, unsaid)
        if found.large_objects is not None and self.sides.are_one_database:  # which has them already
            found = replace(found, large_objects=None)
        return found

    def _transformed(self, found: Catalog) -> Catalog:
        """The source's structure with what is read of each table, which is tried first.

        Raises:
            ConfigurationError, NotReady: it can't be read so; nothing was changed.
        """
        document = self._document
        if document is None:
            return found
        if document.subset is not None and self.sides.snapshot is None:
            self.held_snapshot = self.protected_snapshot(self.workers())
        source = Source(self.sides.source_connection, application_path(found.settings, {}))
        self.transformation = made = transform(document, found, source, self.moment, self.options.try_all_rows)
        done = made.applied(found)
        self._look(look_at_transform(made, done, document, self.sides.target_connection.server_version))
        return done

    def _make_sure_of_transform(self) -> None:
        """Before rows are read: what is not to leave the source must not because of a mistake in this program.

        Raises:
            MigrationError: rows would be read as they are.
        """
        made = self.transformation
        wanted = made.tables if made is not None else {}
        read = {table.key: table.transform for table in self.catalog.tables if table.transform is not None}
        if (self._document is not None and made is None) or read != wanted:
            raise MigrationError("the transform is not applied to what would be read; no row was copied")

    @cached_property
    def _document(self) -> Document | None:
        return self.migration.transform()

    @property
    def ignored_columns(self) -> frozenset[str]:
        """The columns that look personal and need no mask, as they were named."""
        return frozenset(self._document.ignored if self._document is not None else ())

    @property
    def transforms(self) -> bool:
        """Whether rows are chosen or masked."""
        return self._document is not None

    @property
    def is_strict(self) -> bool:
        """Whether a column that looks personal and is not masked is an error."""
        return self._document is not None and self._document.strict

    @cached_property
    def moment(self) -> datetime:
        """What conditions take for now: when the rows that are there were chosen, where that was by the same transform.

        A run that loads everything anew chooses anew, unless it goes on after one that did not succeed.
        """
        document, applied = self._document, applied_transforms(self.sides.target_connection, self.schemas.values())
        known = next((a for a in applied if document is not None and a.digest == document.digest), None)
        if known is not None and not (self._chooses_anew and known.succeeded):
            return known.moment
        ((now,),) = fetch(self.sides.source_connection, "SELECT pg_catalog.now()")
        assert isinstance(now, datetime)
        return now

    def demand_same_transform(self) -> None:
        """Make sure that the target's rows were chosen and masked as this run would.

        Raises:
            ConfigurationError: they were not.
        """
        self.sides.connect()
        ours = self._document.digest if self._document is not None else None
        applied = {found.digest for found in applied_transforms(self.sides.target_connection, self.schemas.values())}
        if applied == ({ours} if ours is not None else set()):
            return
        if not applied and not has_rows(self.sides.target_connection, self.schemas.values()):
            return
        had = (
            "with another transform, or another key" if ours is not None else "with a transform, and this run has none"
        )
        if not applied:
            had = "as they are, and this run has a transform"
        raise ConfigurationError(
            f"the rows of the target {self.sides.target.description} were copied {had}: what is read of the source now "
            f"can't be compared with them or added to them. Give the one that they were copied with, or copy all anew "
            f"(pg_migration run)"
        )

    @cached_property
    def _surroundings(self) -> Surroundings:
        """What is in the target beside the schemas."""
        whole, versions = self.migration.is_whole, self.options.extension_versions == "source"
        return read_surroundings(self.sides.target_connection, whole or versions)

    @property
    def origin(self) -> str:
        """The name by which the ledger has what this run brings: until it is swapped, not that of what is live."""
        return of_next(self.sides.source.place) if self.swaps else self.sides.source.place

    @property
    def known_catalog(self) -> Catalog | None:
        """The source's structure where the run came so far as to read it; unlike `catalog` this asks no server."""
        found: Catalog | None = self.__dict__.get("catalog")
        return found

    @property
    def cautions(self) -> list[str]:
        """What people should read before anything else, of the source as far as it was read."""
        known = self.known_catalog
        patterns = known.unmatched_patterns if known is not None else ()
        return [f"exclude_tables: no table matches the pattern '{pattern}'" for pattern in patterns]

    @property
    def known_schemas(self) -> Mapping[str, str]:
        """As `schemas`, empty where the run did not come so far; asks no server."""
        found: Mapping[str, str] = self.__dict__.get("live_schemas", {})
        return found

    @cached_property
    def target_catalogs(self) -> TargetCatalogs:
        """What the target holds, and held."""
        outcomes, schemas = self.outcomes.ddl, self.schemas.values()
        return TargetCatalogs(
            self.sides.target_connection, self.catalog, self.origin, schemas, self._target_in_reach, outcomes
        )

    def _target_in_reach(self) -> Catalog:
        """The target's structure as it is now, less what is to be left as it is."""
        names = {name: name for name in self.schemas.values()}
        found = self.target_catalog_of(names, own_grants=self._is_in(self.catalog), origin=self.origin)
        return found if self._standing is None else within_reach(found, self._standing.foreign.keys())

    @property
    def _discovered(self) -> dict[str, Any]:
        """What discovery is told of owners and privileges."""
        options = self.options
        reach = self.sides.reach if options.owners == "best_effort" else None
        return {
            "ownership": bool(options.owners),
            "privileges": options.privileges,
            "reach": reach,
            "with_large_objects": self.with_large_objects,
            "whole": self.migration.is_whole,
        }

    def _is_in(self, source: Catalog) -> bool:
        """Whether the source names the role of the target."""
        return self.sides.reach.role in source.roles

    def target_catalog_of(
        self, names: Mapping[str, str], own_grants: bool = True, origin: str | None = None
    ) -> Catalog:
        """The structure of some schemas of the target, which are called otherwise in what is returned.

        Args:
            own_grants: as for `discover`.
            origin: by which name the ledger has what was brought; by default that of the source.
        """
        with _said_of(self.sides.target):
            return discover(
                self.sides.target_connection,
                names,
                **self._discovered,
                own_grants=own_grants,
                brought_from=origin or self.sides.source.place,
                readable=False,
                may_lack_schemas=True,
            )

    @property
    def with_large_objects(self) -> bool:
        """Whether large objects are copied: no mask reaches into them, so a transform has to ask for them."""
        asked_for = self._document is None or self._document.large_objects
        return self.options.large_objects and asked_for

    @property
    def takes_large_objects_back(self) -> bool:
        """Whether those that earlier runs have brought are to go, as no mask has reached them."""
        return self._document is not None and not self._document.large_objects

    @property
    def masked_sequences(self) -> frozenset[TableName]:
        """The source's sequences whose columns have other numbers in the target."""
        masked = {(*t.key, name) for t in self.catalog.tables if t.transform is not None for name in t.transform.masked}
        return frozenset(sequence.key for sequence in self.catalog.sequences if sequence.owned_by in masked)

    def target_name(self, table: Table) -> TableName:
        """Schema and name of a table in the target, as people know it."""
        return self.live_schemas[table.schema], table.name

    def place(self, table: Table) -> TableName:
        """Schema and name of a table in the target, where it is now: in another schema until it is swapped."""
        return self.schemas[table.schema], table.name

    def _places(self, names: Iterable[TableName]) -> set[TableName]:
        """The same of tables as people know them."""
        inner = {live: self.schemas[source] for source, live in self.live_schemas.items()}
        return {(inner.get(schema, schema), name) for schema, name in names}

    def tables(self, names: Sequence[TableName]) -> list[Table]:
        """The source's tables with these target names that are there and not excluded."""
        wanted = set(names)
        return [table for table in self.catalog.tables if self.target_name(table) in wanted]

    def not_made(self, *kinds: str) -> set[TableName]:
        """Schema and name, in the source, of the objects of some kinds that this run could not make."""
        failed = (outcome.object for outcome in self.outcomes.ddl if not outcome.made)
        return {(item.schema, item.name) for item in failed if item.kind in kinds}

    def loadable(self, names: Sequence[TableName]) -> list[Table]:
        """As `tables`, less those that this run could not make: they have failed already, and the others go on."""
        failed = self.not_made("table")
        return [table for table in self.tables(names) if table.key not in failed]

    def names_in_source(self) -> set[TableName]:
        """The target names of all tables that the source has, the excluded ones among them."""
        excluded = {(item.schema, item.name) for item in self.catalog.excluded if item.kind == "table"}
        names = self.catalog.tables_by_name.keys() | excluded
        return {(self.live_schemas[schema], name) for schema, name in names}

    def complete_in_ledger(self, tables: Sequence[Table]) -> Mapping[TableName, tuple[LoadedRange, ...]]:
        """Of some tables, those whose every range the ledger shows as loaded; by source name, with those ranges."""
        planner = self.planner()
        loaded = chunks.all_loaded_ranges(self.sides.target_connection, [self.place(table) for table in tables])
        ranges = {table.key: loaded.get(self.place(table), ()) for table in tables}
        return {t.key: ranges[t.key] for t in tables if is_complete(ranges[t.key], planner.key_column(t))}

    def planner(self) -> Planner:
        """Plans loads from the source to the target."""
        encoding = raw_encoding(self.sides.source_connection, self.sides.target_connection)
        application = application_path(self.catalog.settings, {})
        return Planner(self.sides.source_connection, self.options, encoding, application)

    def plan(self, tables: Sequence[Table]) -> tuple[TablePlan, ...]:
        """How whole tables are copied, the largest first; a table is planned once in a run."""
        if unplanned := [table for table in tables if table.key not in self._plans]:
            self._plans |= {plan.name: plan for plan in self.planner().plan(unplanned)}
        return in_order(self._plans[table.key] for table in tables)

    def workers(self) -> int:
        """The configured workers, or as many as both servers have connections for; fewer are noted for the summary.

        Told when first asked for, before the run opens what it will need: later its own sessions are among the others.
        """
        if self._workers is None:
            wanted = self.options.workers
            self._workers = affordable_workers(wanted, self._free_at_first())
            self.workload.workers = self._workers
            if self._workers < wanted:
                self.outcomes.notes.append(f"{self._workers} workers instead of {wanted}: no more connections are free")
        return self._workers

    def _free_at_first(self) -> list[int]:
        """What each server had left when the run had one connection there."""
        self.sides.connect()
        return list(self.sides.free.values())

    def note_worker_left(self, event: WorkerLeft) -> None:
        """Note for the summary that a worker had no connection any more."""
        notes = self.outcomes.notes
        notes[:] = [note for note in notes if note != self._left_note]
        self._workers_left += 1
        many = self._workers_left
        who = f"{many:,} workers left their shares" if many > 1 else f"worker {event.worker} left its share"
        self._left_note = f"{who} to the others: {event.reason}"
        notes.append(self._left_note)

    def further_runs(self, possible: int) -> tuple[int, int]:
        """How many further runs copy ranges, and how many workers each run has; fewer are noted for the summary.

        Args:
            possible: how many the deployment can run at once.
        """
        wanted = self.options.spread_over
        runs, workers = affordable_runs(min(wanted, possible), self.options.workers, self._free_at_first())
        if wanted and (runs, workers) != (wanted, self.options.workers):
            self.outcomes.notes.append(
                f"spread over {runs} runs of {workers} workers instead of {wanted} of {self.options.workers}: no "
                f"more connections are free, or the queue of runs is limited"
            )
        return runs, workers

    def load_context(self, workers: int) -> LoadContext:
        """What the workers of a load need; only after `begin`."""
        assert self.sides.snapshot is not None, "begin() takes the snapshot"
        assert self.sides.lock is not None, "begin() takes the lock"
        self._make_sure_of_transform()
        self.workload.workers = workers
        return LoadContext(
            self.connections,
            self.sides.source,
            self.sides.target,
            self.sides.snapshot,
            self.sides.lock,
            self.owner or self.run_id,
            self.schemas,
            self.options.use_unlogged_tables,
            workers,
            self.catalog.settings,
            self.run_id if self.owner else None,
            self.catalog.calls,
            observer=self.sides.target_connection,
            workload=self.workload,
            compared=0.0 if self.owner else 1.0 if self.options.check_content else COUNTING,
            question=self.hashing if self.options.check_content else count_as_digest,
            same_encoding=self.sides.same_encoding,
            carries_statistics=self.carries_statistics,
            statistics_objects=self.statistics_objects,
        )

    @property
    def carries_statistics(self) -> bool:
        """Whether the target is given the statistics of the source: they hold values as those are there."""
        wanted = self.options.statistics == "carry" and self._document is None
        return wanted and self.sides.target_connection.server_version >= RESTORED_SINCE

    @property
    def statistics_objects(self) -> Mapping[str, str] | None:
        """The schemas of statistics objects whose data the target takes, with their names there, where it does."""
        return self.schemas if self.sides.target_connection.server_version >= extended.RESTORED_SINCE else None

    @property
    def asks_ledger(self) -> bool:
        """Whether rows are compared with those that were copied; never in a run that copies: its source is the proof.

        Every use case takes the option, as all are configured alike.
        """
        return self.options.against == "ledger" and self.sides.snapshot is None

    def record_digests(self) -> None:
        """Write the source's digests of the tables that were hashed since the last time into the ledger."""
        hashed, self.unrecorded = self.unrecorded, []
        if not self.options.check_content:
            return
        hashing, same_encoding = self.hashing, self.sides.same_encoding
        tables = ((found.plan.table, found.source) for found in hashed)
        record_digests(
            self.sides.target_connection,
            [HashedChunks(self.place(t), hashing.form(t, same_encoding), source) for t, source in tables],
        )

    @property
    def hashing(self) -> Hashing:
        """How rows are hashed while they are copied: only a sample of tables that are planned, and large."""
        return self.hashing_of(self._plans.values())

    def hashing_of(self, tables: Iterable[Sized]) -> Hashing:
        """How the rows of some tables are hashed."""
        return Hashing.of_sample(self.options.content_sample_percent, tables, self.options.partition_threshold)

    def call(self, work: Callable[[], Result]) -> Result:
        """Run blocking work so that an interrupt of the run reaches it, and turn a server's refusal into a message.

        Raises:
            MigrationError: what ``work`` raised, or what a server said.
        """
        try:
            return self.connections.run(work)
        except psycopg2.Error as error:
            raise self.sides.whose_fault(error) from error

    def close(self) -> None:
        """Record how the run ended, and end every statement and connection.

        An interrupt between two steps leaves no failure behind: a run over everything succeeded only if it got to its
        end.
        """
        outcomes = self.outcomes
        succeeded = not outcomes.failures and (outcomes.at_the_end or not self._covers_everything)
        try:
            if self.sides.holds_event_triggers and not self.sides.target_connection.closed:
                self.sides.return_event_triggers()
            if self.begun and self.owner is None and not self.sides.target_connection.closed:
                if "target_catalogs" in self.__dict__:
                    self.target_catalogs.note_the_rest()
                self._record_counts()
                with gathered(self.sides.target_connection):
                    execute(self.sides.target_connection, "SET LOCAL synchronous_commit = on")
                    plans.forget_plans(self.sides.target_connection, self._places(self.outcomes.differing))
                    runs_.close_run(self.sides.target_connection, self.run_id, succeeded)
        except psycopg2.Error:
            pass  # the target is gone; the ledger shows a run that never finished
        finally:
            self.sides.stop_watching()
            self.connections.close()
            self.live.close(outcomes.failures)

    def _log_waits(self) -> None:
        """Log for whom the run waits, in the thread that made this: only that one may use the log."""
        while threading.get_ident() == self._thread and not self._waits.empty():
            self.log.warning(self._waits.get())

    def _record_counts(self) -> None:
        """What the server counts from now on in the tables that this run has loaded, others have written."""
        names = self._places({*self.outcomes.loaded, *self.outcomes.failed})
        session = runs_.session_name(self.run_id)
        with suppress(psycopg2.Error):  # the next run then says less of what others wrote
            own_rows.record_counts(self.sides.target_connection, names, session, self.connections.processes())


@contextmanager
def _said_of(end: Endpoint) -> Iterator[None]:
    """Begin what discovery says of a database with its name."""
    try:
        yield
    except (ConfigurationError, NotPermitted) as error:
        raise type(error)(f"in the {end.side.value} {end.description}: {error}") from None
