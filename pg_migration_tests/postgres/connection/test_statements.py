"""What is asked together is answered as if each had been asked by itself."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection import statements
from pg_migration.postgres.connection.statements import (
    Question,
    asked_together,
    both_asked,
    execute,
    fetch,
    gathered,
    send_ahead,
)
from pg_migration.postgres.migration import Migration, migrate, preflight, validate
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.migration.test_catalogs import LIBRARY


@pytest.fixture
def connection(target_db: str) -> Iterator[Connection]:
    connection = psycopg2.connect(target_db)
    connection.autocommit = True
    yield connection
    connection.close()


class Refused(Exception):
    """A query was sent, although its answer was known."""


def no_query(*_: object) -> None:
    raise Refused


def test_answers_are_those_of_each_by_itself(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    questions: list[Question] = [
        ("SELECT 1, 'a'::text, true, NULL::int, 1, 9223372036854775807, -1.5::float8, ARRAY['x', NULL], %s", ("50 %",)),
        ("SELECT g, g %% 2 = 0 FROM generate_series(1, 3) AS g -- no more", ()),
        ("SELECT WHERE false", None),
        ("SELECT FROM generate_series(1, 2)", None),
        ("""SELECT '{"b": {"c": [1]}, "a": 2}'::json, 'Ein "\\ Wort'""", None),
    ]
    alone = [fetch(connection, *question) for question in questions]
    with asked_together(connection, questions), monkeypatch.context() as patch:
        patch.setattr(statements, "_send", no_query)
        assert [fetch(connection, *question) for question in questions] == alone
        with pytest.raises(Refused):
            fetch(connection, "SELECT 2")


@pytest.mark.parametrize("begun", [False, True])
def test_where_one_is_refused_each_is_asked_by_itself(connection: Connection, begun: bool) -> None:
    if begun:
        execute(connection, "BEGIN")
    with asked_together(connection, [("SELECT 1", None), ("SELECT FROM nowhere", None)]):
        assert fetch(connection, "SELECT 1") == [(1,)]
        with pytest.raises(psycopg2.errors.UndefinedTable):
            fetch(connection, "SELECT FROM nowhere")


def test_what_is_gathered_is_one_transaction(connection: Connection) -> None:
    with gathered(connection):
        execute(connection, "CREATE TABLE t (i int)")
        execute(connection, "INSERT INTO t VALUES (%s)", (1,))
        assert fetch(connection, "SELECT i FROM t") == [(1,)]
        execute(connection, "INSERT INTO t VALUES (2)")
    assert fetch(connection, "SELECT i FROM t ORDER BY 1") == [(1,), (2,)]
    with suppress(psycopg2.errors.DivisionByZero), gathered(connection):
        execute(connection, "INSERT INTO t VALUES (3)")
        execute(connection, "SELECT 1 / 0")
    with suppress(Refused), gathered(connection):
        execute(connection, "INSERT INTO t VALUES (4)")
        raise Refused
    assert fetch(connection, "SELECT count(*) FROM t") == [(2,)]
    assert connection.info.transaction_status == TRANSACTION_STATUS_IDLE


def test_what_is_sent_ahead_comes_before_the_next_statement(connection: Connection) -> None:
    execute(connection, "BEGIN")
    send_ahead(connection, statements.sql.SQL("SET LOCAL statement_timeout = '7s'"))
    assert fetch(connection, "SHOW statement_timeout") == [("7s",)]
    execute(connection, "SAVEPOINT here")
    send_ahead(connection, statements.sql.SQL("SET LOCAL statement_timeout = '8s'"))
    with pytest.raises(psycopg2.errors.DivisionByZero):
        execute(connection, "SELECT 1 / 0")
    send_ahead(connection, statements.sql.SQL("SELECT"))
    execute(connection, "ROLLBACK TO SAVEPOINT here")
    assert fetch(connection, "SHOW statement_timeout") == [("7s",)]


def test_all_that_a_migration_asks_together(
    postgres16: PostgresServer, source_db: str, target_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OIDs, for example, would be strings."""
    postgres16.psql(source_db, LIBRARY)
    answered, wrong = statements._answers, []

    def compared(connection: Connection, questions: Sequence[Question]) -> Any:
        found = answered(connection, questions)
        with connection.cursor() as cursor:
            for (text, rows), question in zip(found.items(), questions, strict=bool(found)):
                cursor.execute(*question)
                alone = cursor.fetchall()
                # What tells of what goes on may differ by now, and a float may look like a whole number.
                for one, other in zip(alone, rows, strict=False):
                    for value, answer in zip(one, other, strict=True):
                        if type(value) is not type(answer) and not isinstance(value, float):
                            wrong.append((text, value, answer))
        return found

    monkeypatch.setattr(statements, "_answers", compared)
    migration = Migration.between(source_db, target_db)
    assert preflight(migration)
    for do in (migrate, migrate, validate):
        assert do(migration).failures == ()
    assert wrong == []


def test_two_connections_are_asked_at_once(connection: Connection, source_db: str) -> None:
    other = psycopg2.connect(source_db)
    database: Question = ("SELECT current_database()", None)
    with both_asked((connection, [database]), (other, [database])):
        names = [fetch(end, *database) for end in (connection, other)]
    assert names == [[(end.info.dbname,)] for end in (connection, other)]
    other.close()
