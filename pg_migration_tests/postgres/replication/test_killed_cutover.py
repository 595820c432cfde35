"""A cutover that dies at any moment has happened, or has not; the next look or command brings it to an end."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from pg_migration.postgres.migration.live.watch import watch
from pg_migration.postgres.replication.state import Phase
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.live import SHOP, WITHOUT_RELOADS, Shop, Writer, shop

# Before the ledger says that the target has taken over. A function, before or after which of its calls.
BEFORE = (
    "record:before:1",
    "record:after:1",
    "make_read_only:after:1",
    "catch_up:after:1",
    "set_sequences:after:1",
    "make_publication:after:1",
    "end_clients:after:1",
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
