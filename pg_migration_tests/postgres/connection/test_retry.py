"""Attempts at work on a server that ends the session."""

import threading

import psycopg2
import pytest

from pg_migration.postgres.connection import retry
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.retry import Retry
from pg_migration.postgres.connection.statements import execute


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> tuple[float, ...]:
    short = (0.01, 0.02, 0.03)
    monkeypatch.setattr(retry, "RETRY_SECONDS", short)
    return short


def test_half_a_minute_in_all() -> None:
    assert retry.RETRY_SECONDS == (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)


def test_one_attempt_after_each_pause(source_db: str, pauses: tuple[float, ...]) -> None:
    again, ended = Retry(), []
    with Connections("pg_migration test") as connections:
        while True:
            connection = connections.open(Endpoint.parse(Side.SOURCE, source_db, "URL"))
            with pytest.raises(psycopg2.OperationalError) as error:
                execute(connection, "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())")
            ended.append(error)
            if not again.pause():
                break
    assert len(ended) == 1 + len(pauses)
    assert not again.is_possible


def test_what_went_on_has_all_attempts_again(pauses: tuple[float, ...]) -> None:
    again = Retry()
    for _ in range(3):
        assert [again.pause() for _ in pauses] == [True] * len(pauses)
        assert not again.pause()
        again.renew()
    assert again.is_possible


def test_a_pause_ends_when_the_work_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "RETRY_SECONDS", (600.0, 600.0))
    with Connections("pg_migration test") as connections:
        again = Retry(connections.stopped())
        threading.Timer(0.1, connections.cancel).start()
        assert not again.pause()
        assert not again.is_possible
        assert not again.pause()
