"""Loads fit into the connections that the servers have left."""

from pg_migration.postgres.capacity import (
    SPARE_CONNECTIONS,
    affordable_runs,
    affordable_workers,
    free_connections,
)
from pg_migration_tests.transfer.harness import Pair


def test_limits_of_role_and_database(pair: Pair) -> None:
    with pair.target.connection() as connection:
        free = free_connections(connection)
        assert 50 < free < 100
        assert affordable_runs(3, 4, [connection]) == (3, 4)
        assert affordable_runs(3, 100, [connection]) == (3, free // 4 - SPARE_CONNECTIONS)
    pair.target.psql("CREATE ROLE limited LOGIN PASSWORD 'secret' CONNECTION LIMIT 7")
    try:
        address, _, database = pair.target.url.partition("@")[2].partition("/")
        pair.target.url = f"postgresql://limited:secret@{address}/{database}"
        with pair.target.connection() as connection, pair.source.connection() as other:
            assert free_connections(connection) == 6
            assert affordable_workers(8, [other, connection]) == 6 - SPARE_CONNECTIONS
            assert affordable_workers(2, [other, connection]) == 2
            assert affordable_runs(3, 8, [other, connection]) == (0, 6 - SPARE_CONNECTIONS)
        pair.target.url = pair.target.server.url(database)
        pair.target.psql(f"ALTER ROLE limited CONNECTION LIMIT -1; ALTER DATABASE {database} CONNECTION LIMIT 3;")
        pair.target.url = f"postgresql://limited:secret@{address}/{database}"
        with pair.target.connection() as connection:
            assert free_connections(connection) == 2
            assert affordable_workers(8, [connection]) == 1
        pair.target.url = pair.target.server.url(database)
    finally:
        pair.target.psql("DROP ROLE limited")


def test_fewer_workers_are_noted(pair: Pair) -> None:
    pair.source.psql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000);")
    assert pair.migrate(workers=1000).success
    pair.demand_equal()
