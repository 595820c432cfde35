"""One COPY into another: rows of usual width and very wide ones take two ways, which end alike."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import psutil
import psycopg2
import pytest
from psycopg2 import sql

from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.errors import CopyFailed
from pg_migration.postgres.transfer.streams import wide_row_copy
from pg_migration.postgres.transfer.streams.copy_stream import Copied, stream
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transfer.conftest import between
from pg_migration_tests.postgres.transfer.harness import Pair

ROWS = 6
WIDTH = 1_000_000
INTO = sql.SQL("COPY wide FROM STDIN (FORMAT binary)")
both_ways = pytest.mark.parametrize("wide", [False, True])


@pytest.fixture(scope="module")
def databases(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Pair]:
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        closing(between(postgres16, postgres18, monkeypatch)) as pairs,
    ):
        yield next(pairs)


@pytest.fixture
def ends(databases: Pair) -> Iterator[tuple[Any, Any]]:
    """A connection to each side, the source's inside a transaction; the target has a table to copy into."""
    with ExitStack() as stack:
        source, target = (stack.enter_context(end.connection()) for end in (databases.source, databases.target))
        execute(target, "DROP TABLE IF EXISTS wide; CREATE TABLE wide (id int, v text)")
        execute(source, "BEGIN")
        yield source, target


def copy(ends: tuple[Any, Any], value: str, wide: bool) -> Copied:
    """Stream rows with this expression, about ``i``, for their text."""
    statement = f"COPY (SELECT i, {value} FROM generate_series(1, {ROWS}) AS i) TO STDOUT (FORMAT binary)"
    source, target = ends
    passed: list[int] = []
    copied = stream(source, sql.SQL(statement), target, INTO, passed.append, wide)
    assert sum(passed) == copied.bytes
    return copied


@both_ways
def test_rows_arrive(databases: Pair, ends: tuple[Any, Any], wide: bool) -> None:
    before = psutil.Process().num_fds()
    copied = copy(ends, f"repeat(i::text, {WIDTH})", wide)
    assert psutil.Process().num_fds() == before, "an end of the pipe was left open"
    assert copied.rows == ROWS
    assert copied.bytes == 19 + 2 + ROWS * (2 + 4 + 4 + 4 + WIDTH)  # header and trailer, then by row and field
    assert databases.target.rows("SELECT id, v = repeat(id::text, %s) FROM wide ORDER BY id", (WIDTH,)) == [
        (i, True) for i in range(1, ROWS + 1)
    ]
    execute(ends[0], "SELECT 1")  # the transaction goes on


@both_ways
def test_no_rows(ends: tuple[Any, Any], wide: bool) -> None:
    source, target = ends
    nothing = sql.SQL("COPY (SELECT 1, 'x' WHERE false) TO STDOUT (FORMAT binary)")
    assert stream(source, nothing, target, INTO, lambda _: None, wide).rows == 0


@both_ways
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (f"repeat('x', {WIDTH} / (4 - i))", "on the source: division by zero"),
        ("nothing", 'on the source: column "nothing" does not exist'),
    ],
)
def test_source_that_fails(ends: tuple[Any, Any], value: str, message: str, wide: bool) -> None:
    with pytest.raises(CopyFailed, match=message):
        copy(ends, value, wide)
    assert not ends[0].closed


@both_ways
def test_target_that_refuses(ends: tuple[Any, Any], wide: bool) -> None:
    execute(ends[1], "ALTER TABLE wide ADD CONSTRAINT first_only CHECK (id < 3)")
    with pytest.raises(CopyFailed, match=r'on the target: .*violates check constraint "first_only"'):
        copy(ends, f"repeat('x', {WIDTH})", wide)
    assert not ends[1].closed
    assert not [thread for thread in threading.enumerate() if thread.name == "pg_migration COPY TO"]


@both_ways
def test_source_that_goes_away(ends: tuple[Any, Any], wide: bool) -> None:
    dying = f"repeat('x', {WIDTH} * CASE WHEN i < 4 THEN 1 ELSE pg_terminate_backend(pg_backend_pid())::int END)"
    with pytest.raises(CopyFailed, match=r"on the source: .*terminat"):
        copy(ends, dying, wide)
    assert ends[0].closed
    with pytest.raises(psycopg2.InterfaceError):
        execute(ends[0], "SELECT 1")
    assert not ends[1].closed


def test_what_one_write_leaves_is_written_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
        wide_row_copy._write(writing, memoryview(b"a wide row"))
    assert os.read(reading, 100) == b"a wide row"
    for descriptor in (reading, writing):
        os.close(descriptor)
