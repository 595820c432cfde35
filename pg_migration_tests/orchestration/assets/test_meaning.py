"""Migrations, judged by what the copy means: the rows of every view, generated columns, operators."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pg_migration.postgres.migration import compare
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.meaning import meaning_of
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Platform

LOOSE_TEXT = """
    CREATE EXTENSION citext;
    CREATE TABLE n (id int PRIMARY KEY, c citext);
    INSERT INTO n VALUES (1, 'Q'), (2, 'z');
    CREATE TABLE m (c citext, x int);
    INSERT INTO m VALUES ('q', 5), ('Z', 6);
    CREATE INDEX i ON n (id) WHERE nullif(c, 'q') IS NULL;
    ALTER TABLE m ADD CONSTRAINT late CHECK (c IS DISTINCT FROM 'q'::citext) NOT VALID;
    CREATE VIEW v AS SELECT id, nullif(c, 'q') AS nf, CASE c WHEN 'q' THEN 1 ELSE 0 END AS cs FROM n;
    CREATE VIEW vj AS SELECT n.id, m.x FROM n JOIN m USING (c);
    CREATE MATERIALIZED VIEW mj AS SELECT n.id, m.x FROM n NATURAL JOIN m;
    CREATE TABLE g (id int PRIMARY KEY, c citext, gen bool GENERATED ALWAYS AS (c IS DISTINCT FROM 'q'::citext) STORED);
    INSERT INTO g VALUES (1, 'Q');
    CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER tr BEFORE UPDATE ON n FOR EACH ROW WHEN (old.c IS DISTINCT FROM new.c) EXECUTE FUNCTION tf();
"""
ROW_TYPES = """
    CREATE TABLE t (id int PRIMARY KEY, a text);
    INSERT INTO t VALUES (1, 'x');
    CREATE VIEW gv AS SELECT id, a, count(*) AS n FROM t GROUP BY id;
    CREATE TABLE w (n int, x gv);
    INSERT INTO w SELECT 1, gv FROM gv;
"""
# Since 17 indexes are built, and materialized views filled, with pg_catalog alone on the path.
UNQUALIFIED = """
    CREATE FUNCTION helper(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT lower($1) $$;
    CREATE FUNCTION norm(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT helper($1) $$;
    CREATE FUNCTION late_norm(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN helper($1); END $$;
    CREATE FUNCTION norm_eq(text, text) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT helper($1) = helper($2) $$;
    CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = norm_eq);
    CREATE DOMAIN d AS text CHECK (norm(VALUE) <> '');
    CREATE TABLE t (id int PRIMARY KEY, n text CHECK (norm(n) <> ''), g text GENERATED ALWAYS AS (norm(n)) STORED);
    INSERT INTO t VALUES (1, 'A');
    CREATE INDEX tn ON t (norm(n));
    CREATE UNIQUE INDEX tu ON t (late_norm(n));
    CREATE INDEX tp ON t (id) WHERE norm(n) = 'a';
    CREATE INDEX tq ON t (id) WHERE n === 'a';
    CREATE INDEX td ON t ((n::d));
    ALTER TABLE t ADD EXCLUDE USING btree (norm(n) WITH =);
    CREATE STATISTICS st ON (norm(n)), id FROM t;
    CREATE VIEW v AS SELECT id, norm(n) AS x FROM t;
    CREATE MATERIALIZED VIEW m AS SELECT * FROM v;
    CREATE UNIQUE INDEX mi ON m (norm(x));
    CREATE TABLE p (id int, n text) PARTITION BY LIST (norm(n));
    CREATE TABLE p1 PARTITION OF p FOR VALUES IN ('a');
    CREATE INDEX pi ON p (norm(n));
    INSERT INTO p VALUES (1, 'A');
"""


def between(
    source: PostgresServer, target: PostgresServer, monkeypatch: pytest.MonkeyPatch, home: Path
) -> Iterator[Platform]:
    databases = [Database(server, server.create_database(options="ENCODING 'UTF8'")) for server in (source, target)]
    yield from serve(*databases, monkeypatch, home)
    for database in databases:
        database.server.drop_database(database.url)


@pytest.fixture
def from_15_to_15(postgres15: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Platform]:
    yield from between(postgres15, postgres15, monkeypatch, tmp_path)


@pytest.fixture
def from_15_to_18(
    postgres15: PostgresServer, postgres18: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Platform]:
    yield from between(postgres15, postgres18, monkeypatch, tmp_path)


def check_same_meaning(platform: Platform) -> None:
    ours, theirs = (meaning_of(end.server, end.url) for end in (platform.source, platform.target))
    assert theirs == ours


def test_what_the_path_gives_a_meaning_to(from_15_to_15: Platform) -> None:
    platform = from_15_to_15
    platform.source.psql(LOOSE_TEXT + ROW_TYPES)
    migrate_and_check_meaning(platform)
    assert platform.target.psql("SELECT gen FROM g") == "f"
    # Somebody makes the view anew with another path: the same text, which compares otherwise.
    platform.target.psql(
        "SET search_path = pg_catalog;"
        "CREATE OR REPLACE VIEW public.vj AS SELECT n.id, m.x FROM public.n JOIN public.m USING (c)"
    )
    assert "view public.vj: means something else" in "\n".join(map(str, compare(platform.migration())))
    migrate_and_check_meaning(platform)


def migrate_and_check_meaning(platform: Platform) -> None:
    assert platform.migrate_directly().failures == ()
    check_same_meaning(platform)
    assert platform.target.dump("-N", "_pg_migration") == platform.source.dump()


def test_functions_that_find_names_by_the_path(from_15_to_18: Platform) -> None:
    platform = from_15_to_18
    platform.source.psql(UNQUALIFIED)
    for _ in range(2):
        done = platform.migrate_directly()
        assert done.failures == ()
        check_same_meaning(platform)
        assert platform.target.psql("SELECT count(*) FROM pg_proc WHERE proconfig IS NOT NULL AND oid >= 16384") == "0"
        notes = "\n".join(done.notes)
        assert "index tn on public.t: it calls functions that find names by the search_path" in notes
        assert 'ALTER FUNCTION "public"."norm"("text") SET search_path' in notes
    # Applications go on as in the source.
    platform.target.psql("INSERT INTO t VALUES (2, 'B')")
    assert platform.target.psql("SELECT id FROM t WHERE norm(n) = 'b'") == "2"
    assert platform.materialize("public/t").success
