"""A pair of databases on two versions."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from pg_migration.postgres.connection.connections import Connections
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.verification.harness import Pair

# What tests may leave behind: to drop it takes much less time than to make a database.
CLEAN = """
    SET client_min_messages = warning;
    DROP SCHEMA IF EXISTS public, other, _pg_migration, _pg_migration_shadow CASCADE;
    CREATE SCHEMA public
"""


@pytest.fixture(scope="session")
def databases(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[tuple[str, str]]:
    urls = postgres16.create_database(), postgres18.create_database()
    yield urls
    for server, url in zip((postgres16, postgres18), urls, strict=True):
        server.drop_database(url)


@pytest.fixture
def pair(databases: tuple[str, str]) -> Iterator[Pair]:
    """Two empty databases."""
    links = Connections()
    with closing(Pair(databases, links)) as found:
        with links:
            yield found
        found.both(CLEAN)
