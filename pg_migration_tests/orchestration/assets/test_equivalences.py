"""What the target remembers of how servers write objects: of those that a run has made, and of no others."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pg_migration.postgres.catalog import Phase
from pg_migration.postgres.migration import Result, compare
from pg_migration_tests.conftest import PostgresServer, fresh_database
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Platform

# A server writes EXTRACT(YEAR ...), reads that, and from then on writes it in lower case.
WRITTEN_OTHERWISE = """
    CREATE DOMAIN d AS numeric DEFAULT extract('YEAR' FROM timestamp '2000-01-01');
    CREATE FUNCTION f(t timestamp) RETURNS numeric IMMUTABLE LANGUAGE sql RETURN extract('YEAR' FROM t);
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE t (
        id int PRIMARY KEY REFERENCES parent,
        at timestamp,
        year numeric DEFAULT extract('YEAR' FROM now()),
        CHECK (extract('YEAR' FROM at) > 0)
    );
    ALTER TABLE t ADD CONSTRAINT late CHECK (extract('YEAR' FROM at) > 1) NOT VALID;
    CREATE TABLE p (at timestamp, CHECK (extract('YEAR' FROM at) > 0)) PARTITION BY RANGE (at);
    CREATE TABLE by_year (at timestamp, n int) PARTITION BY RANGE (extract('YEAR' FROM at));
    CREATE TABLE by_year_2000 PARTITION OF by_year FOR VALUES FROM (2000) TO (2001)
        PARTITION BY LIST (extract('DAY' FROM at));
    CREATE TABLE by_year_2000_1 PARTITION OF by_year_2000 FOR VALUES IN (1);
    CREATE TABLE g (at timestamp, year numeric GENERATED ALWAYS AS (extract('YEAR' FROM at)) STORED);
    CREATE TABLE g_child (more int) INHERITS (g);
    CREATE TABLE secret (at timestamp);
    CREATE POLICY young ON secret USING (extract('YEAR' FROM at) > 2000) WITH CHECK (extract('YEAR' FROM at) > 2001);
    CREATE STATISTICS s ON (extract('YEAR' FROM at)), (extract('DAY' FROM at)) FROM t;
    CREATE MATERIALIZED VIEW m AS SELECT extract('YEAR' FROM at) AS year FROM t;
    INSERT INTO by_year SELECT timestamp '2000-02-01', n FROM generate_series(1, 10) AS n;
    INSERT INTO g SELECT timestamp '2000-02-01' FROM generate_series(1, 10) AS n;
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2000-01-01') TO ('2001-01-01');
    CREATE INDEX i ON t (extract('YEAR' FROM at));
    CREATE INDEX pi ON p (extract('YEAR' FROM at));
    CREATE VIEW v AS SELECT extract('YEAR' FROM at) AS year FROM t;
    CREATE RULE r AS ON UPDATE TO p WHERE extract('YEAR' FROM old.at) > 1 DO INSTEAD NOTHING;
    CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW WHEN (extract('YEAR' FROM new.at) > 1) EXECUTE FUNCTION tf();
"""


KEYLESS = "CREATE TABLE u (at timestamp, year numeric GENERATED ALWAYS AS (extract('YEAR' FROM at)) STORED);"
CHANGES_OF_TABLES = """
    ALTER TABLE g ALTER at SET DEFAULT now(); ALTER TABLE by_year ADD CHECK (n > 0); ALTER TABLE u ADD UNIQUE (at);
"""
RELATIONS = """
    SELECT relname, oid FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') ORDER BY relname
"""


@pytest.fixture
def written(platform: Platform) -> Platform:
    platform.source.psql(WRITTEN_OTHERWISE)
    platform.reload()
    return platform


def made_before_rows(done: Result) -> list[str]:
    """What a run made for the rows to be loaded into: nothing, where everything was known."""
    return [made.object.identity for made in done.outcomes.ddl if made.object.phase is Phase.PRE_DATA]


def test_each_step_notes_what_it_has_made(written: Platform) -> None:
    tables = ("public/parent", "public/t", "public/p", "public/p1")
    for step in (("target_ddl",), (*tables, "public/foreign_keys"), ("post_data",)):
        done = written.materialize(*step)
        assert done.success, done.failures
    assert compare(written.migration()) == []
    oids = "SELECT 'f'::regproc::oid, 'i'::regclass::oid, 'v'::regclass::oid, 't'::regclass::oid"
    before = written.target.psql(oids)
    done = written.materialize("target_ddl")
    assert done.success, done.failures
    assert written.target.psql(oids) == before
    assert done.metadata("target_ddl")["created"] == 0


def test_a_run_that_fails_notes_what_it_has_made(written: Platform) -> None:
    written.source.psql("CREATE FUNCTION lost() RETURNS int LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler'")
    written.source.psql("UPDATE pg_proc SET prosrc = 'gone' WHERE proname = 'lost'")
    done = written.migrate_directly()
    assert len(done.failures) == 4, "the function and its owner: neither is made, nor there"
    assert all("lost" in failure for failure in done.failures), done.failures
    written.source.psql("DROP FUNCTION lost()")
    assert written.migrate_directly().failures == ()


HALF = """
    CREATE DOMAIN half AS int NOT NULL DEFAULT 1;
    CREATE DOMAIN half_written_otherwise AS timestamp NOT NULL DEFAULT now();
    CREATE TABLE halves (a half, b half_written_otherwise);
"""
CHANGES_OF_HALF = """
    ALTER DOMAIN half DROP NOT NULL; ALTER DOMAIN half ADD CONSTRAINT late CHECK (VALUE > 0);
    ALTER DOMAIN half_written_otherwise DROP NOT NULL;
    ALTER DOMAIN half_written_otherwise ADD CONSTRAINT later CHECK (extract('YEAR' FROM VALUE) > 0);
"""


def test_what_is_altered_in_half_is_not_noted(platform: Platform) -> None:
    platform.source.psql(HALF)
    platform.reload()
    assert platform.migrate_directly().succeeded
    platform.source.psql(CHANGES_OF_HALF)
    done = platform.materialize("target_ddl")
    assert done.success, done.failures
    constraints = "SELECT conname FROM pg_constraint WHERE conname IN ('late', 'later') ORDER BY 1"
    assert platform.target.psql(constraints) == ""
    for _ in range(2):
        again = platform.migrate_directly()
        assert again.failures == ()
        assert platform.target.psql(constraints).split() == ["late", "later"]
    assert made_before_rows(again) == []


# What somebody does to an object of each kind, and how a comparison calls the object.
SOMEBODY_ELSES = {
    "function": (
        "CREATE OR REPLACE FUNCTION f(t timestamp) RETURNS numeric IMMUTABLE LANGUAGE sql RETURN 7",
        "function public.f(timestamp without time zone)",
    ),
    "index": ("DROP INDEX i; CREATE INDEX i ON t (id, at)", "index i on public.t"),
    "domain": ("ALTER DOMAIN d SET DEFAULT 7", "domain public.d"),
    "default": ("ALTER TABLE t ALTER year SET DEFAULT 7", "default year on public.t"),
    "policy": ("ALTER POLICY young ON secret USING (extract('YEAR' FROM at) > 1)", "policy young on public.secret"),
    "statistics": (
        "DROP STATISTICS s; CREATE STATISTICS s ON (extract('YEAR' FROM at)), id FROM t",
        "statistics s on public.t",
    ),
    "materialized view": (
        "DROP MATERIALIZED VIEW m; CREATE MATERIALIZED VIEW m AS SELECT 7::numeric AS year FROM t",
        "materialized view public.m",
    ),
    "check": (
        "ALTER TABLE t DROP CONSTRAINT t_at_check, ADD CONSTRAINT t_at_check CHECK (id > 7)",
        "check t_at_check on public.t",
    ),
    "key": (
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey PRIMARY KEY (at)",
        "primary key t_pkey on public.t",
    ),
    "foreign key": (
        "ALTER TABLE t DROP CONSTRAINT t_id_fkey, ADD FOREIGN KEY (id) REFERENCES parent ON DELETE CASCADE",
        "foreign key t_id_fkey on public.t",
    ),
}


# What an earlier version did not note yet, and afterwards again.
FORGET = """
    CREATE SCHEMA apart;
    CREATE TABLE apart.noted AS SELECT * FROM _pg_migration.structure
     WHERE identity ~ $$^.'(partition key|generated column)'$$;
    SELECT 1 / count(*) FROM apart.noted;
    DELETE FROM _pg_migration.structure WHERE identity IN (SELECT identity FROM apart.noted)
"""
REMEMBER = """
    INSERT INTO _pg_migration.structure SELECT * FROM apart.noted
    ON CONFLICT DO NOTHING
"""

OTHER_TABLES = {
    "ALTER TABLE g ALTER year SET EXPRESSION AS (extract('DAY' FROM at))": (
        'public.g: column year: expression is EXTRACT(YEAR FROM "at") in the source and EXTRACT(DAY FROM "at") in'
    ),
    "DROP TABLE by_year; CREATE TABLE by_year (at timestamp, n int) PARTITION BY RANGE (extract('DAY' FROM at))": (
        'public.by_year: is partitioned by RANGE (EXTRACT(YEAR FROM "at")) in the source and by RANGE (EXTRACT('
    ),
}


@dataclass(frozen=True)
class Known:
    """A run over what the one before it has made: what it made itself, and what there was before and after it."""

    run: Result
    before: str
    after: str


def again(platform: Platform) -> Known:
    before = platform.target.psql(RELATIONS)
    return Known(platform.migrate_directly(), before, platform.target.psql(RELATIONS))


@dataclass(frozen=True)
class History:
    """One target over time, in the order of the fields."""

    first: Result
    second: Known
    after_an_earlier_version: Known
    rows_of_a_partition: str
    # Somebody altered an object of each kind; what is told of it, and the dumps before that and after the next run.
    told: str
    arrived: str
    mended: Result
    mended_to: str
    # The source changed.
    changed: Result
    after_changes: Known
    # Somebody made tables that can't be altered to what the source has.
    refused: Result


@pytest.fixture(scope="module")
def history(shop_once: Callable[..., Platform]) -> History:
    platform = shop_once(WRITTEN_OTHERWISE + KEYLESS)
    source, target = platform.source, platform.target
    first = platform.migrate_directly()
    second = again(platform)
    target.psql(FORGET)
    after_an_earlier_version = again(platform)
    target.psql(REMEMBER)
    rows_of_a_partition = target.psql("SELECT count(*) FROM by_year_2000_1")

    arrived = target.dump("--schema=public")
    target.psql(";".join(change for change, _ in SOMEBODY_ELSES.values()))
    platform.materialize("post_data")
    told = "\n".join(map(str, compare(platform.migration())))
    mended = platform.migrate_directly()
    mended_to = target.dump("--schema=public")

    source.psql(CHANGES_OF_TABLES)
    changed = platform.migrate_directly()
    after_changes = again(platform)

    target.psql(";".join(OTHER_TABLES))
    refused = platform.migrate_directly()
    return History(
        first,
        second,
        after_an_earlier_version,
        rows_of_a_partition,
        told,
        arrived,
        mended,
        mended_to,
        changed,
        after_changes,
        refused,
    )


def assert_known(found: Known) -> None:
    assert found.run.failures == ()  # the comparison of the structure found nothing either
    assert found.after == found.before
    assert made_before_rows(found.run) == []


def test_a_whole_run_notes_everything(history: History) -> None:
    assert history.first.failures == ()
    assert_known(history.second)
    assert history.rows_of_a_partition == "10"


@pytest.mark.longer
def test_a_whole_run_notes_everything_between_servers_of_one_version(
    postgres16: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh = contextmanager(fresh_database)
    with fresh(postgres16) as source_url, fresh(postgres16) as target_url:
        source, target = (Database(postgres16, url) for url in (source_url, target_url))
        source.psql(WRITTEN_OTHERWISE)
        for platform in serve(source, target, monkeypatch, tmp_path):
            assert platform.migrate_directly().failures == ()
            assert_known(again(platform))


def test_what_an_earlier_version_has_noted_still_counts(history: History) -> None:
    assert_known(history.after_an_earlier_version)


@pytest.mark.parametrize("name", [name for _, name in SOMEBODY_ELSES.values()], ids=SOMEBODY_ELSES.keys())
def test_a_step_does_not_answer_for_what_others_made(history: History, name: str) -> None:
    assert f"{name}: defined otherwise" in history.told


def test_the_next_run_makes_what_others_made_as_the_source_has_it(history: History) -> None:
    assert history.mended.failures == ()
    assert history.mended_to == history.arrived


def test_expressions_are_known_when_something_else_of_their_table_changes(history: History) -> None:
    assert history.changed.failures == ()
    assert_known(history.after_changes)


def test_tables_that_somebody_made_otherwise_are_not_taken_for_the_same(history: History) -> None:
    (told,) = history.refused.failures
    for said in OTHER_TABLES.values():
        assert said in told
