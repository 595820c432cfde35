"""Servers that crash, and WAL that is gone: each ends in a state that says what happened, and nothing is missing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pg_migration.devtools import servers
from pg_migration.postgres.errors import ConnectionFailed
from pg_migration.postgres.migration import (
    CutoverOptions,
    Migration,
    Options,
    abandon,
    cutover,
    end_way_back,
    go_back,
    migrate,
    preflight,
    rehearse,
)
from pg_migration.postgres.migration.live.watch import Watched, watch
from pg_migration.postgres.replication.slot import SlotSnapshot
from pg_migration.postgres.replication.state import Phase
from pg_migration_tests.conftest import SETTINGS, SETTINGS_18, PostgresServer
from pg_migration_tests.postgres.replication.harness import Two, two
from pg_migration_tests.postgres.replication.live import end_all
from pg_migration_tests.postgres.replication.writers import asked
from pg_migration_tests.standbys import standby_of

pytestmark = pytest.mark.longer

TABLE = "CREATE TABLE t (a integer PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)"
ROWS = "SELECT count(*), sum(a) FROM t"
KEPT = "20MB"


def own_server(folder: Path, version: int, **settings: str) -> PostgresServer:
    account = servers.server_account()
    place = servers.temporary_folder("own-", account, folder)
    usable = servers.usable(servers.embedded(version), account, folder)
    made = servers.Server(usable, place, account, {**SETTINGS, **(SETTINGS_18 if version == 18 else {}), **settings})
    made.start()
    return PostgresServer(made)


@pytest.fixture(scope="module")
def both(servers_folder: Path) -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """Servers that may be stopped."""
    made = own_server(servers_folder, 16, max_slot_wal_keep_size=KEPT), own_server(servers_folder, 18)
    yield made
    for one in made:
        one.server.stop("immediate")


@pytest.fixture
def pair(both: tuple[PostgresServer, PostgresServer]) -> Iterator[Two]:
    with two(*both, TABLE) as made:
        yield made


def migration(pair: Two, **options: object) -> Migration:
    return Migration.between(*pair.urls, options=Options.model_validate({"workers": 1, "follow": True, **options}))


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def looked(pair: Two) -> Watched | None:
    try:
        return watch(migration(pair))
    except ConnectionFailed:
        return None


def followed(pair: Two) -> bool:
    return asked(pair.urls[0], ROWS) == asked(pair.urls[1], ROWS)


@pytest.mark.parametrize("mode", ["immediate", "fast"])
@pytest.mark.parametrize("which", ["source", "target"])
def test_a_server_that_was_away_goes_on(pair: Two, which: str, mode: str) -> None:
    assert migrate(migration(pair)).failures == ()
    pair.in_source("INSERT INTO t SELECT generate_series(1001, 2000)")
    crashing = pair.source if which == "source" else pair.target
    crashing.server.stop(mode)
    if which == "target":
        pair.in_source("UPDATE t SET a = a + 10000; INSERT INTO t SELECT generate_series(1, 100)")
        with pytest.raises(ConnectionFailed, match="the source keeps"):
            watch(migration(pair))
    else:
        with pytest.raises(ConnectionFailed):
            watch(migration(pair))
    crashing.server.start()
    until(lambda: (found := looked(pair)) is not None and found.problems == found.warnings == ())
    pair.in_source("DELETE FROM t WHERE a % 2 = 0")
    until(lambda: followed(pair))
    assert abandon(migration(pair)).failures == ()
    assert pair.left_in_source() == ""


def test_a_source_that_crashes_while_it_is_copied_is_cleared_when_it_is_back(
    pair: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted = SlotSnapshot.close

    def close(self: SlotSnapshot) -> None:
        adopted(self)
        if pair.source.server.is_running():
            pair.source.server.stop("immediate")

    monkeypatch.setattr(SlotSnapshot, "close", close)
    assert migrate(migration(pair)).failures != ()
    pair.source.server.start()
    assert pair.left_in_source() != ""
    until(lambda: (found := looked(pair)) is not None and bool(found.done))
    assert pair.left_in_source() == ""
    monkeypatch.undo()
    assert migrate(migration(pair)).failures == ()
    until(lambda: followed(pair))
    assert abandon(migration(pair)).failures == ()


def test_wal_that_the_source_has_removed_is_told(pair: Two) -> None:
    """Nobody had looked until then."""
    assert migrate(migration(pair)).failures == ()
    name = pair.in_source("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")
    pair.in_target(f"ALTER SUBSCRIPTION {name} DISABLE")
    for _ in range(5):
        pair.in_source("SET synchronous_commit = on; SELECT pg_logical_emit_message(true, '', repeat('x', 10000000)); ")
        pair.in_source("SELECT pg_switch_wal()")
        pair.in_source("CHECKPOINT")
    assert pair.in_source(f"SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{name}'") == "lost"
    found = watch(migration(pair))
    assert found.replication is not None
    assert found.replication.phase is Phase.LOST
    assert "max_slot_wal_keep_size" in found.problems[0]
    assert pair.left_in_source() == ""
    assert migrate(migration(pair)).failures == ()
    assert abandon(migration(pair)).failures == ()


def test_a_way_back_ends_before_it_fills_the_disk_of_the_new_server(pair: Two) -> None:
    """The old server may be gone for good, with nobody who says so."""
    limited = migration(pair)  # by what the source may keep
    assert migrate(limited).failures == ()
    assert cutover(limited, CutoverOptions(way_back=True, check="content")).failures == ()
    pair.in_target("INSERT INTO t VALUES (5000)")
    until(lambda: followed(pair))
    pair.source.server.stop("immediate")
    told = "the target keeps .* of WAL for the way back", "its slot was dropped, and there is no way back any more"
    for expected in told:
        pair.in_target("SET synchronous_commit = on; SELECT pg_logical_emit_message(true, '', repeat('x', 12000000))")
        with pytest.raises(ConnectionFailed, match=expected):
            watch(limited)
    assert pair.in_target("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == "0"
    assert end_way_back(limited).failures == ()
    pair.source.server.start()
    end_all(pair.urls[0])  # as the run has told


def test_what_stops_a_way_back_is_told(pair: Two) -> None:
    assert migrate(migration(pair)).failures == ()
    assert cutover(migration(pair), CutoverOptions(way_back=True, check="content")).failures == ()
    assert watch(migration(pair)).problems == ()
    pair.in_source("SET default_transaction_read_only = off; INSERT INTO t VALUES (5000)")
    pair.in_target("INSERT INTO t VALUES (5000)")

    def told(expected: str) -> bool:
        return expected in " ".join(watch(migration(pair)).problems)

    until(lambda: told("of the source is disabled"))
    assert "of the source is disabled" in " ".join(go_back(migration(pair), CutoverOptions()).failures)
    pair.in_source("SET default_transaction_read_only = off; DELETE FROM t WHERE a = 5000")
    until(lambda: told("of the source is disabled"))
    name = pair.in_source("SELECT subname FROM pg_subscription")
    statements = f"SET default_transaction_read_only = off; ALTER SUBSCRIPTION {name} ENABLE"
    assert told(statements)
    pair.in_source(statements)
    until(lambda: followed(pair))
    assert watch(migration(pair)).problems == ()
    for change in ("DISABLE", "SET (slot_name = NONE)"):
        pair.in_source(f"SET default_transaction_read_only = off; ALTER SUBSCRIPTION {name} {change}")
    pair.in_source(f"SET default_transaction_read_only = off; DROP SUBSCRIPTION {name}")
    assert told("the source has no subscription, so that nothing is written back")
    assert cutover(migration(pair), CutoverOptions()).failures == ()
    assert watch(migration(pair)).problems == ()
    assert go_back(migration(pair), CutoverOptions()).failures == ()


@contextmanager
def failing_over(
    folder: Path, target: PostgresServer, waited_for: str = ""
) -> Iterator[tuple[Two, PostgresServer, Callable[[], None]]]:
    """Both sides, a standby of the source that has its slots, and what has that take over at the source's address.

    Args:
        waited_for: the slots whose standbys are to have everything before the target.
    """
    source = own_server(folder, 18)
    with two(source, target, TABLE) as pair:
        pair.in_source("SELECT pg_create_physical_replication_slot('of_standby', true)")
        pair.in_source(f"ALTER SYSTEM SET synchronized_standby_slots = '{waited_for}'")
        pair.in_source("SELECT pg_reload_conf()")
        with standby_of(source, folder, "of_standby", **SETTINGS_18, hot_standby_feedback="on") as standby:

            def take_over() -> None:
                source.server.stop("immediate")
                standby.server.stop()
                source.server.data.rename(source.server.folder / "failed")
                standby.server.data.rename(source.server.data)
                source.server.start()
                with pytest.raises(ConnectionFailed, match="recovery is in progress"):
                    watch(migration(pair))
                pair.in_source("SELECT pg_promote()")

            yield pair, standby, take_over
    source.server.stop("immediate")


def synced(pair: Two, standby: PostgresServer) -> bool:
    pair.in_source("SELECT pg_log_standby_snapshot()")
    standby.psql(standby.url(), "SELECT pg_sync_replication_slots()")
    slots = "SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT temporary"
    return standby.psql(standby.url(), slots).strip() == "1"


def test_a_failover_to_a_standby_that_has_the_slot(servers_folder: Path, postgres18: PostgresServer) -> None:
    with failing_over(servers_folder, postgres18, "of_standby") as (pair, standby, take_over):
        assert "synchronized_standby_slots" not in str(preflight(migration(pair)))
        assert migrate(migration(pair)).failures == ()
        pair.in_source("UPDATE t SET a = a + 10000")
        until(lambda: followed(pair))
        assert watch(migration(pair)).warnings == ()
        until(lambda: synced(pair, standby))
        pair.in_source("INSERT INTO t SELECT generate_series(1, 100)")
        until(lambda: asked(standby.url(database_of(pair)), ROWS) == asked(pair.urls[0], ROWS))
        take_over()
        until(lambda: bool(watch(migration(pair), drops=False).warnings))
        assert "a standby of the source has taken over" in " ".join(
            rehearse(migration(pair), CutoverOptions()).problems
        )
        assert "a standby of the source has taken over" in " ".join(watch(migration(pair)).warnings)
        until(lambda: (found := looked(pair)) is not None and found.problems == () and found.lag is not None)
        assert "a standby of the source has taken over" not in " ".join(watch(migration(pair)).warnings)
        pair.in_source("INSERT INTO t SELECT generate_series(101, 200)")
        until(lambda: (found := looked(pair)) is not None and "nobody reads of_standby" in " ".join(found.warnings))
        pair.in_source("ALTER SYSTEM RESET synchronized_standby_slots")
        pair.in_source("SELECT pg_reload_conf()")
        until(lambda: looked(pair) is not None and followed(pair))
        assert pair.in_target("SELECT count(*) FROM t") == "1200"
        assert "the rows were not compared" in " ".join(rehearse(migration(pair), CutoverOptions()).problems)
        assert abandon(migration(pair)).failures == ()
        assert pair.left_in_source() == ""


def test_a_failover_to_a_standby_that_lacks_what_the_target_has(
    servers_folder: Path, postgres18: PostgresServer
) -> None:
    with failing_over(servers_folder, postgres18) as (pair, standby, take_over):
        assert "a standby that takes over may lack what the target has got" in str(preflight(migration(pair)))
        assert migrate(migration(pair)).failures == ()
        until(lambda: synced(pair, standby))
        standby.server.stop()  # so that it gets no more
        pair.in_source("INSERT INTO t SELECT generate_series(1001, 20000)")
        until(lambda: followed(pair))
        take_over()
        until(lambda: (found := looked(pair)) is not None and bool(found.problems))
        found = watch(migration(pair)).replication
        assert found is not None
        assert found.phase is Phase.LOST
        assert "the target has received more than the source has written" in (found.reason or "")
        assert pair.left_in_source() == ""
        assert migrate(migration(pair)).failures == ()
        assert followed(pair)
        assert abandon(migration(pair)).failures == ()


def database_of(pair: Two) -> str:
    return pair.urls[0].rpartition("/")[2]


def test_hostile_names_of_functions_and_operators_mean_nothing(pair: Two) -> None:
    """What a database has on its search_path before ours is not what our statements call."""
    evil = """
        CREATE SCHEMA evil;
        CREATE FUNCTION evil.fail() RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''called''; END';
        CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT evil.fail()';
        CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS 'SELECT evil.fail()';
        CREATE FUNCTION evil.current_database() RETURNS name LANGUAGE sql AS 'SELECT evil.fail()::name';
        CREATE FUNCTION evil.pg_wal_lsn_diff(pg_lsn, pg_lsn) RETURNS numeric LANGUAGE sql AS
            'SELECT evil.fail()::numeric';
        CREATE FUNCTION evil.ne(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT evil.fail()::boolean';
        CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.ne);
        CREATE FUNCTION evil.ne(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.fail()::boolean';
        CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.ne);
        CREATE TABLE evil.pg_publication (); CREATE TABLE evil.pg_replication_slots ();
        CREATE TABLE evil.pg_stat_activity (); CREATE TYPE evil.text AS (a integer);
        ALTER DATABASE {database} SET search_path = evil, pg_catalog, public;
    """
    names = [url.rpartition("/")[2] for url in pair.urls]
    pair.in_source(evil.format(database=names[0]))
    pair.in_target(evil.format(database=names[1]))
    try:
        assert migrate(migration(pair)).failures == ()
        assert watch(migration(pair)).problems == ()
        assert abandon(migration(pair)).failures == ()
    finally:
        pair.in_source(f"ALTER DATABASE {names[0]} RESET search_path")
        pair.in_target(f"ALTER DATABASE {names[1]} RESET search_path")
