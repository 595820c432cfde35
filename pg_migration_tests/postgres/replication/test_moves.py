"""Whole moves of a database that is written to all the time: there and back, between versions, as an ordinary role."""

import time
from collections.abc import Iterator

import psycopg2
import pytest

from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.migration import CutoverOptions, Migration, Options, adopt_new_tables, cutover, migrate
from pg_migration.postgres.migration.live.watch import watch
from pg_migration.postgres.replication.source_objects import drop_slot
from pg_migration.postgres.replication.state import Phase
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.harness import Two, two
from pg_migration_tests.postgres.replication.live import SHOP, WITHOUT_RELOADS, Shop, Writer, shop

pytestmark = pytest.mark.longer

# Back, the older one follows the newer. Those that this machine has not are skipped.
VERSIONS = [
    *((12, 16), (13, 18), (14, 18), (15, 16), (15, 18), (16, 16), (16, 18), (17, 18), (18, 18)),
    *((14, 19), (16, 19), (18, 19), (19, 18), (19, 19)),
]


@pytest.fixture(params=VERSIONS, ids=lambda pair: f"{pair[0]} to {pair[1]}")
def made(request: pytest.FixtureRequest) -> Iterator[Shop]:
    source, target = (request.getfixturevalue(f"postgres{version}") for version in request.param)
    with shop(source, target, SHOP + WITHOUT_RELOADS) as found:
        yield found


TABLES = ('"or%ders"', "audit", "visits", "log", "scratch")
OTHER_CHANGES = """
    UPDATE "Sh.op"."or%ders" SET what = 'new' WHERE id < 100;
    DELETE FROM "Sh.op".visits WHERE id < 10;
    UPDATE "Sh.op".log SET line = 'written on the new server' WHERE line = 'line 1';
    TRUNCATE "Sh.op".scratch;
    INSERT INTO "Sh.op".scratch VALUES (7);
"""
FILES = """
    CREATE TABLE files (id integer PRIMARY KEY, file oid);
    INSERT INTO files SELECT 1, lo_from_bytea(0, 'one'::bytea)
"""


def until(writer: Writer, acknowledged: int) -> None:
    deadline = time.monotonic() + 60
    while len(writer.acknowledged) < acknowledged:
        assert time.monotonic() < deadline, writer.errors[-1:]
        time.sleep(0.01)


def test_there_and_back(made: Shop) -> None:
    writers = [Writer(made.two.urls, number) for number in (1, 2)]
    assert migrate(made.migration(follow=True)).failures == ()
    result = made.cutover(way_back=True, check="content")
    assert result.failures == ()
    for writer in writers:
        until(writer, len(writer.acknowledged) + 100)
        writer.stop()
        found = made.written_by(writer.number)
        assert writer.moved
        assert set(found) >= set(writer.acknowledged)
        assert len(found) == len(set(found))
    made.two.in_target(OTHER_CHANGES)
    same_in_the_end(made)
    assert watch(made.migration()).problems == ()
    writers = [Writer(made.two.urls, number, moved=True) for number in (3, 4)]
    result = made.go_back(check="content")
    assert result.failures == ()
    for writer in writers:
        until(writer, len(writer.acknowledged) + 20)
        writer.stop()
        found = made.written_by(writer.number, target=False)
        assert set(found) >= set(writer.acknowledged)
        assert len(found) == len(set(found))
    for table in TABLES:  # the application writes to the source again by now
        query = f'SELECT t::text FROM "Sh.op".{table} AS t'
        assert set(made.two.in_target(query).splitlines()) <= set(made.two.in_source(query).splitlines())
    assert (made.state().phase, made.left(), made.source_is_read_only()) == (Phase.BACK, "", False)
    # A trigger has not fired for what was replicated, in either direction.
    both = 'SELECT count(*) FROM "Sh.op".audit', 'SELECT count(*) FROM "Sh.op"."or%ders"'
    assert made.two.in_source(both[0]) == made.two.in_source(both[1])


def same_in_the_end(made: Shop) -> None:
    """That both sides come to hold the same, by hashes that the server makes."""
    deadline = time.monotonic() + 60
    while len(set(made.contents())) > 1:
        assert time.monotonic() < deadline, made.contents()
        time.sleep(0.05)


def test_large_objects_come_at_the_cutover(postgres16: PostgresServer, postgres18: PostgresServer) -> None:
    with shop(postgres16, postgres18, FILES) as found:
        made = Shop(found.two, "*", set())
        assert migrate(made.migration(follow=True)).failures == ()
        made.two.in_source(
            "INSERT INTO files SELECT 2, lo_from_bytea(0, 'two'); SELECT lo_put(file, 0, 'One') FROM files"
        )
        assert made.cutover(way_back=True).failures == ()
        query = "SELECT string_agg(id || convert_from(lo_get(file), 'UTF8'), ' ' ORDER BY id) FROM files"
        assert made.two.in_target(query) == made.two.in_source(query) == "1One 2One"
        made.two.in_target("SELECT lo_put(file, 0, 'New') FROM files WHERE id = 2")
        refused = made.go_back()
        assert "or other bytes in them" in refused.failures[0]
        made.two.in_target("SELECT lo_put(file, 0, 'One') FROM files WHERE id = 2")
        assert made.go_back().failures == ()


def test_a_way_back_that_is_lost_is_told(postgres16: PostgresServer, postgres18: PostgresServer) -> None:
    with shop(postgres16, postgres18, SHOP + WITHOUT_RELOADS) as made:
        assert migrate(made.migration(follow=True)).failures == ()
        assert made.cutover(way_back=True).failures == ()
        with made.two.sessions() as (_, target, _):
            assert drop_slot(target, str(made.state().way_back))
        refused = made.go_back()
        assert refused.failures[0].startswith("the replication slot of the target is lost")
        assert "pg_migration end-way-back" in refused.failures[0]


def test_what_is_left_out_keeps_nobody(postgres16: PostgresServer, postgres18: PostgresServer) -> None:
    with shop(postgres16, postgres18, SHOP) as made:
        chosen = {"exclude_tables": ["*.log", "*.scratch"]}
        assert migrate(made.migration(follow=True, **chosen)).failures == ()
        migration = made.migration(**chosen)
        with made.two.session(autocommit=False) as session, session.cursor() as cursor:
            cursor.execute("INSERT INTO \"Sh.op\".log VALUES ('open')")
            assert watch(migration).problems == ()
            assert cutover(migration, CutoverOptions(check="content")).failures == ()
        assert made.two.in_target("SELECT to_regclass('\"Sh.op\".log')") == ""


ROLE_SOURCE = """
    CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'secret';
    GRANT pg_signal_backend TO {role};
    ALTER DATABASE {database} OWNER TO {role};
    CREATE SCHEMA mine AUTHORIZATION {role};
    SET ROLE {role};
    CREATE TABLE mine.orders (id bigserial PRIMARY KEY, n integer);
    CREATE MATERIALIZED VIEW mine.numbers AS SELECT count(*) AS n FROM mine.orders;
    INSERT INTO mine.orders (n) SELECT generate_series(1, 100);
"""
ROLE_TARGET = """
    CREATE ROLE {role} LOGIN PASSWORD 'secret';
    GRANT pg_create_subscription TO {role};
    GRANT CREATE ON DATABASE {database} TO {role};
"""


def as_role(url: str, role: str) -> str:
    return Endpoint.parse(Side.SOURCE, psycopg2.extensions.make_dsn(url, user=role, password="secret"), "url").uri


@pytest.fixture
def roles(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[tuple[Two, Migration, str]]:
    role = f"mover_{time.time_ns()}"
    with two(postgres16, postgres18) as made:
        for run, url, ddl in (
            (made.in_source, made.urls[0], ROLE_SOURCE),
            (made.in_target, made.urls[1], ROLE_TARGET),
        ):
            run(ddl.format(role=role, database=psycopg2.extensions.parse_dsn(url)["dbname"]))
        urls = tuple(as_role(url, role) for url in made.urls)
        options = Options.model_validate({"workers": 2, "follow": True})
        yield made, Migration.between(*urls, schemas="mine", options=options), role


def test_an_ordinary_role_moves_its_database(roles: tuple[Two, Migration, str]) -> None:
    made, migration, role = roles
    assert migrate(migration).failures == ()
    made.in_source("INSERT INTO mine.orders (n) VALUES (101); CREATE TABLE mine.more (id integer PRIMARY KEY)")
    made.in_source(f"ALTER TABLE mine.more OWNER TO {role}; INSERT INTO mine.more VALUES (1)")
    assert adopt_new_tables(migration).failures == ()
    made.in_source(f"REVOKE pg_signal_backend FROM {role}")
    refused = cutover(migration, CutoverOptions(check="content"))
    assert "GRANT pg_signal_backend" in refused.failures[0]
    made.in_source(f"GRANT pg_signal_backend TO {role}; ALTER DATABASE {database_of(made)} OWNER TO postgres")
    refused = cutover(migration, CutoverOptions(check="content"))
    assert "is not the owner of the database" in refused.failures[0]
    made.in_source(f"ALTER DATABASE {database_of(made)} OWNER TO {role}")
    result = cutover(migration, CutoverOptions(check="content"))
    assert result.failures == ()
    assert made.in_target("SELECT n FROM mine.numbers") == "101"
    assert made.in_target("SELECT count(*) FROM mine.more") == "1"
    assert made.left_in_source() == ""


def database_of(made: Two) -> str:
    return str(psycopg2.extensions.parse_dsn(made.urls[0])["dbname"])
