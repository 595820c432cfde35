"""A target that follows its source while an application writes; judged by that application and by plain queries."""

import threading
import time
from collections.abc import Iterator

import pytest

from pg_migration.postgres.migration import (
    CutoverOptions,
    Migration,
    Options,
    abandon,
    adopt_new_tables,
    cutover,
    go_back,
    migrate,
    swap_back,
    validate,
)
from pg_migration.postgres.migration.live.watch import watch
from pg_migration.postgres.migration.state.sides import Sides
from pg_migration.postgres.replication import source_objects
from pg_migration.postgres.replication.state import Phase
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.harness import Two, two
from pg_migration_tests.postgres.replication.writers import EVERYTHING, SHOP, asked, missing_or_doubled, writing

SCHEMAS = '"Sh.op"'


@pytest.fixture
def pair(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Two]:
    with two(postgres16, postgres18, SHOP) as made:
        yield made


def migration(pair: Two, schemas: str = SCHEMAS, **options: object) -> Migration:
    return Migration.between(*pair.urls, schemas=schemas, options=Options.model_validate({"workers": 2, **options}))


def same_in_the_end(pair: Two, query: str = EVERYTHING) -> None:
    """Nobody writes any more: soon both have the same."""
    deadline = time.monotonic() + 60
    source = asked(pair.urls[0], query)
    while (target := asked(pair.urls[1], query)) != source:
        assert time.monotonic() < deadline, (source, target)
        time.sleep(0.05)


def test_what_an_application_writes_meanwhile_is_there_once(pair: Two) -> None:
    with writing(pair.urls[0]) as writers:
        result = migrate(migration(pair, follow=True))
        assert result.failures == ()
        time.sleep(0.5)
    assert [writer.errors for writer in writers] == [[], []]
    assert all(len(writer.journal) > 20 for writer in writers)
    same_in_the_end(pair)
    assert missing_or_doubled(pair.urls[1], writers) == []
    assert asked(pair.urls[1], 'SELECT sum(doubled) = 2 * sum(n) FROM "Sh.op"."or""der%s"') == [(True,)]
    assert pair.in_target("SELECT pubname FROM pg_publication") == ""
    refused = migrate(migration(pair))
    assert "pg_migration abandon" in refused.failures[0]
    refused = migrate(migration(pair, follow=True))
    assert "pg_migration abandon" in refused.failures[0]
    same_in_the_end(pair)


LOCKED = """
    SELECT FROM pg_locks WHERE mode = 'AccessShareLock' AND granted AND relation = '"Sh.op".base'::regclass
"""


def test_who_empties_a_table_waits_for_the_copy_and_not_for_ever(pair: Two) -> None:
    emptying = threading.Event()

    def empty() -> None:
        while not asked(pair.urls[0], LOCKED):
            time.sleep(0.01)
        emptying.set()
        pair.in_source('SET statement_timeout = \'30s\'; TRUNCATE "Sh.op".base; INSERT INTO "Sh.op".base VALUES (7)')

    emptier = threading.Thread(target=empty)
    emptier.start()
    assert migrate(migration(pair, follow=True)).failures == ()
    assert emptying.is_set()
    emptier.join()
    same_in_the_end(pair)
    assert pair.in_target('SELECT id FROM ONLY "Sh.op".base') == "7"


@pytest.mark.longer
def test_identities_go_back_while_nobody_of_ours_has_the_tables(
    postgres16: PostgresServer, postgres18: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who have read and compared the tables, in whose locks the change would wait, let go before."""
    monkeypatch.setattr(source_objects, "PATIENCE_SECONDS", 1.0)
    with two(postgres16, postgres18, KEYLESS) as pair:
        wanted = migration(pair, follow=True, no_identity="index")
        assert migrate(wanted).failures == ()
        assert [found for _, found in asked(pair.urls[0], IDENTITIES)] == ["i", "i", "i"]
        assert cutover(wanted, CutoverOptions(way_back=True)).failures == ()
        assert [found for _, found in asked(pair.urls[0], IDENTITIES)] == ["d", "d", "d"]
        assert [found for _, found in asked(pair.urls[1], IDENTITIES)] == ["i", "i", "i"]
        assert go_back(wanted, CutoverOptions()).failures == ()
        assert [found for _, found in asked(pair.urls[1], IDENTITIES)] == ["d", "d", "d"]


# Each partition has a key of its own, and those that are to come have none by themselves.
OWN_KEYS = """
    CREATE TABLE t (a integer, b text) PARTITION BY LIST (a);
    CREATE TABLE t1 PARTITION OF t (PRIMARY KEY (a)) FOR VALUES IN (1);
    INSERT INTO t VALUES (1, 'x');
    CREATE TABLE nothing (a integer PRIMARY KEY, j json); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
    CREATE TABLE whole (a integer PRIMARY KEY, j json); ALTER TABLE whole REPLICA IDENTITY FULL;
    INSERT INTO nothing VALUES (1, '{}'); INSERT INTO whole VALUES (1, '{}');
"""


@pytest.mark.longer
def test_the_application_updates_partitions_that_come_without_a_key(
    postgres16: PostgresServer, postgres18: PostgresServer
) -> None:
    """On the side that is written to, whichever that is."""
    with two(postgres16, postgres18, OWN_KEYS) as pair:
        wanted = migration(pair, schemas="public", follow=True, no_identity="index")
        assert migrate(wanted).failures == ()
        assert pair.left_in_source().splitlines()[2:] == []
        pair.in_source("UPDATE nothing SET j = '[]'; UPDATE whole SET j = '[]'")
        pair.in_source("CREATE TABLE t2 PARTITION OF t DEFAULT; INSERT INTO t VALUES (2, 'x'); UPDATE t SET b = 'y'")
        pair.in_source("CREATE TABLE late (a integer PRIMARY KEY DEFERRABLE)")
        told = " ".join(watch(wanted).problems)
        assert "partition public.t2 of public.t is new" in told
        refused = adopt_new_tables(wanted).failures
        assert [("public.t2" in line, "public.late" in line) for line in refused] == [(False, True), (True, False)]
        pair.in_source("ALTER TABLE t2 ADD PRIMARY KEY (a); DROP TABLE late")
        assert adopt_new_tables(wanted).failures == ()
        assert validate(wanted).failures == ()
        assert cutover(wanted, CutoverOptions(way_back=True)).failures == ()
        rows = "SELECT string_agg(concat(a, b), ' ' ORDER BY a) FROM t"
        assert pair.in_target(f"{rows}; SELECT j FROM nothing; SELECT j FROM whole").split() == ["1y", "2y", "[]", "[]"]
        pair.in_target("CREATE TABLE t3 PARTITION OF t FOR VALUES IN (3); INSERT INTO t VALUES (3, 'x')")
        pair.in_target("UPDATE t SET b = 'z'; DROP TABLE t3")
        assert go_back(wanted, CutoverOptions()).failures == ()
        assert pair.in_source(rows) == "1z 2z"


KEYLESS = """
    CREATE SCHEMA "Sh.op"; SET search_path = "Sh.op";
    CREATE TABLE "no %s""key" (a integer NOT NULL, b text, g integer GENERATED ALWAYS AS (a) STORED);
    CREATE UNIQUE INDEX "by ""%s" ON "no %s""key" (a);
    CREATE TABLE parted (a integer NOT NULL, b text) PARTITION BY LIST (a);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
    CREATE TABLE parted_2 PARTITION OF parted DEFAULT;
    CREATE UNIQUE INDEX ON parted (a);
    INSERT INTO "no %s""key" SELECT n, 'x' FROM generate_series(1, 100) AS n;
    INSERT INTO parted SELECT n, 'x' FROM generate_series(1, 100) AS n;
"""
KEYLESS_ROWS = """
    SELECT 1, sum(hashtextextended(concat(o), 0)) FROM "Sh.op"."no %s""key" AS o
    UNION ALL SELECT 2, sum(hashtextextended(concat(o), 0)) FROM "Sh.op".parted AS o ORDER BY 1
"""
KEYLESS_WRITES = """
    SET search_path = "Sh.op";
    UPDATE "no %s""key" SET b = 'y' WHERE a < 10; DELETE FROM "no %s""key" WHERE a = 50;
    UPDATE parted SET b = 'y' WHERE a < 10; DELETE FROM parted WHERE a = 50;
"""
IDENTITIES = """
    SELECT relname, relreplident::text FROM pg_class WHERE relnamespace = '"Sh.op"'::regnamespace AND relkind = 'r'
     ORDER BY relname COLLATE "C"
"""


@pytest.mark.parametrize(
    ("no_identity", "identities"),
    [
        ("index", ["i", "i", "i"]),
        pytest.param("full", ["f", "f", "f"], marks=pytest.mark.longer),
        pytest.param("reload", ["d", "d", "d"], marks=pytest.mark.longer),
    ],
)
def test_tables_without_keys_in_every_way(
    postgres16: PostgresServer, postgres18: PostgresServer, no_identity: str, identities: list[str]
) -> None:
    with two(postgres16, postgres18, KEYLESS) as pair:
        wanted = migration(pair, follow=True, no_identity=no_identity)
        assert migrate(wanted).failures == ()
        assert [found for _, found in asked(pair.urls[0], IDENTITIES)] == identities
        pair.in_source(KEYLESS_WRITES)
        if no_identity == "reload":
            assert pair.in_source("SELECT count(*) FROM pg_publication_tables") == "0"
            reloaded = asked(pair.urls[1], "SELECT reloaded FROM _pg_migration.replication")
            assert sorted(name for ((names,),) in [reloaded] for _, name in names) == [
                'no %s"key',
                "parted_1",
                "parted_2",
            ]
        else:
            same_in_the_end(pair, KEYLESS_ROWS)
        assert abandon(wanted).failures == ()
        for url in pair.urls:
            assert [found for _, found in asked(url, IDENTITIES)] == ["d", "d", "d"]
        pair.in_source(KEYLESS_WRITES)


@pytest.mark.longer
def test_a_partition_that_is_left_out_is_not_replicated_and_the_others_are(
    postgres16: PostgresServer, postgres18: PostgresServer
) -> None:
    """The partitioned table can't be published as a whole then: the target has no place for all of its rows."""
    ddl = """
        CREATE SCHEMA "Sh.op"; SET search_path = "Sh.op";
        CREATE TABLE parted (a integer PRIMARY KEY) PARTITION BY RANGE (a);
        CREATE TABLE kept PARTITION OF parted FOR VALUES FROM (0) TO (10);
        CREATE UNLOGGED TABLE unlogged PARTITION OF parted FOR VALUES FROM (10) TO (20);
        CREATE TABLE "left out" PARTITION OF parted FOR VALUES FROM (20) TO (30);
        CREATE TABLE whole (a integer PRIMARY KEY) PARTITION BY HASH (a);
        CREATE TABLE whole_1 PARTITION OF whole FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    """
    with two(postgres16, postgres18, ddl) as pair:
        wanted = migration(pair, follow=True, exclude_tables=["Sh.op.left out"])
        assert migrate(wanted).failures == ()
        assert asked(pair.urls[0], "SELECT prrelid::regclass::text FROM pg_publication_rel ORDER BY 1") == [
            ('"Sh.op".kept',),
            ('"Sh.op".whole',),
        ]
        pair.in_source('INSERT INTO "Sh.op".parted VALUES (1), (11), (21); INSERT INTO "Sh.op".whole VALUES (1)')
        same_in_the_end(pair, 'SELECT a FROM "Sh.op".kept UNION ALL SELECT a FROM "Sh.op".whole')
        assert asked(pair.urls[1], 'SELECT count(*) FROM "Sh.op".parted') == [(1,)]
        assert abandon(wanted).failures == ()


@pytest.mark.longer
def test_a_large_transaction_arrives_whole_and_only_when_it_is_committed(pair: Two) -> None:
    assert migrate(migration(pair, follow=True)).failures == ()
    with pair.session(autocommit=False) as session, session.cursor() as cursor:
        cursor.execute('INSERT INTO "Sh.op".journal (writer, n) SELECT 99, n FROM generate_series(1, 50000) AS n')
        with pair.session() as other, other.cursor() as writing_:
            writing_.execute('INSERT INTO "Sh.op".journal (writer, n) VALUES (98, 1)')
        deadline = time.monotonic() + 60
        while asked(pair.urls[1], 'SELECT writer FROM "Sh.op".journal WHERE writer > 90') != [(98,)]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        session.commit()
    same_in_the_end(pair)


@pytest.mark.longer
def test_nothing_is_exchanged_while_the_target_follows(pair: Two) -> None:
    assert migrate(migration(pair, refresh="swap")).failures == ()
    assert migrate(migration(pair, refresh="swap")).failures == ()
    assert migrate(migration(pair, follow=True)).failures == ()
    assert "pg_migration abandon" in swap_back(migration(pair)).failures[0]


@pytest.mark.parametrize(
    ("statement", "ends_with"),
    [
        (
            """
            CREATE TABLE "Sh.op"."visits %3" PARTITION OF "Sh.op".visits FOR VALUES FROM (10) TO (20);
            INSERT INTO "Sh.op".visits VALUES (7, 7, 15)
            """,
            [(7, 7, 15)],
        ),
        pytest.param('DROP TABLE "Sh.op".items', [], marks=pytest.mark.longer),
        pytest.param(
            'ALTER TABLE "Sh.op".visits ADD more integer; INSERT INTO "Sh.op".visits VALUES (7, 7, 5, 1)',
            [],
            marks=pytest.mark.longer,
        ),
    ],
    ids=["a partition is made", "a table is dropped", "a column is made"],
)
def test_what_waits_for_the_copy_does_not_make_it_worthless(
    pair: Two, monkeypatch: pytest.MonkeyPatch, statement: str, ends_with: list[tuple[int, ...]]
) -> None:
    """It goes on when the tables are let go, and before the target asks for them. It is told, and can be mended."""
    let_go = Sides.let_tables_go

    def let_tables_go(self: Sides) -> None:
        let_go(self)
        pair.in_source(statement)

    monkeypatch.setattr(Sides, "let_tables_go", let_tables_go)
    assert migrate(migration(pair, follow=True)).failures == ()
    pair.in_source('INSERT INTO "Sh.op".base VALUES (7000, NULL)')
    deadline = time.monotonic() + 60
    if ends_with:
        while asked(pair.urls[1], 'SELECT writer, n, day FROM "Sh.op".visits WHERE writer = 7') != ends_with:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    while not (found := watch(migration(pair))).problems:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found.replication is not None
    assert found.replication.phase is Phase.FOLLOWING
