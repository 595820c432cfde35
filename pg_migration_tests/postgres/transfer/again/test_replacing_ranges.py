"""A partition key replaces exactly its rows and no others, whatever belongs to the table in the target."""

import random
from collections.abc import Iterator, Sequence
from contextlib import closing

import dagster as dg
import pytest
from psycopg2 import sql

from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transfer.conftest import between
from pg_migration_tests.postgres.transfer.harness import Database, Pair

CUT = LoadSettings(partition_threshold=200, max_partitions=3, chunk_size=100)

FAMILY = """
CREATE TABLE region (id int PRIMARY KEY, name text);
CREATE TABLE customer (id int PRIMARY KEY, region int REFERENCES region, referrer int REFERENCES customer, v text);
CREATE TABLE purchase (id int PRIMARY KEY, customer int REFERENCES customer ON DELETE CASCADE, v text);
INSERT INTO region SELECT i, 'r' FROM generate_series(1, 10) i;
INSERT INTO customer SELECT i, i % 10 + 1, nullif(i / 2, 0), 'v' || i FROM generate_series(1, 800) i;
INSERT INTO purchase SELECT i, i % 800 + 1, 'v' || i FROM generate_series(1, 150) i;
"""

# What only the target has, and what each of them would do to a load that did not set it aside.
IN_THE_WAY = """
CREATE TABLE log (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO log VALUES (TG_OP); NEW.v := 'by trigger'; RETURN NEW; END$$;
CREATE TRIGGER "chan""ges" BEFORE INSERT OR UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER always BEFORE INSERT ON customer FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE customer ENABLE ALWAYS TRIGGER always;
CREATE TABLE target_only (customer int REFERENCES customer ON DELETE CASCADE);
INSERT INTO target_only SELECT generate_series(1, 800);
CREATE RULE "go""ne" AS ON DELETE TO customer DO ALSO INSERT INTO log VALUES ('rule');
CREATE VIEW seen AS SELECT * FROM customer;
CREATE INDEX "target_only""index" ON customer (v);
ALTER TABLE customer ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON customer USING (id < 10);
"""

STATE = """
SELECT 'trigger', tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'rule', rulename, ev_enabled::text FROM pg_rewrite WHERE rulename = 'go"ne'
UNION ALL SELECT 'constraint', conname, convalidated::text FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL SELECT 'index', indexrelid::regclass::text, indisvalid::text FROM pg_index
    WHERE indrelid::regclass::text IN ('customer', 'purchase', 'region')
UNION ALL SELECT 'row security', relname, relrowsecurity::text || relforcerowsecurity FROM pg_class WHERE relrowsecurity
ORDER BY 1, 2
"""


@pytest.fixture(scope="module")
def loaded_once(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[tuple[Pair, TablePlan]]:
    """A pair of databases with the family, loaded, to make copies of."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        closing(between(postgres16, postgres18, monkeypatch)) as pairs,
    ):
        pair = next(pairs)
        pair.source.psql(FAMILY)
        yield pair, pair.load_all(CUT).plans["customer"]


@pytest.fixture
def plan(loaded_once: tuple[Pair, TablePlan]) -> TablePlan:
    """How ``customer`` was loaded."""
    return loaded_once[1]


@pytest.fixture
def family(loaded_once: tuple[Pair, TablePlan], monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """A copy of the loaded databases."""
    ends = loaded_once[0].source, loaded_once[0].target
    source, target = (
        Database(end.server, end.side, end.server.create_database(template=end.url.rpartition("/")[2])) for end in ends
    )
    yield Pair(source, target, monkeypatch)
    for end in (source, target):
        end.server.drop_database(end.url)


def rows_of(pair: Pair, table: str, predicate: sql.Composable | None = None) -> Sequence[object]:
    condition = sql.SQL("true") if predicate is None else predicate
    return pair.target.rows(sql.SQL("SELECT * FROM {} WHERE {} ORDER BY 1").format(sql.Identifier(table), condition))


def test_exactly_the_rows_of_the_range(family: Pair, plan: TablePlan) -> None:
    chosen = plan.ranges[1].range
    # Both sides change everywhere: what changed inside the range comes over, the rest is left alone.
    family.source.psql(
        "UPDATE customer SET v = 'from source', referrer = NULL; INSERT INTO customer VALUES (-5), (5000);"
    )
    family.target.psql("UPDATE customer SET v = 'in target', referrer = NULL; DELETE FROM customer WHERE id % 3 = 0;")
    again = family.load(CUT, ranges={"customer": [chosen.key]})
    assert not again.failed
    inside = chosen.predicate(plan.key)
    outside = sql.SQL("NOT ({})").format(inside)
    source_rows = family.source.rows(sql.SQL("SELECT * FROM customer WHERE {} ORDER BY 1").format(inside))
    assert rows_of(family, "customer", inside) == source_rows
    left = rows_of(family, "customer", outside)
    assert left
    assert {row[3] for row in left} == {"in target"}  # type: ignore[index]
    assert not any(row[0] % 3 == 0 for row in left)  # type: ignore[index]


def test_open_ends(family: Pair, plan: TablePlan) -> None:
    """Rows that appeared beyond the former least and greatest key belong to the first and the last range."""
    family.source.psql("INSERT INTO customer VALUES (-5), (5000), (2147483647), (-2147483648);")
    keys = [piece.range.key for piece in plan.ranges]
    again = family.load(CUT, ranges={"customer": [keys[0], keys[-1]]})
    assert not again.failed
    assert not again.problems
    family.check_equal()


@pytest.mark.parametrize("whole", [False, True], ids=["all ranges", "the table"])
def test_with_everything_in_the_way(family: Pair, plan: TablePlan, whole: bool) -> None:
    family.target.psql(IN_THE_WAY)
    before, others = family.target.rows(STATE), rows_of(family, "target_only")
    family.source.psql("UPDATE customer SET v = 'new'")
    keys = [piece.range.key for piece in plan.ranges]
    again = family.load(CUT, tables=["customer"]) if whole else family.load(CUT, ranges={"customer": keys})
    assert not again.failed
    assert not again.problems
    assert family.target.rows(STATE) == before
    assert rows_of(family, "target_only") == others
    assert not rows_of(family, "log")
    assert family.target.hashes()["customer"] == family.source.hashes()["customer"]


def test_random_ranges_in_random_order(family: Pair, plan: TablePlan) -> None:
    """Replacing all ranges one run at a time, in any order, is the same as loading the table."""
    family.target.psql("UPDATE customer SET v = 'old', referrer = NULL; DELETE FROM customer WHERE id % 2 = 0;")
    keys = [piece.range.key for piece in plan.ranges]
    random.Random(7).shuffle(keys)
    for key in keys:
        family.load(CUT, ranges={"customer": [key]})
    assert family.target.hashes()["customer"] == family.source.hashes()["customer"]


def test_foreign_key_that_no_longer_holds(family: Pair, plan: TablePlan) -> None:
    """A replaced range may break a foreign key of the target; that is reported, and the rows are there."""
    family.target.psql("INSERT INTO customer VALUES (-1), (-2); INSERT INTO purchase VALUES (-1, -1);")
    again = family.load(CUT, ranges={"customer": [plan.ranges[0].range.key]})
    assert again.problems
    for problem in again.problems:
        assert 'violates foreign key constraint "purchase_customer_fkey"' in problem
    assert family.target.hashes()["customer"] == family.source.hashes()["customer"]


def test_run_of_a_partition_key(pair: Pair) -> None:
    """What the UI starts for one partition, or for several in a row."""
    pair.source.psql(FAMILY)
    assert pair.migrate(partition_threshold=200, max_partitions=4, chunk_size=100).succeeded
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("pk_ranges/public.customer", ["..200", "201..400", "401..600", "601.."])
        pair.source.psql("UPDATE customer SET v = 'new'")
        for keys, last in ((("..200",), 200), (("..200", "201..400"), 400)):
            pair.target.psql("UPDATE customer SET v = 'in target'")
            assert pair.materialize("public/customer", keys, instance).success
            counted = pair.target.rows("SELECT v, count(*), min(id), max(id) FROM customer GROUP BY 1 ORDER BY 1")
            assert counted == [("in target", 800 - last, last + 1, 800), ("new", last, 1, last)]
            foreign_keys = "SELECT conname::text FROM pg_constraint WHERE contype = 'f' AND convalidated ORDER BY 1"
            assert pair.target.rows(foreign_keys) == pair.source.rows(foreign_keys)
