"""Pairs of databases to migrate between."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from pg_migration.postgres.connection.endpoint import Side
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.together import judge_together
from pg_migration_tests.postgres.transfer.harness import Database, Pair

Verdicts = Mapping[str, str]


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
    yield from between(server, server, monkeypatch)


def between(
    source: PostgresServer, target: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Generator[Pair, None, None]:
    """Two empty databases."""
    pair = Pair(
        Database(source, Side.SOURCE, source.create_database()),
        Database(target, Side.TARGET, target.create_database()),
        monkeypatch,
    )
    urls = pair.source.url, pair.target.url
    try:
        yield pair
    finally:
        for server, url in zip((source, target), urls, strict=True):
            server.drop_database(url)


Judge = Callable[[Pair, Mapping[str, Any]], object]


@pytest.fixture(scope="module")
def judged(postgres16: PostgresServer, postgres18: PostgresServer) -> Callable[[Mapping[str, Any], Judge], Verdicts]:
    """What is wrong with each of some cases, which are looked at together, between two databases as those of `pair`."""

    def judged(cases: Mapping[str, Any], judge: Judge) -> Verdicts:
        def look(some: Mapping[str, Any]) -> None:
            with (
                pytest.MonkeyPatch.context() as monkeypatch,
                closing(between(postgres16, postgres18, monkeypatch)) as pairs,
            ):
                judge(next(pairs), some)

        return judge_together(cases, look)

    return judged
