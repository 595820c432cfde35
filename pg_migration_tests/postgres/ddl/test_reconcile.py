"""Targets that hold something already."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace

import psycopg2
import pytest

from pg_migration.postgres.catalog import Phase, discover
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.ddl import apply, missing, remember
from pg_migration.postgres.errors import StructureConflict
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import (
    Pair,
    assert_arrived,
    assert_same_dump,
    describe,
    migrate,
    pair_of,
    session,
)
from pg_migration_tests.postgres.ddl.together import Before, InTarget, verdicts

DDL = """
    CREATE TYPE mood AS ENUM ('a', 'b');
    CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE TABLE r (id int PRIMARY KEY);
    CREATE TABLE t (id int PRIMARY KEY, r int REFERENCES r, m mood DEFAULT 'a', n int DEFAULT 1 CHECK (n > 0),
                    g int GENERATED ALWAYS AS (n * 2) STORED);
    CREATE INDEX i ON t (m);
    CREATE VIEW v AS SELECT id, f(id) AS x FROM t;
    CREATE VIEW w AS SELECT x FROM v;
    CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
    COMMENT ON TABLE t IS 'c';
"""
ROWS = "INSERT INTO r VALUES (1); INSERT INTO t VALUES (1, 1);"
DRIFTS = {
    "default": "ALTER TABLE t ALTER n SET DEFAULT 5",
    "default gone": "ALTER TABLE t ALTER n DROP DEFAULT",
    "default added": "ALTER TABLE t ALTER r SET DEFAULT 5",
    "check": "ALTER TABLE t DROP CONSTRAINT t_n_check; ALTER TABLE t ADD CONSTRAINT t_n_check CHECK (n > -7)",
    "check added": "ALTER TABLE t ADD CONSTRAINT mine CHECK (n < 7)",
    "index": "DROP INDEX i; CREATE INDEX i ON t (n)",
    "view": "CREATE OR REPLACE VIEW v AS SELECT id, 5 AS x FROM t",
    "view with other columns": "DROP VIEW w; DROP VIEW v; CREATE VIEW v AS SELECT 1 AS other; CREATE VIEW w AS TABLE v",
    "function body": "CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 2'",
    "function result": "DROP FUNCTION f CASCADE; CREATE FUNCTION f(a int) RETURNS text LANGUAGE sql AS 'SELECT 2'",
    "trigger": "DROP TRIGGER tr ON t",
    "trigger disabled": "ALTER TABLE t DISABLE TRIGGER tr",
    "foreign key": "ALTER TABLE t DROP CONSTRAINT t_r_fkey",
    "comment": "COMMENT ON TABLE t IS 'd'; COMMENT ON COLUMN t.n IS 'e'",
    "storage": "ALTER TABLE t ALTER m SET STATISTICS 5",
    "nullability": "ALTER TABLE t ALTER r SET NOT NULL",
    "key": "ALTER TABLE r DROP CONSTRAINT r_pkey CASCADE",
}
# What is done in the target, and what is told; each has a schema of its own.
CONFLICTS = {
    "column missing": ("ALTER TABLE r DROP COLUMN id CASCADE", "{}.r: column id is missing in the target"),
    "column added": ("ALTER TABLE r ADD x int", "{}.r: column x is in the target only"),
    "type": (
        "ALTER TABLE t DROP n CASCADE; ALTER TABLE t DROP IF EXISTS g; ALTER TABLE t ADD n bigint",
        "{}.t: column n: type is integer in the source and bigint in the target",
    ),
    "enum used": ("ALTER TYPE mood ADD VALUE 'c'", "type {0}.mood, used by {0}.t, is defined otherwise"),
}
SCHEMAS = {case: f"case_{number}" for number, case in enumerate(CONFLICTS)}


COUNTS = """
    SELECT format('SELECT count(*) FROM %s', c.oid::regclass)
      FROM pg_class c WHERE relname = 't' AND relkind = 'r' ORDER BY c.oid \\gexec
"""


def assert_rows_stay(pair: Pair, schemas: Mapping[str, str]) -> None:
    before = pair.query(COUNTS)
    assert_arrived(pair, schemas)
    assert before in ("", pair.query(COUNTS))


@pytest.fixture(scope="module")
def mended(postgres18: PostgresServer) -> Mapping[str, str]:
    """What is wrong with each drift."""
    cases = {drift: [Before(DDL), InTarget(ROWS + statements)] for drift, statements in DRIFTS.items()}
    return verdicts(postgres18, postgres18, cases, assert_rows_stay)


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_kept_table_is_mended_with_its_rows(mended: Mapping[str, str], drift: str) -> None:
    assert not mended[drift], mended[drift]


@dataclass(frozen=True)
class Stopped:
    """What a run said that stopped, whether the target was as before, and what was there when all was made anew."""

    told: str
    untouched: bool
    anew: str


@pytest.fixture(scope="module")
def stopped(postgres18: PostgresServer) -> Mapping[str, Stopped]:
    """A target that has each of the conflicts, each in a schema of its own."""
    names = {schema: schema for schema in SCHEMAS.values()}

    def in_each(ddl: Mapping[str, str]) -> str:
        return "".join(f"SET search_path = {SCHEMAS[case]}; {ddl[case]};\n" for case in CONFLICTS)

    def everywhere(ddl: str) -> str:
        return in_each(dict.fromkeys(CONFLICTS, ddl))

    with closing(pair_of(postgres18, postgres18)) as pairs:
        pair = next(pairs)
        pair.load("".join(f"CREATE SCHEMA {schema};" for schema in names) + everywhere(DDL))
        assert migrate(pair, names).failures == []
        pair.prepare(everywhere(ROWS) + in_each({case: drift for case, (drift, _) in CONFLICTS.items()}))
        told = {}
        before = pair.target.dump_schema(pair.target_url)
        for case, schema in SCHEMAS.items():
            with pytest.raises(StructureConflict) as caught:
                migrate(pair, {schema: schema})
            told[case] = str(caught.value)
        untouched = pair.target.dump_schema(pair.target_url) == before
        pair.prepare(everywhere("CREATE VIEW theirs AS SELECT * FROM t; CREATE TABLE other ()"))
        assert migrate(pair, names, drop_existing=True).failures == []
        anew = pair.query(everywhere("SELECT to_regclass('theirs') IS NULL, to_regclass('other') IS NOT NULL"))
        pair.prepare(everywhere("DROP TABLE other"))
        assert_same_dump(pair, names)
        return {
            case: Stopped(told[case], untouched, there)
            for case, there in zip(CONFLICTS, anew.splitlines(), strict=True)
        }


@pytest.mark.parametrize("case", CONFLICTS)
def test_other_columns_stop_before_anything_is_changed(stopped: Mapping[str, Stopped], case: str) -> None:
    """Unless everything is to be made anew."""
    told = stopped[case].told
    assert CONFLICTS[case][1].format(SCHEMAS[case]) in told
    assert "drop_existing_tables: true" in told
    assert stopped[case].untouched
    # What the source does not have stays, unless it leant on what was dropped.
    assert stopped[case].anew == "t|t"


def test_a_failing_object_costs_only_what_needs_it(upgrade: Pair) -> None:
    upgrade.load(DDL)
    source = describe(upgrade.source_url)
    broken = [
        replace(item, statements=("CREATE FUNCTION public.f(",)) if item.name == "f(integer)" else item
        for item in source.objects
    ]
    with session(upgrade.target_url) as target:
        outcomes = apply(target, broken)
        again = apply(target, [item for item in broken if item.name == "w"], failed=outcomes)
    told = {
        outcome.object.identity: outcome.error or outcome.skipped_because for outcome in outcomes if not outcome.made
    }
    assert "syntax error" in told.pop("function public.f(integer)")
    assert told["view public.v"] == "it needs function public.f(integer), which could not be made"
    assert told["view public.w"] == "it needs view public.v, which could not be made"
    assert "table public.t" not in told
    assert again[0].skipped_because


def test_missing_speaks_of_one_phase(newest: Pair) -> None:
    newest.load(DDL)
    newest.prepare(DDL + "DROP INDEX i; DROP VIEW w")
    source, target = describe(newest.source_url), describe(newest.target_url)
    assert [item.name for item in missing(source, target, Phase.KEYS)] == ["i"]
    assert [item.name for item in missing(source, target)][:2] == ["i", "w"]


def test_two_servers_that_write_one_object_differently(upgrade: Pair) -> None:
    # 18 has another text for this than 16 has.
    upgrade.load("CREATE VIEW v AS SELECT 1 AS a;")
    assert migrate(upgrade).failures == []
    upgrade.prepare("CREATE OR REPLACE VIEW v AS SELECT 2 - 1 AS a;")
    with session(upgrade.source_url) as source, session(upgrade.target_url) as target:
        ours = discover(source, {"public": "public"})
        assert len(remember(target, ours, discover(target, {"public": "public"}), ours.objects)) == 1
    assert migrate(upgrade).plan.create == ()
    upgrade.prepare("CREATE OR REPLACE VIEW v AS SELECT 3 AS a;")
    assert [item.identity for item in migrate(upgrade).plan.create][:1] == ["view public.v"]


def test_a_server_that_reads_its_own_text_otherwise(alike: Pair) -> None:
    # The server writes this as EXTRACT(YEAR FROM ...), reads that, and from then on writes it in lower case.
    alike.load("CREATE VIEW v AS SELECT extract('YEAR' FROM now()) AS year;")
    done = migrate(alike)
    with session(alike.target_url) as target:
        assert len(remember(target, done.source, discover(target, {"public": "public"}), done.source.objects)) == 1
    assert migrate(alike).plan.create == ()


def test_functions_that_rely_on_the_search_path(older: Pair) -> None:
    # Since 17 an index is built with a safe search_path, whatever the session's.
    older.load(
        "CREATE TABLE t (a int); CREATE FUNCTION inner_one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';"
        "CREATE FUNCTION outer_one() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN inner_one(); END';"
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE INDEX ON t ((a + public.outer_one()));"
    )
    with session(older.target_url) as target:
        execute(target, "SET search_path TO pg_catalog")
        outcomes = apply(target, describe(older.source_url).objects)
        with target.cursor() as cursor:
            cursor.execute("SHOW search_path")
            assert cursor.fetchone() == ("pg_catalog",)
    assert [outcome.error for outcome in outcomes if not outcome.made] == []


OTHERS = """
    CREATE TABLE others (m mood, n int); INSERT INTO others VALUES ('sad', 1);
    CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.others (m public.mood); INSERT INTO elsewhere.others VALUES ('sad');
"""


def test_dropping_tables_keeps_the_rows_of_others(upgrade: Pair) -> None:
    upgrade.load("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (m mood); CREATE VIEW v AS SELECT m FROM t;")
    assert migrate(upgrade).failures == []
    upgrade.prepare(OTHERS + "CREATE TABLE heirs () INHERITS (t);")
    with pytest.raises(StructureConflict, match=r"with their rows: public\.heirs\."):
        migrate(upgrade, drop_existing=True)
    upgrade.prepare("DROP TABLE heirs")
    assert migrate(upgrade, drop_existing=True).failures == []
    assert upgrade.query("SELECT m FROM others UNION ALL SELECT m FROM elsewhere.others").split() == ["sad", "sad"]
    upgrade.load("ALTER TYPE mood ADD VALUE 'glad'")
    with pytest.raises(StructureConflict, match=r"with their rows: public\.others\."):
        migrate(upgrade, drop_existing=True)
    upgrade.prepare("DROP TABLE others")
    with pytest.raises(psycopg2.errors.DependentObjectsStillExist, match=r"elsewhere\.others"):
        migrate(upgrade, drop_existing=True)
    assert upgrade.query("SELECT m FROM elsewhere.others") == "sad"
