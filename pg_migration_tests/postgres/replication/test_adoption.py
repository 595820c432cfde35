"""What the source gets while the target follows: told, refused at the cutover, and adopted."""

import time
from collections.abc import Iterator

import pytest

from pg_migration.postgres.migration import adopt_new_tables, validate
from pg_migration.postgres.migration.live.watch import watch
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.live import Shop, shop

PARTITION = """
    CREATE TABLE "Sh.op".visits_2 PARTITION OF "Sh.op".visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    INSERT INTO "Sh.op".visits SELECT n, '2026-03-04' FROM generate_series(1, 10) AS n;
    INSERT INTO "Sh.op"."or%ders" (writer, n) VALUES (5, 5)
"""
TABLES = """
    CREATE TYPE "Sh.op".kind AS ENUM ('a', 'b');
    CREATE TABLE "Sh.op".notes (id serial PRIMARY KEY, placed bigint REFERENCES "Sh.op"."or%ders", kind "Sh.op".kind);
    CREATE INDEX by_kind ON "Sh.op".notes (kind);
    INSERT INTO "Sh.op".notes (placed, kind) SELECT n, 'b' FROM generate_series(1, 50) AS n;
    CREATE TABLE "Sh.op".stays (id integer PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE "Sh.op".stays_1 PARTITION OF "Sh.op".stays DEFAULT;
    INSERT INTO "Sh.op".stays SELECT generate_series(1, 20);
    CREATE UNLOGGED TABLE "Sh.op".cache (id integer PRIMARY KEY);
    INSERT INTO "Sh.op".cache VALUES (1);
    CREATE TABLE "Sh.op".keyless (id integer);
    ALTER TABLE "Sh.op".audit ADD at date DEFAULT '2026-01-01';
    INSERT INTO "Sh.op".audit (of) VALUES (1)
"""


@pytest.fixture
def made(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Shop]:
    with shop(postgres16, postgres18) as found:
        found.follow()
        yield found


def wait_until_it_stops(made: Shop) -> None:
    deadline = time.monotonic() + 30
    while made.two.in_target("SELECT bool_and(subenabled) FROM pg_subscription") == "t":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_no_row_of_a_new_partition_is_missing(made: Shop) -> None:
    made.two.in_source(PARTITION)
    wait_until_it_stops(made)
    assert any("partition Sh.op.visits_2" in problem for problem in watch(made.migration()).problems)
    refused = made.cutover()
    assert any("partition Sh.op.visits_2" in failure for failure in refused.failures)
    result = adopt_new_tables(made.migration())
    assert result.failures == ()
    made.two.in_source("INSERT INTO \"Sh.op\".visits VALUES (11, '2026-03-04')")
    assert "not compared within" in made.cutover().failures[0]
    assert validate(made.migration()).failures == ()
    assert made.cutover().failures == ()
    source, target = made.contents()
    assert source == target
    assert made.two.in_target('SELECT count(*) FROM "Sh.op".visits_2') == "11"


@pytest.mark.longer
def test_new_tables_are_followed_and_new_columns_are_told(made: Shop) -> None:
    made.two.in_source(TABLES)
    result = adopt_new_tables(made.migration())
    told = "\n".join(result.failures)
    assert "columns of Sh.op.audit were changed: at is new. Make the same change in the target" in told
    assert "Sh.op.keyless is new, and is not replicated. It has no replica identity" in told
    # A row that the target has no column for stops everything, until it has.
    assert "was disabled" in told
    assert len(result.failures) == 3
    made.two.in_source('DROP TABLE "Sh.op".keyless; INSERT INTO "Sh.op".notes (placed) VALUES (3)')
    made.two.in_target("ALTER TABLE \"Sh.op\".audit ADD at date DEFAULT '2026-01-01'")
    result = adopt_new_tables(made.migration())
    assert result.failures == ()
    (note,) = adopt_new_tables(made.migration()).notes
    assert "nothing new" in note
    assert made.cutover(check="content").failures == ()
    source, target = made.contents()
    assert source == target
    for table in ("notes", "stays", "cache"):
        query = f'SELECT t::text FROM "Sh.op".{table} AS t ORDER BY id'
        assert made.two.in_target(query) == made.two.in_source(query) != ""
    assert made.two.in_target("SELECT nextval('\"Sh.op\".notes_id_seq')") == "52"


CHANGED = """
    CREATE TABLE "Sh.op".trips (id integer, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE "Sh.op".trips_1 PARTITION OF "Sh.op".trips FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE "Sh.op".trips_2 PARTITION OF "Sh.op".trips FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE "Sh.op".trips_3 PARTITION OF "Sh.op".trips FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
    CREATE TABLE "Sh.op".rest PARTITION OF "Sh.op".trips DEFAULT;
    CREATE TABLE "Sh.op".named (id integer PRIMARY KEY);
    CREATE TABLE "Sh.op".anew (id integer PRIMARY KEY);
    CREATE TABLE "Sh.op".old (id integer, at date, PRIMARY KEY (id, at));
    INSERT INTO "Sh.op".trips SELECT n, date '2025-01-01' + n * 10 FROM generate_series(1, 200) AS n;
    INSERT INTO "Sh.op".named VALUES (1);
    INSERT INTO "Sh.op".anew VALUES (1);
    INSERT INTO "Sh.op".old VALUES (1, '2024-01-01')
"""
# What is done in the source while the target follows, and how that is told.
IN_SOURCE = """
    ALTER TABLE "Sh.op".trips_1 SET UNLOGGED;
    INSERT INTO "Sh.op".trips VALUES (1000, '2025-05-05');
    DROP TABLE "Sh.op".trips_2;
    INSERT INTO "Sh.op".trips VALUES (1001, '2026-05-05');
    ALTER TABLE "Sh.op".trips DETACH PARTITION "Sh.op".trips_3;
    INSERT INTO "Sh.op".trips_3 VALUES (1002, '2027-05-05');
    ALTER TABLE "Sh.op".trips ATTACH PARTITION "Sh.op".old FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    INSERT INTO "Sh.op".trips VALUES (1003, '2024-05-05');
    DROP TABLE "Sh.op".anew;
    CREATE TABLE "Sh.op".anew (id integer PRIMARY KEY);
    INSERT INTO "Sh.op".anew VALUES (7);
    ALTER TABLE "Sh.op".named RENAME TO "na%med"
"""
TOLD = [
    "table Sh.op.trips_1 is UNLOGGED now",
    "table Sh.op.trips_2 was dropped",
    "table Sh.op.trips_3 belonged to Sh.op.trips, and belongs to Sh.op.trips_3 now",
    "table Sh.op.trips_3 is not in the publication any more",
    "table Sh.op.old belonged to Sh.op.old, and belongs to Sh.op.trips now",
    "table Sh.op.anew was dropped, or made anew",
    "table Sh.op.anew is new",
    "table Sh.op.named is called Sh.op.na%med now",
]
REFUSED = [
    "trips_2 was dropped",
    "trips_3 belonged",
    "old belonged",
    "anew was dropped",
    "anew is new",
    "named is called",
]
IN_TARGET = """
    DROP TABLE "Sh.op".trips_2;
    ALTER TABLE "Sh.op".trips DETACH PARTITION "Sh.op".trips_3;
    ALTER TABLE "Sh.op".trips ATTACH PARTITION "Sh.op".old FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    DROP TABLE "Sh.op".anew;
    ALTER TABLE "Sh.op".named RENAME TO "na%med"
"""


@pytest.mark.longer
def test_what_both_sides_have_changed_alike_is_adopted_without_losing_a_row(
    postgres16: PostgresServer, postgres18: PostgresServer
) -> None:
    with shop(postgres16, postgres18) as made:
        made.two.in_source(CHANGED)
        made.follow()
        made.two.in_source(IN_SOURCE)
        problems = watch(made.migration()).problems
        assert [t for t in TOLD if not any(problem.startswith(t) for problem in problems)] == []
        refused = adopt_new_tables(made.migration()).failures
        assert [t for t in REFUSED if not any(t in failure for failure in refused)] == []
        made.two.in_target(IN_TARGET)
        made.two.in_source('INSERT INTO "Sh.op"."na%med" VALUES (2)')
        assert adopt_new_tables(made.migration()).failures == ()
        made.two.in_source("INSERT INTO \"Sh.op\".trips_3 VALUES (1004, '2027-05-05')")
        assert watch(made.migration()).problems == ()
        assert "Sh.op.trips_1" not in " ".join(adopt_new_tables(made.migration()).notes)
        assert validate(made.migration()).failures == ()
        assert made.cutover().failures == ()
        for table in ("trips", "trips_1", "trips_3", "old", "anew", "na%med"):
            query = f'SELECT count(*), md5(string_agg(t::text, \',\' ORDER BY id)) FROM "Sh.op"."{table}" AS t'
            assert made.two.in_target(query) == made.two.in_source(query)
        assert made.two.in_target('SELECT count(*) FROM "Sh.op".trips_3 WHERE id > 1000') == "2"
