"""Connections that are lost while two sides are compared: the slice is asked again, within limits."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import discover
from pg_migration.postgres.connection import retry
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.errors import SnapshotLost
from pg_migration.postgres.hashing.digests import Hashing, count_rows
from pg_migration.postgres.hashing.part import Part
from pg_migration.postgres.snapshot.readers import Readers
from pg_migration.postgres.source_changes.drift import drift_of
from pg_migration.postgres.verification.both_sides import Answers, BothSides, Unanswered
from pg_migration.postgres.verification.row_differences import RowDifference, differences
from pg_migration.postgres.verification.slices import Slicing
from pg_migration_tests.postgres.source_changes.test_drift import copied
from pg_migration_tests.postgres.verification.harness import Pair

TABLES = "CREATE TABLE t AS SELECT 7 AS id FROM generate_series(1, 10); CREATE TABLE u AS SELECT 7 AS id;"
WORKERS = 2


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "RETRY_SECONDS", (0.01,) * 4)


def end_session(connection: Connection) -> None:
    """Have the server end the session that asks for it."""
    execute(connection, "SELECT pg_terminate_backend(pg_backend_pid())")


@dataclass
class Counting:
    """Counts rows; the first sessions that are asked about some table on one side end before they answer."""

    side: str
    losses: int
    table: str = "t"
    before: Callable[[], object] = lambda: None
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, connection: Connection, part: Part) -> int:
        with self.lock:
            mine = connection.server_version // 10000 == {"source": 16, "target": 18}[self.side]
            if mine:
                self.asked.append(part.name[1])
            lost = mine and part.name[1] == self.table and self.losses > 0
            self.losses -= lost
        if lost:
            self.before()
            end_session(connection)
        return count_rows(connection, part)


def slicings(pair: Pair, slices: int) -> list[Slicing]:
    """Both tables, the first one in so many slices, one of which has all rows."""
    tables = discover(pair.links.open(pair.ends[Side.SOURCE]), {"public": "public"}).tables_by_name
    predicates = tuple(sql.SQL("id = {}").format(sql.Literal(n)) for n in range(7, 7 + slices))
    cut = Slicing(tables["public", "t"], 10, dict.fromkeys(Side, predicates))
    return [cut, Slicing.whole(tables["public", "u"], 1)]


def compare(
    pair: Pair, counting: Counting, sides: BothSides | None = None, workers: int = WORKERS, slices: int = 5
) -> Mapping[str, Answers[int]]:
    answers = (sides or pair.sides).ask(counting, slicings(pair, slices), workers)
    return {found.table.name: found for found in answers}


@pytest.mark.parametrize("side", ["source", "target"])
def test_slices_are_asked_again(pair: Pair, side: str) -> None:
    pair.both(TABLES)
    counting = Counting(side, losses=3)
    found = compare(pair, counting)
    assert found["t"].source == found["t"].target == (10, 0, 0, 0, 0)
    assert found["u"].source == found["u"].target == (1,)
    assert sorted(counting.asked) == ["t"] * 8 + ["u"]


def test_a_table_that_ends_every_session_is_the_only_one_without_an_answer(pair: Pair) -> None:
    pair.both(TABLES)
    counting = Counting("target", losses=1000)
    found = compare(pair, counting, workers=1)
    assert found["t"].error is not None
    assert found["t"].error.startswith("public.t can't be read on the target: ")
    assert found["t"].source == (10, 0, 0, 0, 0)
    assert found["u"].target == (1,)
    assert counting.asked == ["t"] * (1 + len(retry.RETRY_SECONDS)) + ["u"]


@pytest.fixture
def closing_port() -> Iterator[tuple[int, list[str]]]:
    """A port where every connection is closed at once, and those that came to it."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close_all() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                seen.append(str(address))
                connection.close()

        thread = threading.Thread(target=close_all)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_server_that_is_down_is_waited_for_once(pair: Pair, closing_port: tuple[int, list[str]]) -> None:
    pair.both(TABLES)
    port, seen = closing_port
    nowhere = Endpoint.parse(Side.TARGET, f"postgresql://u@127.0.0.1:{port}/d?sslmode=disable", "URL")
    sides = pair.sides
    target = sides.snapshots[Side.TARGET]
    away = replace(target, readers=Readers(pair.links, nowhere, target.adopt, ()))
    sides = replace(sides, snapshots={**sides.snapshots, Side.TARGET: away})
    found = compare(pair, Counting("target", 0), sides, slices=200)
    for name, answers in found.items():
        assert isinstance(answers.target, Unanswered), name
        assert "can't connect to the target database" in answers.target.reason
    assert found["t"].source == (10, *[0] * 199)
    assert len(seen) == WORKERS * (1 + len(retry.RETRY_SECONDS))


def test_without_the_snapshot_nothing_is_asked_again(pair: Pair) -> None:
    pair.both(TABLES)
    sides = pair.sides
    counting = Counting("source", 1, before=sides.snapshots[Side.SOURCE].release)
    found = compare(pair, counting, sides, workers=1)
    assert "can't be read any more" in (found["t"].error or "")
    assert "can't be read any more" in (found["u"].error or "")
    assert counting.asked == ["t"]


def test_nobody_waits_for_a_server_after_a_cancel(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "RETRY_SECONDS", (600.0,))
    pair.both(TABLES)
    counting = Counting("source", 1, before=threading.Timer(0.2, pair.links.cancel).start)
    found = compare(pair, counting, workers=1)
    assert "the source was not read to the end: the comparison was stopped" in (found["t"].error or "")


def test_an_interrupt_ends_the_slices_that_are_asked_and_begins_no_others(pair: Pair) -> None:
    pair.both(TABLES)
    asked: list[Part] = []

    def sleep(connection: Connection, part: Part) -> int:
        asked.append(part)
        if len(asked) == 2:
            threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
        execute(connection, "SELECT pg_sleep(600)")
        return 0

    sides, wanted = pair.sides, slicings(pair, 5)
    with pytest.raises(KeyboardInterrupt):
        pair.links.run(lambda: list(sides.ask(sleep, wanted, 1)))
    assert len(asked) == 2


class Losing(Hashing):
    """Ends the first session that is to hash rows on the source."""

    def prepare(self, connection: Connection, part: Part) -> None:
        if not self.__dict__.get("lost") and connection.server_version < 170000:
            self.__dict__["lost"] = True
            end_session(connection)
        super().prepare(connection, part)


def test_differing_rows_and_their_reason_are_looked_for_again(pair: Pair) -> None:
    copied(pair, "CREATE TABLE t (id int PRIMARY KEY, v text)")
    pair.source("UPDATE t SET v = 'newer' WHERE id = 5")
    sides, found = pair.sides, pair.answers()
    rows = differences(sides, found, Losing())
    assert rows == (RowDifference("different", "(5)", ("v",)),)
    target = pair.links.open(pair.ends[Side.TARGET])
    told = str(drift_of(sides, target, pair.table, ("public", "t"), rows, Losing()))
    assert told.startswith("the source changed since the copy of")
    sides.snapshots[Side.SOURCE].release()
    with pytest.raises(SnapshotLost):
        differences(sides, found, Losing())
