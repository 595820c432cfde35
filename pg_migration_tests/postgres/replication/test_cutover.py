"""The target takes over while applications write, or nothing has happened."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.migration import (
    CutoverOptions,
    end_way_back,
    migrate,
    old_source_silent,
    rehearse,
    release,
)
from pg_migration.postgres.migration.live.takeover import cutover as cutover_module
from pg_migration.postgres.migration.live.takeover import prepared
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.replication import fence
from pg_migration.postgres.replication.state import Phase, Replication
from pg_migration.postgres.replication.structure import FoundTable
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


@pytest.mark.longer
def test_what_is_on_its_way_is_waited_for(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cutover_module.record
    with made.two.session(Side.TARGET, autocommit=False) as session, session.cursor() as cursor:

        def recorded(target: Connection, replication: Replication) -> None:
            real(target, replication)
            if replication.phase is Phase.FENCED:
                cursor.execute('LOCK TABLE "Sh.op"."or%ders" IN SHARE MODE')
                made.two.in_source('INSERT INTO "Sh.op"."or%ders" (writer, n) VALUES (3, 3)')
                threading.Timer(1.0, session.rollback).start()

        monkeypatch.setattr(cutover_module, "record", recorded)
        assert made.cutover().failures == ()
    assert made.written_by(3) == [3]


@pytest.mark.longer
def test_who_keeps_the_target_from_catching_up_is_named(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    real, writer = cutover_module.record, Writer(made.two.urls, 1)
    with made.two.session(Side.TARGET, autocommit=False) as session, session.cursor() as cursor:

        def recorded(target: Connection, replication: Replication) -> None:
            real(target, replication)
            if replication.phase is Phase.FENCED:
                cursor.execute('SET application_name = \'report\'; LOCK TABLE "Sh.op"."or%ders"')

        monkeypatch.setattr(cutover_module, "record", recorded)
        result = made.cutover(max_pause_seconds=2)
        told = f"waits for a lock of pid {session.info.backend_pid} (role postgres, report)"
    writer.stop()
    assert told in result.failures[-1]
    assert writer.longest < 6
    assert (made.state().phase, made.source_is_read_only(), writer.errors) == (Phase.FOLLOWING, False, [])


@pytest.mark.longer
@pytest.mark.parametrize(
    ("altered", "told", "read_again"),
    [
        ("SELECT", None, 0),
        ("CREATE TEMP TABLE t (id integer)", None, 1),
        ('ALTER TABLE "Sh.op".audit ADD late integer', "late is new", 1),
        ('CREATE TABLE "Sh.op".late (id integer)', "Sh.op.late", 1),
        ('CREATE INDEX late ON "Sh.op".audit (of)', "late", 1),
    ],
)
def test_what_is_altered_at_the_last_moment_is_seen(
    made: Shop, monkeypatch: pytest.MonkeyPatch, altered: str, told: str | None, read_again: int
) -> None:
    real, read_anew, calls = cutover_module.record, MigrationRun.read_anew, list[int]()

    def recorded(target: Connection, replication: Replication) -> None:
        real(target, replication)
        if replication.phase is Phase.FENCED:
            cursor.execute(altered)

    def reading(run: MigrationRun) -> None:
        calls.append(1)
        read_anew(run)

    monkeypatch.setattr(cutover_module, "record", recorded)
    monkeypatch.setattr(MigrationRun, "read_anew", reading)
    with made.two.session() as session, session.cursor() as cursor:
        result = made.cutover()
    assert len(calls) == read_again
    if told is None:
        assert result.failures == ()
    else:
        assert told in result.failures[-1]
        assert (made.state().phase, made.source_is_read_only()) == (Phase.FOLLOWING, False)


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
    for table in ('"or%ders"', "audit", "visits", "log"):  # the application writes to the source again by now
        query = f'SELECT t::text FROM "Sh.op".{table} AS t'
        assert set(made.two.in_target(query).splitlines()) <= set(made.two.in_source(query).splitlines())
    made.two.in_source('INSERT INTO "Sh.op"."or%ders" (writer, n) VALUES (9, 9)')  # with a number that nobody has
    assert "pg_migration release" in migrate(made.migration()).failures[0]
    assert release(made.migration(), psycopg2.extensions.parse_dsn(made.two.urls[1])["dbname"]).failures == ()
    assert migrate(made.migration()).failures == ()


@pytest.mark.longer
def test_a_way_back_that_can_not_begin_lets_writers_go_on(with_way_back: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made = with_way_back
    monkeypatch.setattr(cutover_module, "SLOT_SECONDS", 1)
    with made.two.session(Side.TARGET, autocommit=False) as session, session.cursor() as cursor:
        cursor.execute("SELECT txid_current()")  # the slot would begin when this has ended
        result = made.cutover(way_back=True)
        assert "lock timeout" in result.failures[-1]
        assert "writers waited for 0.0 s" in result.failures[-1]
    assert (made.state().phase, made.source_is_read_only()) == (Phase.FOLLOWING, False)
    assert made.two.in_target("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()") == ""
    assert made.cutover(way_back=True).failures == ()


def test_a_way_back_can_be_given_up(with_way_back: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made = with_way_back
    with monkeypatch.context() as patched:  # what going back will need is asked for before, and in the target

        def lacking(_: Connection, tables: Sequence[FoundTable], side: Side = Side.SOURCE) -> list[str]:
            assert {found.table.name for found in tables} == {table.name for table in made.state().tables}
            return ["it may not"] if side is Side.TARGET else []

        patched.setattr(prepared, "lacking_rights", lacking)
        assert rehearse(made.migration(), CutoverOptions()).problems == []
        assert rehearse(made.migration(), CutoverOptions(way_back=True)).problems == ["for a way back, it may not"]
    assert made.cutover(way_back=True).failures == ()
    assert end_way_back(made.migration()).failures == ()
    assert (made.state().phase, made.left(), made.source_is_read_only()) == (Phase.ENDED, "", True)
    assert "no way back" in made.go_back().failures[0]


@pytest.mark.longer
def test_who_keeps_the_tables_is_named_and_nobody_waits_for_long(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SHORT": 1, "LONG": 1, "LONG_SECONDS": 0.5, "LONG_PAUSE_SECONDS": 0.1}.items():
        monkeypatch.setattr(fence, name, value)
    writer = Writer(made.two.urls, 1)
    with made.two.session(autocommit=False) as session, session.cursor() as cursor:
        cursor.execute("SET application_name = 'billing'; INSERT INTO \"Sh.op\".log VALUES ('a secret')")
        result = made.cutover()
        session.commit()
    writer.stop()
    assert "billing" in result.failures[-1]
    assert "Sh.op" in result.failures[-1]
    assert "a secret" not in result.failures[-1]
    assert "writers waited for 0.0 s" not in result.failures[-1]
    assert (made.state().phase, made.source_is_read_only(), writer.errors) == (Phase.FOLLOWING, False, [])


@pytest.mark.longer
def test_writers_go_on_when_the_time_is_over(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the cutover waits for by then."""
    real, writer = cutover_module.set_sequences, Writer(made.two.urls, 1)

    def slow(run: MigrationRun, tables: Sequence[Table], every: bool) -> None:
        real(run, tables, every)
        fetch(run.sides.target_connection, "SELECT pg_sleep(60)")

    monkeypatch.setattr(cutover_module, "set_sequences", slow)
    result = made.cutover(max_pause_seconds=3)
    writer.stop()
    assert "canceling statement" in result.failures[-1]
    assert "writers waited for 3.0 s and go on" in result.failures[-1]
    assert writer.longest < 10
    assert (made.state().phase, made.source_is_read_only(), writer.errors) == (Phase.FOLLOWING, False, [])


@pytest.mark.longer
def test_the_server_lets_writers_go_on_where_a_cutover_stands_still(
    made: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Timer, "start", lambda _: None)
    real, writer = cutover_module.set_sequences, Writer(made.two.urls, 1)
    waiting: list[int] = []

    def standing_still(run: MigrationRun, tables: Sequence[Table], every: bool) -> None:
        real(run, tables, every)
        before, deadline = len(writer.acknowledged), time.monotonic() + 20
        while len(writer.acknowledged) < before + 20:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        waiting.append(before)

    monkeypatch.setattr(cutover_module, "set_sequences", standing_still)
    result = made.cutover(max_pause_seconds=2)
    writer.stop()
    assert len(waiting) == 1
    assert "ended the session that kept writers waiting" in result.failures[-1]
    assert (made.state().phase, made.source_is_read_only(), writer.errors) == (Phase.FOLLOWING, False, [])


@pytest.mark.longer
def test_writers_go_on_when_the_target_is_gone(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    server, name = made.two.target, psycopg2.extensions.parse_dsn(made.two.urls[1])["dbname"]

    def allow(connections: bool) -> None:
        server.psql(server.url(), f"ALTER DATABASE {name} ALLOW_CONNECTIONS {connections}")

    def going(*_: object, **__: object) -> None:
        allow(False)
        server.psql(server.url(), f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    monkeypatch.setattr(cutover_module, "set_sequences", going)
    try:
        result = made.cutover()
    finally:
        allow(True)
    assert "could not be taken back" in result.failures[-1]
    assert not made.source_is_read_only()
    assert made.state().phase is Phase.FENCED
    monkeypatch.undo()
    deadline = time.monotonic() + 60
    while rehearse(made.migration(), CutoverOptions()).problems:  # the target's worker begins again after a while
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert made.cutover().failures == ()


@pytest.mark.longer
def test_an_interrupt_lets_writers_go_on(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    writer = Writer(made.two.urls, 1)
    monkeypatch.setattr(cutover_module, "compare_tables", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.cutover()
    assert (made.state().phase, made.source_is_read_only()) == (Phase.FOLLOWING, False)
    monkeypatch.undo()
    assert made.cutover().failures == ()
    writer.stop()
    assert set(made.written_by(1)) >= set(writer.acknowledged)


@contextmanager
def stopped_while_it_waits(made: Shop, side: Side, holding: str) -> Iterator[None]:
    """Press Ctrl-C when somebody waits for what a transaction of another session holds, and fail where that goes on."""
    ended, late = threading.Event(), list[str]()
    end = made.two.source if side is Side.SOURCE else made.two.target
    with made.two.session(side, autocommit=False) as session, session.cursor() as cursor:
        cursor.execute(holding)

        def stop() -> None:
            waits = f"SELECT count(*) > 0 FROM pg_locks WHERE {session.info.backend_pid} = ANY (pg_blocking_pids(pid))"
            while end.psql(made.two.urls[side is Side.TARGET], waits).strip() != "t" and not ended.wait(0.05):
                pass
            os.kill(os.getpid(), signal.SIGINT)
            if not ended.wait(20):
                late.append("it went on waiting")
                session.cancel()
                session.close()

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(KeyboardInterrupt):
            yield
        ended.set()
        stopping.join()
        assert late == []


@pytest.mark.longer
@pytest.mark.parametrize("way_back", [False, True], ids=["for locks", "for a slot"])
def test_a_stop_ends_the_wait(with_way_back: Shop, monkeypatch: pytest.MonkeyPatch, way_back: bool) -> None:
    for name, value in {"AT_ONCE": 1, "SHORT": 0, "LONG_SECONDS": 50.0}.items():
        monkeypatch.setattr(fence, name, value)
    monkeypatch.setattr(cutover_module, "SLOT_SECONDS", 50)
    made, side = with_way_back, Side.TARGET if way_back else Side.SOURCE
    holding = "SELECT txid_current()" if way_back else "INSERT INTO \"Sh.op\".log VALUES ('not yet')"
    with stopped_while_it_waits(made, side, holding):
        made.cutover(way_back=way_back)
    assert (made.state().phase, made.source_is_read_only()) == (Phase.FOLLOWING, False)
    assert made.two.in_target("SELECT pubname FROM pg_publication") == ""
    assert made.cutover(way_back=True).failures == ()
    with stopped_while_it_waits(made, Side.TARGET, "INSERT INTO \"Sh.op\".log VALUES ('nor yet')"):
        made.go_back()
    assert made.state().phase is Phase.MOVED
    assert made.two.in_target("SHOW default_transaction_read_only") == "off"
    assert made.go_back().failures == ()


REFUSALS = {
    "a role writes whatever the database says": (
        "ALTER ROLE {role} SET default_transaction_read_only = off",
        "{role} write also where",
        {},
    ),
    "a new partition": (
        'CREATE TABLE "Sh.op".visits_2 PARTITION OF "Sh.op".visits DEFAULT',
        "partition Sh.op.visits_2 of Sh.op.visits is new",
        {},
    ),
    "a new column": ('ALTER TABLE "Sh.op".audit ADD at date', "columns of Sh.op.audit were changed: at is new", {}),
    "a new table": ('CREATE TABLE "Sh.op".more (id integer)', "table Sh.op.more is new", {}),
    "a renamed table": ('ALTER TABLE "Sh.op".audit RENAME TO old', "table Sh.op.audit is called Sh.op.old now", {}),
    "a dropped table": ('DROP TABLE "Sh.op".visits_1', "table Sh.op.visits_1 was dropped", {}),
    "a lost key": ('ALTER TABLE "Sh.op".audit DROP CONSTRAINT audit_pkey', "has lost its replica identity", {}),
    "a new index": ('CREATE INDEX added ON "Sh.op".audit (of)', "added", {}),
    "a way back without a key": (
        "SELECT",
        "with tables that are not replicated: Sh.op.log. Give each a primary key",
        {"way_back": True},
    ),
    "a way back without WAL": (
        "SELECT",
        "with UNLOGGED tables, whose rows are in no WAL: Sh.op.scratch. ALTER TABLE ... SET LOGGED in the source",
        {"way_back": True},
    ),
}


@pytest.mark.longer
def test_each_refusal(made: Shop) -> None:
    role = f"stubborn_{time.time_ns()}"
    made.two.in_source(f"CREATE ROLE {role}")
    undo = {
        "a role writes whatever the database says": f"DROP ROLE {role}",
        "a new partition": 'DROP TABLE "Sh.op".visits_2',
        "a new table": 'DROP TABLE "Sh.op".more',
        "a renamed table": 'ALTER TABLE "Sh.op".old RENAME TO audit',
        "a lost key": 'ALTER TABLE "Sh.op".audit ADD PRIMARY KEY (id)',
        "a new index": 'DROP INDEX "Sh.op".added',
        "a way back without a key": "SELECT",
        "a way back without WAL": "SELECT",
    }
    for case in [*undo, *(case for case in REFUSALS if case not in undo)]:
        statement, told, chosen = REFUSALS[case]
        made.two.in_source(statement.format(role=role))
        result = made.cutover(**chosen)
        assert told.format(role=role) in "\n".join(result.failures), case
        assert result.failures[-1] == "no cutover was begun, and nobody had to wait"
        made.two.in_source(undo.get(case, "SELECT"))
    assert (made.state().phase, made.source_is_read_only()) == (Phase.FOLLOWING, False)


def test_what_a_rehearsal_tells(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rehearse(made.migration(), CutoverOptions())
    assert found.problems == []
    assert {"count", "materialized views", "tables that are copied anew"} <= found.parts.keys()
    assert 0 < found.seconds < 30
    with made.two.sessions() as (_, target, _):
        execute(target, "UPDATE _pg_migration.replication SET validated_at = validated_at - interval '25 hours'")
    (problem,) = rehearse(made.migration(), CutoverOptions()).problems
    assert "pg_migration validate" in problem
    assert rehearse(made.migration(), CutoverOptions(check="content")).problems == []
    monkeypatch.setattr(prepared, "USUAL_SECONDS", 100)
    (problem,) = rehearse(made.migration(), CutoverOptions(check="content")).problems
    assert "longer than max_pause (60 s)" in problem
    with made.two.sessions() as (_, target, _):
        execute(target, "UPDATE _pg_migration.replication SET phase = 'abandoned', reason = 'so'")
    with pytest.raises(MigrationError, match="abandoned \\(so\\)"):
        rehearse(made.migration(), CutoverOptions())
