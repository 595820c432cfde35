"""What the target remembers of how servers write objects: of those that a run has made, and of no others."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pg_migration_tests.conftest import PostgresServer, fresh_database
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Migrated, Platform

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


@pytest.fixture(scope="module")
def migration(migrate_once: Callable[..., Migrated]) -> Migrated:
    return migrate_once(WRITTEN_OTHERWISE)


@pytest.fixture
def written(platform: Platform) -> Platform:
    platform.source.psql(WRITTEN_OTHERWISE)
    platform.reload()
    return platform


def test_each_step_notes_what_it_has_made(written: Platform) -> None:
    parts = ("public/p", "public/p1")
    for step in (("target_ddl",), ("public/parent",), ("public/t",), parts, ("public/foreign_keys",), ("post_data",)):
        done = written.materialize(*step)
        assert done.success, done.failures
    structure = written.validate().every_check["post_data", "structure"]
    assert structure.passed, structure.metadata
    oids = "SELECT 'f'::regproc::oid, 'i'::regclass::oid, 'v'::regclass::oid, 't'::regclass::oid"
    before = written.target.psql(oids)
    done = written.materialize("target_ddl")
    assert done.success, done.failures
    assert written.target.psql(oids) == before
    assert done.metadata("target_ddl")["created"] == 0


@pytest.fixture(params=["16 to 16", "16 to 18"])
def either(
    request: pytest.FixtureRequest, postgres16: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Platform]:
    """As `written`, between servers of one version too."""
    if request.param == "16 to 18":
        yield request.getfixturevalue("written")
        return
    databases = [fresh_database(postgres16) for _ in range(2)]
    source, target = (Database(postgres16, next(urls)) for urls in databases)
    source.psql(WRITTEN_OTHERWISE)
    yield from serve(source, target, monkeypatch, tmp_path)
    for urls in databases:
        next(urls, None)


RELATIONS = """
    SELECT relname, oid FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') ORDER BY relname
"""


def test_a_whole_run_notes_everything(either: Platform) -> None:
    found = []
    for _ in range(3):
        done = either.migrate()
        assert done.success, done.failures
        structure = done.every_check["post_data", "structure"]
        assert structure.passed, structure.metadata
        found.append(either.target.psql(RELATIONS))
    assert found == found[:1] * 3
    assert done.metadata("target_ddl")["created"] == 0
    assert either.target.psql("SELECT count(*) FROM by_year_2000_1") == "10"


def test_a_run_that_fails_notes_what_it_has_made(written: Platform) -> None:
    written.source.psql("CREATE FUNCTION lost() RETURNS int LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler'")
    written.source.psql("UPDATE pg_proc SET prosrc = 'gone' WHERE proname = 'lost'")
    written.reload()
    for _ in range(2):
        done = written.migrate()
        assert done.failures.keys() == {"database_checks", "summary"}, done.failures
        assert done.failures["database_checks"].count("\n- ") == 2, "the function and its owner"
    written.source.psql("DROP FUNCTION lost()")
    done = written.migrate()
    assert done.success, done.failures


def test_what_an_earlier_version_has_noted_still_counts(migrated: Platform) -> None:
    noted = "DELETE FROM _pg_migration.structure WHERE identity ~ $$^.'(partition key|generated column)'$$ RETURNING 1"
    assert migrated.target.psql(noted)
    for _ in range(2):
        assert migrated.migrate_directly().failures == ()


HALF = {
    "domain": (
        "CREATE DOMAIN half AS int NOT NULL DEFAULT 1",
        "ALTER DOMAIN half DROP NOT NULL; ALTER DOMAIN half ADD CONSTRAINT late CHECK (VALUE > 0)",
    ),
    "domain that servers write otherwise": (
        "CREATE DOMAIN half AS timestamp NOT NULL DEFAULT now()",
        "ALTER DOMAIN half DROP NOT NULL; ALTER DOMAIN half ADD CONSTRAINT late CHECK (extract('YEAR' FROM VALUE) > 0)",
    ),
}


@pytest.mark.parametrize(("before", "change"), HALF.values(), ids=HALF.keys())
def test_what_is_altered_in_half_is_not_noted(platform: Platform, before: str, change: str) -> None:
    platform.source.psql(f"{before}; CREATE TABLE t (a half)")
    platform.reload()
    assert platform.migrate_directly().succeeded
    platform.source.psql(change)
    done = platform.materialize("target_ddl")
    assert done.success, done.failures
    constraints = "SELECT conname FROM pg_constraint WHERE contypid = 'half'::regtype AND contype = 'c'"
    assert platform.target.psql(constraints) == ""
    for _ in range(2):
        done = platform.migrate()
        assert done.success, done.failures
        assert platform.target.psql(constraints) == "late"
    assert done.metadata("target_ddl")["created"] == 0


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE g ALTER at SET DEFAULT now()",
        "ALTER TABLE by_year ADD CHECK (n > 0)",
        "ALTER TABLE g ADD UNIQUE (at)",
    ],
)
def test_expressions_are_known_when_something_else_of_their_table_changes(written: Platform, change: str) -> None:
    assert written.migrate_directly().succeeded
    written.source.psql("DELETE FROM g;" + change)
    assert written.migrate_directly().failures == ()
    done = written.migrate()
    assert done.success, done.failures
    assert done.metadata("target_ddl")["created"] == 0


OTHER_TABLES = {
    "generated column": (
        "ALTER TABLE g ALTER year SET EXPRESSION AS (extract('DAY' FROM at))",
        'public.g: column year: expression is EXTRACT(YEAR FROM "at") in the source and EXTRACT(DAY FROM "at") in',
    ),
    "partition key": (
        "DROP TABLE by_year; CREATE TABLE by_year (at timestamp, n int) PARTITION BY RANGE (extract('DAY' FROM at))",
        'public.by_year: is partitioned by RANGE (EXTRACT(YEAR FROM "at")) in the source and by RANGE (EXTRACT(',
    ),
}


@pytest.mark.parametrize(("change", "told"), OTHER_TABLES.values(), ids=OTHER_TABLES.keys())
def test_tables_that_somebody_made_otherwise_are_not_taken_for_the_same(
    migrated: Platform, change: str, told: str
) -> None:
    migrated.target.psql(change)
    done = migrated.migrate()
    assert not done.success
    assert told in done.failures["target_ddl"]


SOMEBODY_ELSES = {
    "function": "CREATE OR REPLACE FUNCTION f(t timestamp) RETURNS numeric IMMUTABLE LANGUAGE sql RETURN 7",
    "index": "DROP INDEX i; CREATE INDEX i ON t (id, at)",
    "domain": "ALTER DOMAIN d SET DEFAULT 7",
    "default": "ALTER TABLE t ALTER year SET DEFAULT 7",
    "policy": "ALTER POLICY young ON secret USING (extract('YEAR' FROM at) > 1)",
    "statistics": "DROP STATISTICS s; CREATE STATISTICS s ON (extract('YEAR' FROM at)), id FROM t",
    "materialized view": "DROP MATERIALIZED VIEW m; CREATE MATERIALIZED VIEW m AS SELECT 7::numeric AS year FROM t",
    "check": "ALTER TABLE t DROP CONSTRAINT t_at_check, ADD CONSTRAINT t_at_check CHECK (id > 7)",
    "key": "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey PRIMARY KEY (at)",
    "foreign key": "ALTER TABLE t DROP CONSTRAINT t_id_fkey, ADD CONSTRAINT t_id_fkey FOREIGN KEY (id) "
    "REFERENCES parent ON DELETE CASCADE",
}


@pytest.mark.parametrize("change", SOMEBODY_ELSES.values(), ids=SOMEBODY_ELSES.keys())
def test_a_step_does_not_answer_for_what_others_made(migrated: Platform, change: str) -> None:
    arrived = migrated.target.dump("--schema=public")
    migrated.target.psql(change)
    migrated.materialize("post_data")
    structure = migrated.validate().every_check["post_data", "structure"]
    assert not structure.passed
    assert migrated.migrate_directly().failures == ()
    assert migrated.target.dump("--schema=public") == arrived
