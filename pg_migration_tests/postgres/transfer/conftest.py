"""Pairs of databases to migrate between."""

from collections.abc import Iterator

import pytest

from pg_migration.postgres.connection.endpoint import Side
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transfer.harness import Database, Pair


@pytest.fixture
def pair(
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    source_db: str,
    target_db: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Pair:
    """From PostgreSQL 16 to PostgreSQL 18: text forms and formats of two different majors."""
    return Pair(Database(postgres16, Side.SOURCE, source_db), Database(postgres18, Side.TARGET, target_db), monkeypatch)


@pytest.fixture
def pair15(postgres15: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Within the system's PostgreSQL, which has libxml, ICU and contrib."""
    yield from within(postgres15, monkeypatch)


@pytest.fixture
def pair18(postgres18: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Within PostgreSQL 18."""
    yield from within(postgres18, monkeypatch)


def within(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Two empty databases of one server."""
    urls = [server.create_database(), server.create_database()]
    yield Pair(Database(server, Side.SOURCE, urls[0]), Database(server, Side.TARGET, urls[1]), monkeypatch)
    for url in urls:
        server.drop_database(url)
