"""Take structure from one database to another, and let pg_dump judge."""

import difflib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog, Phase, discover, installed_extensions, read_surroundings
from pg_migration.postgres.catalog.schema_renaming import quote
from pg_migration.postgres.connection.session_settings import pin
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.ddl import Outcome, Reconciliation, apply, differences, missing, note_all_brought, reconcile
from pg_migration.postgres.ledger import schema as ledger
from pg_migration_tests.conftest import PostgresServer

PUBLIC: Mapping[str, str] = {"public": "public"}


@dataclass(frozen=True)
class Pair:
    """Two servers, and a fresh database on each."""

    source: PostgresServer
    target: PostgresServer
    source_url: str
    target_url: str
    _sessions: dict[str, Connection] = field(default_factory=dict, repr=False, compare=False)

    def load(self, ddl: str) -> None:
        """Run DDL in the source."""
        self.source.psql(self.source_url, ddl)

    def prepare(self, ddl: str) -> None:
        """Run DDL in the target."""
        self.target.psql(self.target_url, ddl)

    def query(self, statement: str) -> str:
        """What the target answers."""
        return self.target.psql(self.target_url, statement).strip()

    @property
    def sessions(self) -> tuple[Connection, Connection]:
        """A session in each database, as long as there are the databases: the first look of a session takes longer."""
        for url in (self.source_url, self.target_url):
            if url not in self._sessions:
                self._sessions[url] = open_session(url)
        return self._sessions[self.source_url], self._sessions[self.target_url]

    def close(self) -> None:
        """End the sessions."""
        for connection in self._sessions.values():
            connection.close()


def pair_of(source: PostgresServer, target: PostgresServer) -> Generator[Pair, None, None]:
    """A pair of fresh databases, dropped afterwards."""
    pair = Pair(source, target, source.create_database(), target.create_database())
    try:
        yield pair
    finally:
        pair.close()
        source.drop_database(pair.source_url)
        target.drop_database(pair.target_url)


@dataclass(frozen=True)
class Migrated:
    """What one migration of structure did."""

    source: Catalog
    plan: Reconciliation
    outcomes: Sequence[Outcome]

    @property
    def failures(self) -> list[str]:
        """What could not be made, as lines."""
        return [
            f"{outcome.object.identity}: {outcome.error or outcome.skipped_because}"
            for outcome in self.outcomes
            if not outcome.made
        ]


def open_session(url: str) -> Connection:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    pin(connection)
    return connection


@contextmanager
def session(url: str) -> Iterator[Connection]:
    connection = open_session(url)
    try:
        yield connection
    finally:
        connection.close()


def describe(url: str, schemas: Mapping[str, str] = PUBLIC, exclude: Sequence[str] = ()) -> Catalog:
    """Discover one database by itself."""
    with session(url) as connection:
        return discover(connection, schemas, exclude)


def migrate(
    pair: Pair,
    schemas: Mapping[str, str] = PUBLIC,
    exclude: Sequence[str] = (),
    drop_existing: bool = False,
    whole: bool = False,
) -> Migrated:
    """Discover the source, reconcile with the target, and make everything there, without rows."""
    source, target = pair.sessions
    ours = discover(
        source,
        schemas,
        exclude,
        target_version=target.server_version,
        target_extensions=installed_extensions(target),
        surroundings=read_surroundings(target, whole),
        whole=whole,
    )
    for name in schemas.values():
        execute(target, 'CREATE SCHEMA IF NOT EXISTS "' + name.replace('"', '""') + '"')
    ledger.create(target)
    names = {name: name for name in schemas.values()}
    there = discover(target, names, brought_from=pair.source_url, whole=whole)
    plan = reconcile(ours, there, drop_existing)
    for statement in plan.drop:
        execute(target, statement)
    first = [item for item in plan.create if item.phase is Phase.PRE_DATA]
    made = apply(target, first, settings=ours.settings)
    # As a run does it: what the server has made on its own is there by now.
    there = discover(target, names, whole=whole) if plan.drop or made else there
    failed = {outcome.object.address for outcome in made if not outcome.made}
    later = [
        item
        for item in missing(ours, there)
        if item.phase is not Phase.PRE_DATA and (item.kind != "settings" or item.address not in failed)
    ]
    made_later = apply(target, later, made, ours.settings)
    done = Migrated(ours, plan, [*made, *made_later])
    if not done.failures:
        note_all_brought(target, pair.source_url, ours, discover(target, names, whole=whole) if made_later else there)
    return done


def assert_same_dump(pair: Pair, schemas: Iterable[str] = ("public",), *options: str) -> None:
    """The dumps of both databases, made by one pg_dump, are the same text."""
    chosen = [word for schema in schemas for word in ("--schema", quote(schema))]
    texts = [
        server.dump_schema(url, None, *chosen, *options)
        for server, url in ((pair.source, pair.source_url), (pair.target, pair.target_url))
    ]
    told = difflib.unified_diff(*(text.splitlines() for text in texts), "source", "target", lineterm="", n=2)
    assert not (lines := list(told)), "\n".join(lines)


def assert_arrived(pair: Pair, schemas: Mapping[str, str] = PUBLIC, whole: bool = False) -> Migrated:
    """Migrate: everything is made, the dumps are equal, and a second run would find nothing to do."""
    done = migrate(pair, schemas, whole=whole)
    assert not done.failures, "\n".join(done.failures)
    if whole:
        assert_same_dump(pair, (), "--exclude-schema=_pg_migration")
    else:
        assert_same_dump(pair, schemas.values())
    assert_nothing_to_do(pair, done.source, whole)
    return done


def assert_nothing_to_do(pair: Pair, source: Catalog, whole: bool = False) -> None:
    """The target as it is now has all of a source's catalog, and nothing else."""
    names = {name: name for name in source.schemas.values()}
    _, target = pair.sessions
    there = discover(target, names, brought_from=pair.source_url, whole=whole)
    again = reconcile(source, there)
    assert not again.create, [item.identity for item in again.create]
    assert not again.drop, again.drop
    found = [str(difference) for difference in differences(source, there)]
    assert not found, "\n".join(found)


def assert_identical(pair: Pair, ddl: str, schemas: Sequence[str] = ("public",)) -> Migrated:
    """`assert_arrived` of what ``ddl`` makes in the source."""
    pair.load(ddl)
    return assert_arrived(pair, {name: name for name in schemas})
