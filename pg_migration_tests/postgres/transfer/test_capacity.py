"""Loads fit into the connections, and the room for locks, that the servers have left."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from pg_migration.devtools import servers
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.free_connections import (
    SPARE_CONNECTIONS,
    affordable_runs,
    affordable_workers,
    free_connections,
)
from pg_migration.postgres.errors import ConnectionFailed
from pg_migration.postgres.migration import Migration, Options, migrate, preflight
from pg_migration.postgres.migration.prerequisites import look
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.preflight import Finding, Severity
from pg_migration.postgres.transfer.events import WorkerLeft
from pg_migration_tests.conftest import SETTINGS, PostgresServer
from pg_migration_tests.postgres.transfer.harness import Database, Pair


def test_limits_of_role_and_database(pair: Pair) -> None:
    with pair.target.connection() as connection:
        free = free_connections(connection)
        assert 50 < free < 100
        assert affordable_runs(3, 4, [free]) == (3, 4)
        assert affordable_runs(3, 100, [free]) == (3, free // 4 - SPARE_CONNECTIONS)
    pair.target.psql("CREATE ROLE limited LOGIN PASSWORD 'secret' CONNECTION LIMIT 7")
    try:
        address, _, database = pair.target.url.partition("@")[2].partition("/")
        pair.target.url = f"postgresql://limited:secret@{address}/{database}"
        with pair.target.connection() as connection, pair.source.connection() as other:
            both = [free_connections(other), free_connections(connection)]
            assert both[1] == 6
            assert affordable_workers(8, both) == 6 - SPARE_CONNECTIONS
            assert affordable_workers(2, both) == 2
            assert affordable_runs(3, 8, both) == (0, 6 - SPARE_CONNECTIONS)
        pair.target.url = pair.target.server.url(database)
        pair.target.psql(f"ALTER ROLE limited CONNECTION LIMIT -1; ALTER DATABASE {database} CONNECTION LIMIT 3;")
        pair.target.url = f"postgresql://limited:secret@{address}/{database}"
        with pair.target.connection() as connection:
            assert free_connections(connection) == 2
            assert affordable_workers(8, [free_connections(connection)]) == 1
        pair.target.url = pair.target.server.url(database)
    finally:
        pair.target.psql("DROP ROLE limited")


@pytest.fixture(scope="module")
def small_server(servers_folder: Path) -> Iterator[PostgresServer]:
    """A server with few connections, and room for few locks."""
    account = servers.server_account()
    usable = servers.usable(servers.embedded(18), account, servers_folder)
    few = {"max_connections": "20", "max_locks_per_transaction": "10"}
    server = servers.Server(usable, servers_folder / "small", account, {**SETTINGS, **few})
    server.start()
    try:
        yield PostgresServer(server)
    finally:
        server.stop("immediate")


def as_role(server: PostgresServer, database: str, role: str) -> str:
    """The URL of a role whose password is its name."""
    return f"postgresql://{role}:{role}@127.0.0.1:{server.server.port}/{database}"


def free_connection_findings(pair: Pair) -> list[Finding]:
    """What preflight says of connections, on the source and on the target."""
    options = Options(workers=8, owners=False, privileges=False)
    made = Migration.between(pair.source.url, pair.target.url, options=options)
    run = MigrationRun("test", options, lambda: made)
    try:
        return [found for found in look(run) if found.check.startswith("free connections on")]
    finally:
        run.close()


@pytest.fixture
def crowded(pair: Pair, small_server: PostgresServer) -> Iterator[Pair]:
    """A pair whose target is full but for five connections, of a role that sees nothing of the others."""
    admin = small_server.url()
    for statement in ("ROLE mig LOGIN PASSWORD 'mig'", "ROLE crowd LOGIN PASSWORD 'crowd'", "DATABASE busy OWNER mig"):
        small_server.psql(admin, f"CREATE {statement}")
    pair.source.psql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 9)")
    pair.target = Database(small_server, Side.TARGET, as_role(small_server, "busy", "mig"))
    with ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(closing(psycopg2.connect(as_role(small_server, "postgres", "crowd"))))
        yield pair
    for what in ("DATABASE busy WITH (FORCE)", "ROLE mig", "ROLE crowd"):
        small_server.psql(admin, f"DROP {what}")


def test_sessions_of_others_are_counted(crowded: Pair) -> None:
    """Without the rights of pg_read_all_stats: 20 less 3 that are reserved, 12 of others and one of ours."""
    source, target = free_connection_findings(crowded)
    assert source.severity is Severity.PASSED
    assert target.severity is Severity.WARNING
    assert "the target has 4 free connections, 11 are wanted" in target.verdict
    result = crowded.migrate(workers=1000, owners=False, privileges=False)
    assert result.succeeded, result.failures


@pytest.mark.longer
def test_more_tables_than_a_transaction_may_lock(small_server: PostgresServer) -> None:
    """On both sides there is room for a few hundred locks, of which a table takes nine where it is dropped."""
    source, target = small_server.create_database(), small_server.create_database()
    partitions = "CREATE TABLE parts (a int) PARTITION BY LIST (a);"
    partitions += "".join(f"CREATE TABLE part_{n} PARTITION OF parts FOR VALUES IN ({n});" for n in range(76))
    small_server.psql(source, partitions)
    names = ", ".join(f"t{number}" for number in range(120))
    columns = "a int PRIMARY KEY, b text UNIQUE, c text UNIQUE, d text UNIQUE, e text UNIQUE, f text UNIQUE"
    small_server.psql(source, "".join(f"CREATE TABLE {name} ({columns});" for name in names.split(", ")))
    try:
        with pytest.raises(AssertionError, match="out of shared memory"):
            small_server.psql(source, f"BEGIN; DROP TABLE {names}; ROLLBACK")
        found = {f.check: f for f in preflight(Migration.between(source, target))}["room for locks on the target"]
        assert found.severity is Severity.WARNING
        assert "public.parts with its 76 partitions may take 304 at once" in found.verdict
        for options in (Options(workers=2), Options(workers=2, drop_existing_tables=True)):
            assert migrate(Migration.between(source, target, options=options)).failures == ()
    finally:
        for url in (source, target):
            small_server.drop_database(url)


@pytest.mark.parametrize("limited", ["ROLE mig", "DATABASE busy"])
def test_limits_that_leave_too_little(crowded: Pair, small_server: PostgresServer, limited: str) -> None:
    small_server.psql(small_server.url(), f"ALTER {limited} CONNECTION LIMIT 2")
    _, target = free_connection_findings(crowded)
    assert target.severity is Severity.ERROR
    assert "the target has 1 free connections for this role, a migration needs 3 more than it has" in target.verdict
    result = crowded.migrate(workers=8, owners=False, privileges=False)
    assert not result.succeeded
    assert "a migration needs 3 more than it has" in "".join(result.failures)


def test_a_worker_without_a_connection_leaves_its_share(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others took what was free since it was counted: all but one worker find the target full."""
    pair.source.psql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 9000)")
    open_one, refusals = Connections.open, iter(range(3))

    def refuse(connections: Connections, end: Endpoint, **others: Any) -> Connection:
        if "worker" in threading.current_thread().name and next(refusals, None) is not None:
            raise ConnectionFailed("sorry, too many clients already", full=True)
        return open_one(connections, end, **others)

    monkeypatch.setattr(Connections, "open", refuse)
    loaded = pair.load(LoadSettings(chunk_size=500, workers=4))
    assert not loaded.failed
    assert len([event for event in loaded.events if isinstance(event, WorkerLeft)]) == 3
    pair.check_equal()


TABLES, FREE_LOCKS = 60, 400
# Whatever room there is, and then all but some of it.
TAKE_ALL_LOCKS = f"""
DO $$BEGIN
    FOR n IN 1..1000000 LOOP PERFORM pg_advisory_lock(n); END LOOP;
EXCEPTION WHEN out_of_memory THEN NULL;
END$$;
SELECT pg_advisory_unlock(n) FROM generate_series(1, {FREE_LOCKS}) n;
"""


def test_more_locks_than_there_is_room_for(pair: Pair, small_server: PostgresServer) -> None:
    """Ten sessions with a lock on each of the tables would fill the server's memory of locks, for everybody."""
    admin = small_server.url()
    small_server.psql(admin, "CREATE DATABASE wide")
    pair.source = Database(small_server, Side.SOURCE, small_server.url("wide"))
    try:
        pair.source.psql(
            f"SELECT format('CREATE TABLE t%s AS SELECT i FROM generate_series(1, %s) i', n, n) "
            f"FROM generate_series(1, {TABLES}) n \\gexec"
        )
        with closing(psycopg2.connect(admin)) as others, others.cursor() as cursor:
            cursor.execute(TAKE_ALL_LOCKS)
            loaded = pair.load(LoadSettings(workers=8))
        assert not loaded.failed
        assert pair.check_equal()
    finally:
        small_server.psql(admin, "DROP DATABASE wide WITH (FORCE)")
