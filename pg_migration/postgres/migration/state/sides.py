"""Both databases of a run: its connections to them, what they said of themselves, its snapshot and its lock."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.reading import catalog_state
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.free_connections import FREE, MIN_CONNECTIONS, free_connections
from pg_migration.postgres.connection.lock_waits import Watch
from pg_migration.postgres.connection.statements import Question, asked_together, execute, fetch
from pg_migration.postgres.ddl.changes import event_triggers
from pg_migration.postgres.errors import ConnectionFailed, MigrationError, server_message
from pg_migration.postgres.ledger import schema
from pg_migration.postgres.ledger.lock import TargetLock
from pg_migration.postgres.ledger.own_rows import Databases
from pg_migration.postgres.ledger.source_identity import SYSTEM, WHICH, Identity
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.outcomes import Outcomes
from pg_migration.postgres.preflight.permissions import is_one_database
from pg_migration.postgres.replication.subscription import OURS
from pg_migration.postgres.roles.reach import Reach, reach_of, reach_query
from pg_migration.postgres.snapshot.snapshot import Snapshot
from pg_migration.postgres.transfer.load_context import Lock


class Sides:
    """One connection to each database, made when first asked for, and what was asked on that occasion.

    ``snapshot`` is that of the source; None in a run that only compares. ``lock`` is the right to write to the target,
    which a run has that has begun.
    """

    def __init__(
        self,
        define: Callable[[], Migration],
        connections: Connections,
        create_roles: bool,
        outcomes: Outcomes,
        ours: Sequence[str],
        tell: Callable[[str], None],
    ) -> None:
        """
        Args:
            define: what is migrated.
            create_roles: whether roles are made in the target.
            outcomes: where the servers are noted.
            ours: patterns (LIKE) of the application names of the run's sessions.
            tell: is given each sentence about whom they wait for; called from another thread.
        """
        self._migration, self._connections = define, connections
        self._create_roles, self._outcomes = create_roles, outcomes
        self.snapshot: Snapshot | None = None
        self.lock: Lock | None = None
        self.free: dict[Side, int] = {}  # connections that each server had left when it was connected
        self.identities: dict[Side, Identity] = {}
        self.ledger: int | None = None  # its version, when the target was connected
        self.subscriptions: Sequence[str] = ()  # of ours in the target, when it was connected
        self.holds_event_triggers = False  # whether some of them may be disabled for this run's sake
        self._reach: Reach
        self._event_triggers: Sequence[event_triggers.EventTrigger] = ()  # of the target, when it was connected
        self._watched: list[Endpoint] = []
        self._watch = Watch(lambda: tuple(self._watched), ours, tell)

    @property
    def source(self) -> Endpoint:
        """The source database."""
        return self._migration().source

    @property
    def target(self) -> Endpoint:
        """The target database."""
        return self._migration().target

    @cached_property
    def source_connection(self) -> Connection:
        """A connection to the source for discovery and planning; inside the snapshot once that is taken."""
        return self._open(self.source)

    @cached_property
    def target_connection(self) -> Connection:
        """A connection to the target for DDL and bookkeeping, which this program can read."""
        return self._open(self.target)

    def connect(self) -> None:
        """Connect to both ends at once, if that was not yet done.

        Raises:
            ConnectionFailed: the source's refusal, where both refuse.
        """

        if not {"source_connection", "target_connection"} <= self.__dict__.keys():
            self.at_once(lambda: self.source_connection, lambda: self.target_connection)

    def at_once(self, *steps: Callable[[], object]) -> None:
        """Do some things at the same time, as most of each is waiting; of several errors the first one's is raised."""

        def tried(step: Callable[[], object]) -> Exception | None:
            try:
                step()
            except (MigrationError, psycopg2.Error) as error:
                return error
            return None

        for error in self._connections.pool("begin").map(tried, steps):
            if error is not None:
                raise error

    def _open(self, end: Endpoint) -> Connection:
        connection = self._connections.open(end)
        questions: list[Question] = [(FREE, None), (WHICH, None), (SYSTEM, None)]
        if end.side is Side.TARGET:
            questions += [(schema.READABLE, None), (reach_query(), None), catalog_state.READABLE]
            questions += [event_triggers.PRESENT, OURS]
        with asked_together(connection, questions):
            self.free[end.side] = free_connections(connection)
            self.identities[end.side] = Identity.of(connection, end)
            if end.side is Side.TARGET:
                self.ledger = schema.version(connection)
                self._reach = reach_of(connection, self._create_roles)
                catalog_state.prepare(connection)
                self._event_triggers = event_triggers.present(connection)
                self.subscriptions = [name for (name,) in fetch(connection, *OURS)]
        if self.free[end.side] > MIN_CONNECTIONS:  # others need the last ones more
            self._watched.append(end)
            self._watch.start()
        self._note(end, connection)
        return connection

    def open_beside(self, connections: Connections, end: Endpoint) -> Connection:
        """A session that is not among the run's: what stops the run leaves it alone.

        Raises:
            ConnectionFailed: the end can't be reached.
        """
        connection = connections.open(end)
        self._note(end, connection)
        return connection

    def _note(self, end: Endpoint, connection: Connection) -> None:
        self._outcomes.servers[end.side] = str(connection.get_parameter_status("server_version"))
        self._outcomes.addresses[end.side] = end.reached(connection)

    def keep_a_writer(self) -> None:
        """Connect for the first worker while others connect anyway; where that fails, it is told when it matters."""
        with suppress(ConnectionFailed):
            self._connections.keep(self._connections.open(self.target), self.target)

    def whose_fault(self, error: psycopg2.Error) -> MigrationError:
        """What a server said, after the names of the ends whose connection is gone."""
        ends = ((self.source, "source_connection"), (self.target, "target_connection"))
        lost = [
            f"the connection to the {end.side.value} database {end.description} was lost: "
            for end, name in ends
            if name in self.__dict__ and self.__dict__[name].closed
        ]
        message = "".join(lost) + server_message(error)
        if isinstance(error, psycopg2.errors.LockNotAvailable):
            message += "".join(f"; {told}" for side in Side if (told := self._watch.latest(side)))
        return ConnectionFailed(message) if lost else MigrationError(message)

    def stop_watching(self) -> None:
        """Look no more for whom the run waits."""
        self._watch.stop()

    @property
    def reach(self) -> Reach:
        """What the role that connects to the target may do for others there."""
        self.target_connection  # noqa: B018  (makes it, if that was not yet done)
        return self._reach

    @property
    def databases(self) -> Databases:
        """Which databases these are, as far as the roles may ask."""
        self.connect()
        server = self.snapshot.server if self.snapshot is not None else None
        return Databases(self.identities[Side.SOURCE], self.identities[Side.TARGET], server)

    @property
    def made_ledger(self) -> bool:
        """Whether the target had no bookkeeping when this run began, and so nothing that an earlier one has left."""
        return self.ledger is None

    @property
    def has_ledger(self) -> bool:
        """Whether the target has our bookkeeping, in the version of this program, as far as the run knows."""
        return self.snapshot is not None or self.ledger == schema.LATEST

    @property
    def identity_records(self) -> Mapping[str, Mapping[str, object]]:
        """The same, as the ledger has it."""
        return {"source": self.databases.source.as_record(), "target": self.databases.target.as_record()}

    @property
    def are_one_database(self) -> bool:
        """Whether source and target are schemas of one database."""
        alike = self.databases.source.differs_from(self.databases.target) is None
        return alike and is_one_database(self.source_connection, self.target_connection)

    @property
    def same_encoding(self) -> bool:
        """Whether both databases store text in one encoding."""
        ends = (self.source_connection, self.target_connection)
        return len({end.info.parameter_status("server_encoding") for end in ends}) == 1

    def take_lock(self, run_id: str, exclusive: bool) -> None:
        """Get the right to write to the target.

        Args:
            exclusive: refuse when another run writes to the target, instead of waiting for it.
        """
        self.prepare_lock(run_id)
        assert isinstance(self.lock, TargetLock)
        if exclusive:
            self.lock.acquire()
        else:
            self.lock.wait()
        if self.ledger is None:  # whoever had the lock until now may have made one
            self.ledger = schema.version(self.target_connection)

    def prepare_lock(self, run_id: str) -> None:
        """Connect for the lock, if that was not yet done."""
        if self.lock is None:
            self.lock = TargetLock(self._connections, self.target, run_id)

    def check_held(self) -> None:
        """Make sure that this run may still write to the target.

        Raises:
            LockLost: it may not.
        """
        assert self.lock is not None, "begin() takes the lock"
        self.lock.check_held()

    def let_tables_go(self) -> None:
        """End the snapshot and its locks, when everything was read: who waits to empty or alter a table goes on."""
        if self.snapshot is not None:
            self.snapshot.release()
        if self.source_connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
            execute(self.source_connection, "ROLLBACK")

    def set_event_triggers_aside(self) -> None:
        """Make the ledger, and disable the event triggers of the target before that."""
        connection, known = self.target_connection, self.ledger
        if self._event_triggers:  # another run may have held them while this one waited for it
            self._event_triggers = event_triggers.present(connection)
        self.holds_event_triggers = bool(self._event_triggers)
        event_triggers.set_aside(connection, self._event_triggers, lambda: schema.create(connection, known))

    def return_event_triggers(self) -> None:
        """Bring back the event triggers of the target, when the last DDL has run."""
        if self.holds_event_triggers:
            event_triggers.bring_back(self.target_connection)
            self.holds_event_triggers = False
