"""Two databases, one of which is to follow the other, and sessions in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.replication.state import Phase, Replication, new_name
from pg_migration_tests.conftest import PostgresServer


@dataclass
class Log:
    """What was told."""

    lines: list[str] = field(default_factory=list)

    def info(self, message: str, /) -> None:
        self.lines.append(message)

    def warning(self, message: str, /) -> None:
        self.lines.append(message)

    def error(self, message: str, /) -> None:
        self.lines.append(message)


@dataclass(frozen=True)
class Two:
    """A source and a target, each a server and the URL of a database on it."""

    source: PostgresServer
    target: PostgresServer
    urls: tuple[str, str]

    def in_source(self, statement: str) -> str:
        return self.source.psql(self.urls[0], statement).strip()

    def in_target(self, statement: str) -> str:
        return self.target.psql(self.urls[1], statement).strip()

    @contextmanager
    def session(self, side: Side = Side.SOURCE, autocommit: bool = True) -> Iterator[Connection]:
        """A session that knows nothing of ours."""
        connection = psycopg2.connect(self.urls[side is Side.TARGET])
        connection.autocommit = autocommit
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def sessions(self) -> Iterator[tuple[Connection, Connection, Connections]]:
        """Sessions of ours in both, and what makes further ones."""
        with Connections() as connections:
            yield connections.open(self.end(Side.SOURCE)), connections.open(self.end(Side.TARGET)), connections

    def end(self, side: Side) -> Endpoint:
        return Endpoint.parse(side, self.urls[side is Side.TARGET], "url")

    def replication(self, source: Connection, target: Connection, **others: object) -> Replication:
        """One that nothing was made for yet."""
        ends = Identity.of(source, self.end(Side.SOURCE)), Identity.of(target, self.end(Side.TARGET))
        return Replication(new_name(), Phase.PREPARING, "a run", *ends, (), (), 1 << 30, **others)  # type: ignore[arg-type]

    def left_in_source(self) -> str:
        """Publications, slots and replica identities, as the source has them."""
        return self.in_source(
            "SELECT pubname FROM pg_publication UNION ALL SELECT slot_name FROM pg_replication_slots WHERE database = "
            "current_database() UNION ALL SELECT concat(oid::regclass, ' ', relreplident) FROM pg_class WHERE relkind "
            "IN ('r', 'p') AND relreplident <> 'd' AND relnamespace::regnamespace::text !~ '^(pg_|information)'"
        )


@contextmanager
def two(source: PostgresServer, target: PostgresServer, ddl: str = "") -> Iterator[Two]:
    """Two new databases; at the end they are gone, and whatever a test has left of replication with them."""
    made = Two(source, target, (source.create_database(), target.create_database()))
    if ddl:
        made.in_source(ddl)
    try:
        yield made
    finally:
        made.in_target(
            "DO $$ DECLARE s record; BEGIN FOR s IN SELECT subname FROM pg_subscription JOIN pg_database d ON d.oid = "
            "subdbid WHERE datname = current_database() LOOP "
            "EXECUTE format('ALTER SUBSCRIPTION %I DISABLE', s.subname); "
            "EXECUTE format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', s.subname); "
            "EXECUTE format('DROP SUBSCRIPTION %I', s.subname); END LOOP; END $$"
        )
        made.in_source(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database() AND "
            "active; SELECT pg_sleep(0.1) FROM pg_replication_slots WHERE database = current_database() AND active;"
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"
        )
        target.drop_database(made.urls[1])
        source.drop_database(made.urls[0])
