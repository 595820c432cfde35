"""Publication, slot, identities, subscription and lag, each by itself, on real servers."""

import json
import threading
import time
from collections.abc import Iterator

import psycopg2
import pytest
from psycopg2 import sql

from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.replication import identities as identities_
from pg_migration.postgres.replication import slot
from pg_migration.postgres.replication.identities import identities, set_identity, undo_identities
from pg_migration.postgres.replication.lag import lag, position, wait_until_applied
from pg_migration.postgres.replication.slot import make_slot
from pg_migration.postgres.replication.source_objects import (
    drop_publication,
    drop_slot,
    make_publication,
    note_of,
    ours,
    publish,
)
from pg_migration.postgres.replication.state import new_name
from pg_migration.postgres.replication.structure import tables_of
from pg_migration.postgres.replication.subscription import (
    connection_string,
    subscribe,
    subscription_state,
    try_subscription,
    unsubscribe,
)
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.harness import Log, Two, two

TABLES = """
    CREATE SCHEMA "Sh.op";
    CREATE TABLE "Sh.op"."or""%ders" (id integer PRIMARY KEY, n integer);
    CREATE TABLE "Sh.op".child () INHERITS ("Sh.op"."or""%ders");
    CREATE TABLE "Sh.op".visits (id integer PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE "Sh.op".visits_1 PARTITION OF "Sh.op".visits FOR VALUES FROM (0) TO (1000);
    INSERT INTO "Sh.op"."or""%ders" SELECT n, n FROM generate_series(1, 10) AS n;
"""
ORDERS, VISITS = ("Sh.op", 'or"%ders'), ("Sh.op", "visits")


@pytest.fixture
def pair(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Two]:
    with two(postgres16, postgres18, TABLES) as made:
        made.in_target(TABLES)
        yield made


def test_a_table_follows_from_the_slots_snapshot_on(pair: Two) -> None:
    """What was committed before the slot is in its snapshot and not in the stream, and the other way round."""
    pair.in_target('TRUNCATE "Sh.op"."or""%ders"')
    with pair.sessions() as (source, target, connections):
        replication = pair.replication(source, target)
        name = replication.name
        make_publication(source, name, [], note_of(replication))
        publish(source, name, [ORDERS, VISITS])
        made = make_slot(connections, pair.end(Side.SOURCE), name, Log())
        pair.in_source('INSERT INTO "Sh.op"."or""%ders" VALUES (11, 11); INSERT INTO "Sh.op".visits VALUES (1)')
        with pair.session(autocommit=False) as holder, holder.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SET TRANSACTION SNAPSHOT %s", (made.name,))
            cursor.execute('SELECT count(*) FROM "Sh.op"."or""%ders"')
            assert cursor.fetchall() == [(10,)]
            made.close()
            cursor.execute("SELECT pg_export_snapshot()")
            assert cursor.fetchall()[0][0]
        pair.in_target('INSERT INTO "Sh.op"."or""%ders" SELECT n, n FROM generate_series(1, 10) AS n')
        url = connection_string(pair.end(Side.SOURCE), source, "")
        try_subscription(target, url)
        assert (
            pair.in_target(
                "SELECT count(*) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database "
                "WHERE datname = current_database())"
            )
            == "0"
        )
        subscribe(target, replication, url, source.server_version)
        subscribe(target, replication, url, source.server_version)
        pair.in_source('UPDATE "Sh.op"."or""%ders" SET n = -1 WHERE id < 3; TRUNCATE ONLY "Sh.op".child')
        wait_until_applied(target, replication, position(source), time.monotonic() + 30, threading.Event())
        assert pair.in_target('SELECT sum(n), count(*) FROM "Sh.op"."or""%ders"') == "61|11"
        assert pair.in_target('SELECT count(*) FROM "Sh.op".visits') == "1"
        found = lag(source, target, replication)
        assert (found.tables_ready, found.tables, found.apply_errors, found.slot_active) == (2, 2, 0, True)
        assert found.wal_status == "reserved"
        (known,) = ours(source)
        assert (known.name, known.publication, known.slot, known.run_id) == (name, True, True, "a run")
        assert known.target == replication.target
        assert unsubscribe(target, name)
        assert not unsubscribe(target, name)
        assert subscription_state(target, name) is None
        assert drop_slot(source, name)
        assert not drop_slot(source, name)
        drop_publication(source, name)
        drop_publication(source, name)
        assert ours(source) == []
        assert lag(source, target, replication).slot_is_lost


def test_a_slot_waits_for_writers_for_a_while_and_names_them(pair: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(slot, "PATIENCE_SECONDS", 0.5)
    log, name = Log(), new_name()
    pair.in_source("BEGIN; CREATE TABLE prepared (); PREPARE TRANSACTION 'it''s %s'")
    with pair.session(autocommit=False) as writer, pair.sessions() as (_, _, connections):
        with writer.cursor() as cursor:
            cursor.execute("INSERT INTO \"Sh.op\".child VALUES (1, 1); SELECT 'secret', pg_backend_pid()")
            ((_, pid),) = cursor.fetchall()
        with pytest.raises(MigrationError, match=f"pid {pid} ") as refusal:
            make_slot(connections, pair.end(Side.SOURCE), name, log)
        writer.rollback()
    assert "prepared transaction 'it''s %s'" in str(refusal.value)
    assert "secret" not in str(refusal.value)
    assert log.lines
    assert pair.left_in_source() == ""
    pair.in_source("ROLLBACK PREPARED 'it''s %s'")


def test_the_wait_for_a_slot_can_be_cut_short(pair: Two) -> None:
    with pair.session(autocommit=False) as writer, pair.sessions() as (source, _, connections):
        with writer.cursor() as cursor:
            cursor.execute('INSERT INTO "Sh.op".child VALUES (1, 1)')
        waiting = "SELECT FROM pg_stat_activity WHERE wait_event = 'transactionid' AND datname = current_database()"

        def cancel() -> None:
            with pair.session() as looking, looking.cursor() as cursor:
                for _ in range(600):
                    cursor.execute(waiting)
                    if cursor.rowcount:
                        break
                    time.sleep(0.05)
            connections.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(MigrationError, match="cancel"):
            make_slot(connections, pair.end(Side.SOURCE), new_name(), Log())
        thread.join()
        assert ours(source) == []


def test_a_slot_that_is_read_is_dropped_all_the_same(pair: Two) -> None:
    with pair.sessions() as (source, target, connections):
        replication = pair.replication(source, target)
        make_publication(source, replication.name, [ORDERS], note_of(replication))
        make_slot(connections, pair.end(Side.SOURCE), replication.name, Log()).close()
        subscribe(target, replication, connection_string(pair.end(Side.SOURCE), source, ""), source.server_version)
        wait_until_applied(target, replication, position(source), time.monotonic() + 30, threading.Event())
        assert drop_slot(source, replication.name)
        unsubscribe(target, replication.name)


def test_what_others_call_by_our_names_tells_us_nothing(pair: Two) -> None:
    """A comment of another role, or of another form, must not make us change tables."""
    other = new_name()
    note = json.dumps({"run": "x", "target": {}, "identities": [{"oid": 1}]})
    pair.in_source(f"CREATE PUBLICATION {other}; COMMENT ON PUBLICATION {other} IS '{note}'")
    pair.in_source("CREATE PUBLICATION pg_migration_mine; CREATE PUBLICATION pg_migration_00000000000g")
    with pair.sessions() as (source, _, _):
        (found,) = ours(source)
        assert (found.name, found.target, found.run_id, found.identities) == (other, None, None, ())


IDENTITIES = """
    CREATE TYPE pair AS (a integer, b json);
    CREATE DOMAIN doc AS xml;
    CREATE TABLE key (id integer PRIMARY KEY);
    CREATE TABLE "full" (id integer, j json); ALTER TABLE "full" REPLICA IDENTITY FULL;
    CREATE TABLE "no""thing" (id integer PRIMARY KEY); ALTER TABLE "no""thing" REPLICA IDENTITY NOTHING;
    CREATE TABLE "Unique" (a integer NOT NULL, b integer NOT NULL, c integer UNIQUE);
    CREATE UNIQUE INDEX "b%s" ON "Unique" (b, a); CREATE UNIQUE INDEX "a.b" ON "Unique" (a) INCLUDE (c);
    CREATE TABLE none (a integer, p point);
    CREATE TABLE deferred (a integer NOT NULL UNIQUE DEFERRABLE);
    CREATE TABLE partial (a integer NOT NULL, b text); CREATE UNIQUE INDEX ON partial (a) WHERE a > 0;
    CREATE UNIQUE INDEX ON partial (lower(b));
    CREATE TABLE generated (a integer, g integer GENERATED ALWAYS AS (a) STORED PRIMARY KEY);
    CREATE TABLE nested (p pair, d doc[], x integer[], v varchar, r int4range, t tsvector, "e" oidvector);
"""


def test_by_what_rows_are_identified(pair: Two) -> None:
    pair.in_source(IDENTITIES)
    with pair.sessions() as (source, _, _):
        oids = [
            int(o)
            for o in pair.in_source(
                "SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            ).split()
        ]
        found = {table.name[1]: table for table in identities(source, oids)}
        assert {name for name, table in found.items() if table.serves} == {"key", "full"}
        candidates = {name: table.candidate for name, table in found.items() if table.candidate and not table.serves}
        assert candidates == {'no"thing': 'no"thing_pkey', "Unique": "a.b"}
        incomparable = {name: table.without_equality for name, table in found.items() if table.without_equality}
        assert incomparable == {"full": ("json",), "none": ("point",), "nested": ("json", "xml")}
        assert found["generated"].full_fails(180000)
        assert not found["generated"].full_fails(170000)
        changed = [
            found["Unique"].by_candidate(),
            found['no"thing'].by_candidate(),
            found["deferred"].becoming(identities_.FULL),
        ]
        for one in changed:
            set_identity(source, one)
        assert not {"Unique", 'no"thing', "deferred"} & {t.name[1] for t in identities_.without_identity(source, oids)}
        pair.in_source('DROP TABLE deferred; ALTER TABLE "no""thing" RENAME TO renamed')
        undo_identities(source, changed)
        undone = {table.name[1]: table.identity for table in identities(source, oids)}
        assert (undone["Unique"], undone["renamed"]) == ("d", "n")


def test_an_identity_that_somebody_changed_since_stays(pair: Two) -> None:
    with pair.sessions() as (source, _, _):
        (oid,) = map(int, pair.in_source("SELECT '\"Sh.op\".child'::regclass::oid").split())
        (child,) = identities(source, [oid])
        change = child.becoming(identities_.FULL)
        set_identity(source, change)
        pair.in_source('ALTER TABLE "Sh.op".child REPLICA IDENTITY NOTHING')
        undo_identities(source, [change])
        undo_identities(source, [change], by_name=True)
        assert [table.identity for table in identities(source, [oid])] == ["n"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"port": "1"}, "refused"), ({"dbname": "no such %"}, "no such %"), ({"user": "nobody else"}, "password")],
)
def test_a_way_that_does_not_lead_to_the_source_is_found_before(pair: Two, changed: dict[str, str], told: str) -> None:
    with pair.sessions() as (source, target, _):
        url = psycopg2.extensions.make_dsn(pair.urls[0], **changed)
        with pytest.raises(MigrationError, match="PG_MIGRATION_REPLICATION_URL") as refusal:
            try_subscription(target, connection_string(pair.end(Side.SOURCE), source, url))
        assert told in str(refusal.value)
        assert pair.source.server.password not in str(refusal.value)
        assert subscription_state(target, "x") is None
        with pytest.raises(MigrationError, match=r"the source.s server can.t follow the target.*set PG_MIGRATION_WAY_"):
            try_subscription(target, url, Side.SOURCE, "PG_MIGRATION_WAY_BACK_URL")
        log = pair.target.server.log.read_text(errors="replace")
        assert pair.source.server.password not in log


def test_a_table_that_stays_locked_is_told(pair: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by who vacuums it, or only reads it where it is to be locked altogether."""
    for name in ("PATIENCE_SECONDS", "LOCK_SECONDS_OF_PUBLICATIONS"):
        monkeypatch.setattr(f"pg_migration.postgres.replication.source_objects.{name}", 0.2)
    with pair.session(autocommit=False) as other, pair.sessions() as (source, target, _):
        told = f"pid {other.info.backend_pid} .*visits"
        with other.cursor() as cursor:
            cursor.execute('SELECT FROM "Sh.op".visits_1')
            (partition,) = identities(source, [int(pair.in_source("SELECT '\"Sh.op\".visits_1'::regclass::oid"))])
            with pytest.raises(MigrationError, match=told):
                set_identity(source, partition.becoming(identities_.FULL))
            replication = pair.replication(source, target)
            make_publication(source, replication.name, [ORDERS, VISITS], note_of(replication))
            drop_publication(source, replication.name)
            cursor.execute('LOCK TABLE "Sh.op".visits IN SHARE UPDATE EXCLUSIVE MODE')
        with pytest.raises(MigrationError, match=told):
            make_publication(source, replication.name, [ORDERS, VISITS], note_of(replication))
        assert ours(source) == []


def test_a_subscription_goes_that_its_worker_disables_at_that_moment(pair: Two) -> None:
    with pair.session(Side.TARGET, autocommit=False) as other, pair.sessions() as (source, target, _):
        replication = pair.replication(source, target)
        url = connection_string(pair.end(Side.SOURCE), source, "")
        subscription = "CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION x WITH (connect = false)"
        execute(target, sql.SQL(subscription).format(sql.Identifier(replication.name), sql.Literal(url)))
        with other.cursor() as cursor:
            cursor.execute("UPDATE pg_subscription SET subenabled = false WHERE subname = %s", (replication.name,))
        threading.Timer(0.5, other.commit).start()
        assert unsubscribe(target, replication.name)
        assert subscription_state(target, replication.name) is None


# Whether a server takes an update of a published table, as it was altered.
IDENTIFIED = {
    "ALTER TABLE t ADD PRIMARY KEY (id)": (True, True),
    "ALTER TABLE t ADD PRIMARY KEY (id) DEFERRABLE": (False, False),
    "ALTER TABLE t REPLICA IDENTITY FULL": (True, True),
    "ALTER TABLE t ADD g integer GENERATED ALWAYS AS (1) STORED, REPLICA IDENTITY FULL": (True, False),
    "ALTER TABLE t ADD PRIMARY KEY (id), REPLICA IDENTITY NOTHING": (False, False),
    "CREATE UNIQUE INDEX u ON t (id); ALTER TABLE t REPLICA IDENTITY USING INDEX u": (True, True),
    "ALTER TABLE t ADD g integer GENERATED ALWAYS AS (1) STORED, ADD PRIMARY KEY (id) INCLUDE (g)": (True, True),
}
# Before 18 a server takes them, and sends no key, at which the target stops.
SENT_WITHOUT_KEY = (
    "ALTER TABLE t ADD g integer GENERATED ALWAYS AS (1) STORED PRIMARY KEY",
    "ALTER TABLE t ADD g integer GENERATED ALWAYS AS (1) STORED, ADD PRIMARY KEY (id, g)",
    "ALTER TABLE t ADD g int NOT NULL GENERATED ALWAYS AS (1) STORED UNIQUE, REPLICA IDENTITY USING INDEX t_g_key",
)


def test_a_table_is_identified_where_its_server_takes_updates(pair: Two) -> None:
    made = "CREATE SCHEMA s; SET search_path = s; CREATE TABLE t (id integer NOT NULL); {}"
    for statement, expected in {**IDENTIFIED, **dict.fromkeys(SENT_WITHOUT_KEY, (False, False))}.items():
        for side, run in ((Side.SOURCE, pair.in_source), (Side.TARGET, pair.in_target)):
            run(made.format(statement))
            with pair.sessions() as (source, target, _):
                (found,) = tables_of(source if side is Side.SOURCE else target, ["s"])
            run("CREATE PUBLICATION looked_at FOR TABLE s.t; INSERT INTO s.t VALUES (1)")
            with pair.session(side) as session, session.cursor() as cursor:
                try:
                    cursor.execute("UPDATE s.t SET id = 2")
                    taken = True
                except psycopg2.Error:
                    taken = False
            run("DROP SCHEMA s CASCADE; DROP PUBLICATION looked_at")
            identified = expected[side is Side.TARGET]
            assert found.identified is found.keyed or "IDENTITY" in statement, statement
            assert found.identified is identified, statement
            assert taken is (identified or (statement in SENT_WITHOUT_KEY and side is Side.SOURCE)), statement
