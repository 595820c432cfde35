"""A cutover that dies at any moment has happened, or has not; the next look or command brings it to an end."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.errors import ConnectionFailed
from pg_migration.postgres.migration import Migration, abandon, end_way_back, release
from pg_migration.postgres.migration.live.takeover import cutover as cutover_module
from pg_migration.postgres.migration.live.watch import watch
from pg_migration.postgres.replication.fence import Ended
from pg_migration.postgres.replication.state import Phase
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.live import SHOP, WITHOUT_RELOADS, Shop, Writer, shop

# Before the ledger says that the target has taken over. A function, before or after which of its calls.
AS_EVER = (
    "record:before:1",
    "record:after:1",
    "insist_on_tables:after:1",
    "announce_fence:before:1",
    "announce_fence:after:1",
)
READ_ONLY = "make_announced_read_only:after:1"
BEFORE = (
    *AS_EVER,
    READ_ONLY,
    "catch_up:after:1",
    "set_sequences:after:1",
    "position:after:1",
    "end_clients:after:1",
    "announce_decision:before:1",
    "record:before:2",
)
AFTER = (
    "record:after:2",
    "unsubscribe:after:1",
    "run_command:before:1",
    "end_clients:before:2",
    "undo_in_source:before:1",
)


@pytest.fixture
def made(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Shop]:
    with shop(postgres16, postgres18, SHOP + WITHOUT_RELOADS) as found:
        found.follow()
        yield found


def die(made: Shop, step: str, direction: str = "with way back") -> None:
    command = [sys.executable, "-m", "pg_migration_tests.postgres.replication.killed"]
    died = subprocess.run(
        [*command, *made.two.urls, made.schemas, step, direction], capture_output=True, text=True, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr


def goes_on(writer: Writer) -> None:
    """The writer gets answers."""
    before, deadline = len(writer.acknowledged), time.monotonic() + 20
    while len(writer.acknowledged) < before + 20:
        assert time.monotonic() < deadline, writer.errors[-1:]
        time.sleep(0.01)


def die_before_it_moves(made: Shop, steps: tuple[str, ...]) -> None:
    for step in steps:
        writer = Writer(made.two.urls, BEFORE.index(step) + 1)
        die(made, step)
        deadline = time.monotonic() + 20
        while (state := watch(made.migration()).replication) is not None and state.phase is Phase.FENCED:
            assert time.monotonic() < deadline, watch(
                made.migration()
            )  # until the server has noticed that the process is gone
            time.sleep(0.1)
        assert state is not None
        assert (state.phase, state.way_back, made.source_is_read_only()) == (Phase.FOLLOWING, None, False), step
        assert (
            made.two.in_target("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == "0"
        )
        goes_on(writer)
        writer.stop()
    result = made.cutover(check="content")
    assert result.failures == ()
    for number in range(1, len(BEFORE) + 1):
        assert sorted(made.written_by(number)) == sorted(made.written_by(number, target=False))


@contextmanager
def away(made: Shop, side: Side = Side.TARGET) -> Iterator[None]:
    server = made.two.target if side is Side.TARGET else made.two.source
    name = psycopg2.extensions.parse_dsn(made.two.urls[side is Side.TARGET])["dbname"]
    allow = f"ALTER DATABASE {name} ALLOW_CONNECTIONS {{}}"
    server.psql(server.url(), allow.format(False))
    server.psql(server.url(), f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        server.psql(server.url(), allow.format(True))


def looked_while_away(made: Shop) -> str:
    """What a look says when the server has noticed that the process is gone."""
    deadline = time.monotonic() + 20
    while True:
        with pytest.raises(ConnectionFailed) as told:
            watch(made.migration())
        if "waiting at this moment" not in str(told.value) or time.monotonic() > deadline:
            return str(told.value)
        time.sleep(0.1)


PHASE = "SELECT phase FROM _pg_migration.replication"
SUBSCRIPTIONS = (
    "SELECT subname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid WHERE datname = current_database()"
)
DECIDED = ("record:before:2", "record:after:2")


@pytest.mark.parametrize(
    "step", [pytest.param(s, marks=[] if s == READ_ONLY else pytest.mark.longer) for s in (*BEFORE[1:], DECIDED[1])]
)
def test_a_source_does_not_stay_read_only_because_the_target_is_away(made: Shop, step: str) -> None:
    """Only where the target may have taken over, as it was just about to."""
    die(made, step)
    with away(made):
        told = looked_while_away(made)
        if step in DECIDED:
            assert "read only until the target answers" in told
            assert made.source_is_read_only()
            assert "run pg_migration abandon once more" in abandon(made.migration()).failures[0]
            assert made.source_is_read_only()
        else:
            assert ("sessions may write again" in told) is (step not in AS_EVER)
            assert not made.source_is_read_only()
            assert "sessions may write again" not in looked_while_away(made)
    until_looked(made)
    moved = step == "record:after:2"
    assert (made.state().phase is Phase.MOVED, made.source_is_read_only()) == (moved, moved)


def until_looked(made: Shop) -> None:
    deadline = time.monotonic() + 20
    while (state := watch(made.migration()).replication) is not None and state.phase is Phase.FENCED:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def without_target(made: Shop) -> Migration:
    """The same for somebody who can't reach the target."""
    target = make_dsn(made.two.urls[1], user="nobody_there")
    return replace(made.migration(), target=Endpoint.parse(Side.TARGET, target, "url"))


@pytest.mark.parametrize("step", ["set_sequences", pytest.param("announce_decision", marks=pytest.mark.longer)])
def test_who_can_not_reach_the_target_does_not_disturb_a_cutover_that_lives(
    made: Shop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """But lets writers go on where it does not keep them any more; then it does not take place."""
    real, told = getattr(cutover_module, step), list[str]()
    holder = "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"

    def looked_at(*arguments: Any, **options: Any) -> Any:
        if told:
            made.two.in_source(holder)
        with pytest.raises(ConnectionFailed) as failed:
            watch(without_target(made))
        told.append(f"{failed.value}")
        return real(*arguments, **options)

    monkeypatch.setattr(cutover_module, step, looked_at)
    monkeypatch.setattr(cutover_module, "end_clients", lambda *_: Ended(0, []))
    assert made.cutover(way_back=True).failures == ()
    assert "keeps the source's writers waiting at this moment" in told[0]
    assert made.go_back().failures == ()
    assert release(made.migration(), psycopg2.extensions.parse_dsn(made.two.urls[1])["dbname"]).failures == ()
    made.two.in_target('DROP SCHEMA _pg_migration, "Sh.op" CASCADE')
    made.follow()
    failures = made.cutover().failures
    assert "sessions may write again" in told[1]
    assert any(f"{what}" in failures[0] for what in ("ended the session", "has let the source's writers go on"))
    assert (made.state().phase, made.source_is_read_only()) == (Phase.FOLLOWING, False)


@pytest.mark.longer
@pytest.mark.parametrize("by", ["a look", "the end of the way back"])
def test_a_target_does_not_stay_read_only_because_the_source_is_away(made: Shop, by: str) -> None:
    assert made.cutover(way_back=True).failures == ()
    die(made, "make_read_only:after:1", "back")
    assert (made.state().phase, made.two.in_target("SHOW transaction_read_only")) == (Phase.RETURNING, "on")
    with away(made, Side.SOURCE):
        if by == "a look":
            assert "sessions may write again" in looked_while_away(made)
            assert "sessions may write again" not in looked_while_away(made)
        else:
            assert end_way_back(made.migration()).failures == ()
        assert made.two.in_target("SHOW transaction_read_only") == "off"
        assert made.two.in_target(PHASE) == ("moved" if by == "a look" else "ended")


@pytest.mark.longer
def test_what_follows_a_source_that_is_away_can_be_given_up(made: Shop) -> None:
    die(made, "end_clients:after:1")
    with away(made, Side.SOURCE):
        (failure,) = abandon(made.migration()).failures
        assert "was given up in the target (subscription" in failure
        assert (made.two.in_target(PHASE), made.two.in_target(SUBSCRIPTIONS)) == ("abandoned", "")
        assert "nothing to give up" in abandon(made.migration()).failures[0]
    assert made.source_is_read_only()
    assert "what a cutover had begun" in watch(made.migration()).done
    assert (made.two.left_in_source(), made.source_is_read_only()) == ("", False)


def test_a_cutover_that_dies_has_not_happened(made: Shop) -> None:
    die_before_it_moves(made, ("end_clients:after:1",))


@pytest.mark.longer
def test_a_cutover_that_dies_at_any_step_has_not_happened(made: Shop) -> None:
    die_before_it_moves(made, BEFORE)


@pytest.mark.longer
@pytest.mark.parametrize("step", AFTER)
def test_a_cutover_that_dies_later_is_brought_to_an_end(made: Shop, step: str) -> None:
    writer = Writer(made.two.urls, 1)
    die(made, step)
    assert (made.state().phase, made.source_is_read_only()) == (Phase.MOVED, True)
    assert made.cutover().failures == ()
    goes_on(writer)
    result = made.go_back(check="content")
    writer.stop()
    assert result.failures == ()
    assert made.left() == ""
    found = made.written_by(1, target=False)
    assert set(found) >= set(writer.acknowledged)
    assert len(found) == len(set(found))


BACK_BEFORE = (
    "record:before:1",
    "record:after:1",
    "make_read_only:after:1",
    "caught_up:after:2",
    "compare_tables:before:1",
    "end_clients:after:1",
    "record:before:2",
)
BACK_AFTER = ("record:after:2", "unsubscribe:after:1", "run_command:before:1", "undo_in_source:before:1")


@pytest.mark.longer
@pytest.mark.parametrize("after", BACK_AFTER)
def test_a_way_back_that_dies_at_any_step_has_not_happened_or_is_brought_to_an_end(made: Shop, after: str) -> None:
    writer = Writer(made.two.urls, 1)
    assert made.cutover(way_back=True).failures == ()
    for step in BACK_BEFORE if after == BACK_AFTER[0] else ():
        die(made, step, "back")
        deadline = time.monotonic() + 20
        while (state := watch(made.migration()).replication) is not None and state.phase is Phase.RETURNING:
            assert time.monotonic() < deadline, step
            time.sleep(0.1)
        assert (made.state().phase, made.two.in_target("SHOW default_transaction_read_only")) == (Phase.MOVED, "off")
        goes_on(writer)
    die(made, after, "back")
    assert made.two.in_target("SHOW default_transaction_read_only") == "on"
    assert made.go_back().failures == ()
    assert (made.state().phase, made.left(), made.source_is_read_only()) == (Phase.BACK, "", False)
    goes_on(writer)
    writer.stop()
    found = made.written_by(1, target=False)
    assert set(found) >= set(writer.acknowledged)
    assert len(found) == len(set(found))


@pytest.mark.longer
@pytest.mark.parametrize(
    "step", ["record:after:1", "_end_in_source:after:1", "undo_in_source:after:1", "undo_identities:after:1"]
)
def test_the_end_of_a_way_back_that_dies_is_gone_on_with(made: Shop, step: str) -> None:
    assert made.cutover(way_back=True).failures == ()
    die(made, step, "end")
    assert made.state().phase is Phase.ENDED
    watch(made.migration())
    assert end_way_back(made.migration()).failures == ()
    assert (made.state().phase, made.left(), made.source_is_read_only()) == (Phase.ENDED, "", True)
