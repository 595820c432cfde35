"""What the target remembers of how servers write objects: of those that a run has made, and of no others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pg_migration.postgres.catalog import Phase
from pg_migration.postgres.migration import Result, compare
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


def made_before_rows(done: Result) -> list[str]:
    """What a run made for the rows to be loaded into: nothing, where everything was known."""
    return [made.object.identity for made in done.outcomes.ddl if made.object.phase is Phase.PRE_DATA]


def test_each_step_notes_what_it_has_made(written: Platform) -> None:
    tables = ("public/parent", "public/t", "public/p", "public/p1")
    for step in (("target_ddl",), tables, ("public/foreign_keys",), ("post_data",)):
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
    """Migrated once, between servers of one version too."""
    if request.param == "16 to 18":
        yield request.getfixturevalue("migrated")
        return
    databases = [fresh_database(postgres16) for _ in range(2)]
    source, target = (Database(postgres16, next(urls)) for urls in databases)
    source.psql(WRITTEN_OTHERWISE)
    for platform in serve(source, target, monkeypatch, tmp_path):
        assert platform.migrate_directly().failures == ()
        yield platform
    for urls in databases:
        next(urls, None)


RELATIONS = """
    SELECT relname, oid FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') ORDER BY relname
"""


def test_a_whole_run_notes_everything(either: Platform) -> None:
    made = either.target.psql(RELATIONS)
    for _ in range(2):
        done = either.migrate_directly()
        assert done.failures == ()  # the comparison of the structure found nothing either
        assert either.target.psql(RELATIONS) == made
        assert made_before_rows(done) == []
    assert either.target.psql("SELECT count(*) FROM by_year_2000_1") == "10"


def test_a_run_that_fails_notes_what_it_has_made(written: Platform) -> None:
    written.source.psql("CREATE FUNCTION lost() RETURNS int LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler'")
    written.source.psql("UPDATE pg_proc SET prosrc = 'gone' WHERE proname = 'lost'")
    for _ in range(2):
        done = written.migrate_directly()
        assert len(done.failures) == 4, "the function and its owner: neither is made, nor there"
        assert all("lost" in failure for failure in done.failures), done.failures
    written.source.psql("DROP FUNCTION lost()")
    assert written.migrate_directly().failures == ()


def test_what_an_earlier_version_has_noted_still_counts(migrated: Platform) -> None:
    noted = "DELETE FROM _pg_migration.structure WHERE identity ~ $$^.'(partition key|generated column)'$$ RETURNING 1"
    assert migrated.target.psql(noted)
    for _ in range(2):
        assert migrated.migrate_directly().failures == ()


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


def test_expressions_are_known_when_something_else_of_their_table_changes(written: Platform) -> None:
    written.source.psql(
        "CREATE TABLE u (at timestamp, year numeric GENERATED ALWAYS AS (extract('YEAR' FROM at)) STORED)"
    )
    assert written.migrate_directly().succeeded
    written.source.psql(
        "ALTER TABLE g ALTER at SET DEFAULT now(); ALTER TABLE by_year ADD CHECK (n > 0); ALTER TABLE u ADD UNIQUE (at)"
    )
    assert written.migrate_directly().failures == ()
    again = written.migrate_directly()
    assert again.failures == ()
    assert made_before_rows(again) == []


OTHER_TABLES = {
    "ALTER TABLE g ALTER year SET EXPRESSION AS (extract('DAY' FROM at))": (
        'public.g: column year: expression is EXTRACT(YEAR FROM "at") in the source and EXTRACT(DAY FROM "at") in'
    ),
    "DROP TABLE by_year; CREATE TABLE by_year (at timestamp, n int) PARTITION BY RANGE (extract('DAY' FROM at))": (
        'public.by_year: is partitioned by RANGE (EXTRACT(YEAR FROM "at")) in the source and by RANGE (EXTRACT('
    ),
}


def test_tables_that_somebody_made_otherwise_are_not_taken_for_the_same(migrated: Platform) -> None:
    migrated.target.psql(";".join(OTHER_TABLES))
    (told,) = migrated.migrate_directly().failures
    for said in OTHER_TABLES.values():
        assert said in told


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


@dataclass(frozen=True)
class Altered:
    """A target in which somebody altered an object of each kind: what is told of it, and its dumps."""

    told: str
    arrived: str
    failures: tuple[str, ...]
    again: str


@pytest.fixture(scope="module")
def altered(migration: Migrated, tmp_path_factory: pytest.TempPathFactory) -> Altered:
    with (
        pytest.MonkeyPatch.context() as patch,
        contextmanager(serve)(migration.source, migration.target, patch, tmp_path_factory.mktemp("home")) as platform,
    ):
        arrived = platform.target.dump("--schema=public")
        platform.target.psql(";".join(change for change, _ in SOMEBODY_ELSES.values()))
        platform.materialize("post_data")
        told = "\n".join(map(str, compare(platform.migration())))
        done = platform.migrate_directly()
        again = platform.target.dump("--schema=public")
    migration.restore()
    return Altered(told, arrived, tuple(done.failures), again)


@pytest.mark.parametrize("name", [name for _, name in SOMEBODY_ELSES.values()], ids=SOMEBODY_ELSES.keys())
def test_a_step_does_not_answer_for_what_others_made(altered: Altered, name: str) -> None:
    assert f"{name}: defined otherwise" in altered.told


def test_the_next_run_makes_what_others_made_as_the_source_has_it(altered: Altered) -> None:
    assert altered.failures == ()
    assert altered.again == altered.arrived
