"""The target takes over while applications write, or nothing has happened."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from pg_migration.postgres.migration import end_way_back, migrate, old_source_silent, release
from pg_migration.postgres.replication.state import Phase
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.live import SHOP, WITHOUT_RELOADS, Shop, Writer, shop


@pytest.fixture
def made(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Shop]:
    with shop(postgres16, postgres18) as found:
        found.follow()
        yield found


def test_nothing_is_lost_or_doubled_when_the_target_takes_over(made: Shop, tmp_path: Path) -> None:
    told = tmp_path / "told"
    writers = [Writer(made.two.urls, number) for number in (1, 2)]
    made.two.in_source("INSERT INTO \"Sh.op\".log VALUES ('late'); SELECT nextval('\"Sh.op\".numbers')")
    result = made.cutover(command=f"echo $PG_MIGRATION_MOVED_TO > {told}; exit 3")
    for writer in writers:
        writer.stop()
    (failure,) = result.failures
    assert "ended with status 3" in failure
    assert told.read_text() == "target\n"
    state = made.state()
    assert (state.phase, made.left(), made.source_is_read_only()) == (Phase.MOVED, "", True)
    for writer in writers:
        found = made.written_by(writer.number)
        assert writer.moved
        assert set(found) >= set(writer.acknowledged)
        assert len(found) == len(set(found))
    assert made.two.in_target('SELECT last_value FROM "Sh.op".numbers') == "1"
    # A trigger does not fire again for what is replicated.
    both = 'SELECT count(*) FROM "Sh.op".audit', 'SELECT count(*) FROM "Sh.op"."or%ders"'
    assert made.two.in_target(both[0]) == made.two.in_target(both[1])
    # Every row that was there when writers began to wait, and views that show them.
    assert made.two.in_target("SELECT count(*) FROM \"Sh.op\".log WHERE line = 'late'") == "1"
    assert made.two.in_target('SELECT n FROM "Sh.op".writers') == "3"
    assert made.two.source.dump_schema(made.two.urls[0], "Sh.op") == made.two.target.dump_schema(
        made.two.urls[1], "Sh.op"
    )
    refused = migrate(made.migration())
    assert "pg_migration release" in refused.failures[0]
    assert made.cutover().failures == ()
    assert old_source_silent(made.migration()) == []
    made.two.in_source(
        "SET default_transaction_read_only = off; UPDATE \"Sh.op\".log SET line = 'x' WHERE line = 'late'"
    )
    (seen,) = old_source_silent(made.migration())
    assert seen.startswith("Sh.op.log has 1 row")


def test_a_wrong_row_lets_writers_go_on_at_once(made: Shop) -> None:
    made.two.in_target('SET session_replication_role = replica; DELETE FROM "Sh.op"."or%ders" WHERE id = 7')
    writer = Writer(made.two.urls, 1)
    for check in ("count", "content"):
        before = len(writer.acknowledged)
        result = made.cutover(check=check)
        assert "or%ders" in result.failures[0]
        assert "go on, and so does replication" in result.failures[-1]
        assert (made.state().phase, made.source_is_read_only()) == (Phase.FOLLOWING, False)
        deadline = time.monotonic() + 10
        while len(writer.acknowledged) < before + 50 and time.monotonic() < deadline:
            time.sleep(0.01)
    writer.stop()
    assert writer.errors == []
    made.two.in_target(
        'SET session_replication_role = replica; INSERT INTO "Sh.op"."or%ders" (id, writer, n) VALUES (7, 0, 7)'
    )
    assert made.cutover(check="content").failures == ()
    assert set(made.written_by(1)) == set(writer.acknowledged)


@pytest.fixture
def with_way_back(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Shop]:
    with shop(postgres16, postgres18, SHOP + WITHOUT_RELOADS) as found:
        found.follow()
        yield found


def test_the_old_server_has_every_write_of_the_new_one(with_way_back: Shop) -> None:
    made = with_way_back
    writer = Writer(made.two.urls, 1)
    assert made.cutover(way_back=True).failures == ()
    while len(writer.acknowledged) < 50 or not writer.moved:
        time.sleep(0.01)
    made.two.in_target("""
        UPDATE "Sh.op"."or%ders" SET what = 'new' WHERE id < 10;
        DELETE FROM "Sh.op".visits WHERE id < 10;
        INSERT INTO "Sh.op".log VALUES ('written on the new server');
    """)
    assert (made.state().phase, made.source_is_read_only()) == (Phase.MOVED, True)
    refused = release(made.migration(), "x")
    assert "is called" in refused.failures[0]
    refused = release(made.migration(), psycopg2.extensions.parse_dsn(made.two.urls[1])["dbname"])
    assert "end-way-back" in refused.failures[0]
    result = made.go_back(check="content")
    writer.stop()
    assert result.failures == ()
    assert (made.state().phase, made.left(), made.source_is_read_only()) == (Phase.BACK, "", False)
    assert set(made.written_by(1, target=False)) >= set(writer.acknowledged)
    source, target = made.contents()
    assert source == target
    made.two.in_source('INSERT INTO "Sh.op"."or%ders" (writer, n) VALUES (9, 9)')  # with a number that nobody has
    assert "pg_migration release" in migrate(made.migration()).failures[0]
    assert release(made.migration(), psycopg2.extensions.parse_dsn(made.two.urls[1])["dbname"]).failures == ()
    assert migrate(made.migration()).failures == ()


def test_a_way_back_can_be_given_up(with_way_back: Shop) -> None:
    made = with_way_back
    assert made.cutover(way_back=True).failures == ()
    assert end_way_back(made.migration()).failures == ()
    assert (made.state().phase, made.left(), made.source_is_read_only()) == (Phase.ENDED, "", True)
    assert "no way back" in made.go_back().failures[0]
