"""Run one statement, or several in a transaction or a round trip.

What a distance costs is the number of round trips, whatever they carry. `asked_together` and `gathered` make one of
several without those who ask and write having to know of each other.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INTRANS
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

Parameters = Sequence[Any] | Mapping[str, Any] | None
Question = tuple[sql.Composable | str, Parameters]
"""A query and its parameters."""

Rows = list[tuple[Any, ...]]

# What is known before it is asked, and what is to be sent: of each connection, which one thread uses at a time.
_known: WeakKeyDictionary[Connection, dict[bytes, Rows]] = WeakKeyDictionary()
_gathered: WeakKeyDictionary[Connection, list[bytes]] = WeakKeyDictionary()
_ahead: WeakKeyDictionary[Connection, bytes] = WeakKeyDictionary()

_SAVEPOINT = "pg_migration_asked"


def execute(connection: Connection, statement: sql.Composable | str | bytes, parameters: Parameters = None) -> int:
    """Run one statement, without fetching; the number of rows it touched (-1 in a block that is `gathered`)."""
    with connection.cursor() as cursor:
        if (waiting := _gathered.get(connection)) is not None:
            waiting.append(cursor.mogrify(statement, parameters))
            return -1
        _send(cursor, statement, parameters)
        return int(cursor.rowcount)


def fetch(connection: Connection, statement: sql.Composable | str, parameters: Parameters = None) -> Rows:
    """All rows of one query; in a block that is `gathered`, what was executed until then is sent with it."""
    with connection.cursor() as cursor:
        if (known := _known.get(connection)) and (key := cursor.mogrify(statement, parameters)) in known:
            return known[key]
        _send(cursor, statement, parameters)
        return list(cursor.fetchall())


def send_ahead(connection: Connection, statement: sql.Composable) -> None:
    """Run a statement with the next one of the transaction that is open, just before it.

    It takes no round trip of its own. What ends the transaction, or undoes a part of it that failed, makes it needless.
    """
    with connection.cursor() as cursor:
        _ahead[connection] = cursor.mogrify(statement)


def _send(cursor: Cursor, statement: sql.Composable | str | bytes, parameters: Parameters = None) -> None:
    connection = cursor.connection
    ahead, waiting = _ahead.pop(connection, None), _gathered.get(connection, [])
    first = [ahead] if ahead and connection.info.transaction_status == TRANSACTION_STATUS_INTRANS else []
    if first or waiting:
        message = b";\n".join([*first, *waiting, cursor.mogrify(statement, parameters)])
        waiting.clear()
        cursor.execute(message)
    else:
        cursor.execute(statement, parameters)


@contextmanager
def asked_together(connection: Connection, questions: Iterable[Question]) -> Iterator[None]:
    """Ask some queries in one round trip: in the block, `fetch` has the answers already.

    Where the server refuses one of them none is answered, and each is asked when it is wanted. Numbers, strings, truth
    values and arrays of them come as they would; an OID has to be cast to a number.
    """
    with both_asked((connection, questions)):
        yield


def _answers(connection: Connection, questions: Sequence[Question]) -> dict[bytes, Rows]:
    """By the text of each question its answer; of none where the server refuses one."""
    with connection.cursor() as cursor:
        texts = [cursor.mogrify(*question) for question in questions]
    idle = connection.info.transaction_status == TRANSACTION_STATUS_IDLE
    answers: dict[bytes, Rows] = {text: [] for text in texts}
    try:
        with connection.cursor() as cursor:
            _send(cursor, b"".join([b"" if idle else f"SAVEPOINT {_SAVEPOINT}; ".encode(), _together(texts)]))
            for number, document in cursor.fetchall():
                answers[texts[number]].append(json.loads(document, object_pairs_hook=_Object).row)
    except psycopg2.Error:
        if connection.closed:
            raise
        if not idle:
            execute(connection, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        return {}
    return answers


@contextmanager
def both_asked(*asked: tuple[Connection, Iterable[Question]]) -> Iterator[None]:
    """`asked_together` of several connections at the same time."""
    wanted = [(connection, list(questions)) for connection, questions in asked]
    if len(wanted) == 1:
        answers = [_answers(*wanted[0])]
    else:
        with ThreadPoolExecutor(len(wanted)) as pool:
            answers = list(pool.map(lambda pair: _answers(*pair), wanted))
    former = [_known.get(connection, {}) for connection, _ in wanted]
    for (connection, _), known, found in zip(wanted, former, answers, strict=True):
        _known[connection] = {**known, **found}
    try:
        yield
    finally:
        for (connection, _), known in zip(wanted, former, strict=True):
            _known[connection] = known


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """What the block locks and sets in the transaction that is open is undone when it ends; so is what it writes."""
    execute(connection, f"SAVEPOINT {_SAVEPOINT}")
    try:
        yield
    finally:
        if not connection.closed:
            execute(connection, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")


@contextmanager
def gathered(connection: Connection) -> Iterator[None]:
    """What the block executes is sent when it ends, as one message and, outside of a transaction, one transaction.

    Nothing more is sent when it raises. PostgreSQL docs: "Multiple Statements in a Simple Query".
    """
    if connection in _gathered:
        yield
        return
    waiting = _gathered[connection] = []
    try:
        yield
    finally:
        del _gathered[connection]
    if waiting:
        with connection.cursor() as cursor:
            _send(cursor, b";\n".join(waiting))


def _together(texts: Sequence[bytes]) -> bytes:
    part = b"SELECT %d, pg_catalog.concat(pg_catalog.row_to_json(pg_migration_row)) FROM (%b\n) AS pg_migration_row"
    return b"\nUNION ALL\n".join(part % numbered for numbered in enumerate(texts))


class _Object(dict[str, Any]):
    """An object of JSON; also as a row, two columns of which may have one name."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.row = tuple(value for _, value in pairs)


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """A transaction on an autocommit connection: commit at the end of the block, roll back when it raises.

    In a block that is `gathered` that is one already.
    """
    if connection in _gathered:
        yield
        return
    execute(connection, "BEGIN")
    with undone_on_errors(connection):
        yield
    execute(connection, "COMMIT")


@contextmanager
def undone_on_errors(connection: Connection) -> Iterator[None]:
    """Roll the transaction that the block has begun back when it raises."""
    try:
        yield
    except BaseException:
        with suppress(psycopg2.Error):
            execute(connection, "ROLLBACK")
        raise


def execute_rows(
    connection: Connection, statement: str, rows: Sequence[Sequence[Any]], template: str | None = None
) -> None:
    """Run a statement with all of some rows, each written as ``template``, where ``%s`` stands; nothing for none."""
    if not rows:
        return
    with connection.cursor() as cursor:
        form = template or f"({', '.join(['%s'] * len(rows[0]))})"
        values = b", ".join(cursor.mogrify(form, row) for row in rows)
    before, after = statement.encode().split(b"%s")
    execute(connection, b"".join([before, values, after]))
