"""Keys of every type and distribution: the ranges are exactly the table, and so is the copy."""

from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest
from psycopg2 import sql

from pg_migration.postgres.catalog import discover
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.planning import planner as plan_module
from pg_migration.postgres.planning.key_ranges import ALL
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration.postgres.planning.planner import Planner
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transfer.conftest import between
from pg_migration_tests.postgres.transfer.harness import Database, Loaded, Pair

CUT = LoadSettings(partition_threshold=500, max_partitions=4, chunk_size=200)

# Type of the key, and a query of its values.
CUTTABLE = {
    "serial": ("int", "SELECT generate_series(1, 1000)"),
    "negative": ("int", "SELECT generate_series(-1000, -1)"),
    "around_zero": ("int", "SELECT generate_series(-500, 500)"),
    "sparse": ("bigint", "SELECT (i::bigint * i * i * 12345) FROM generate_series(-500, 500) i"),
    "limits": (
        "bigint",
        "SELECT unnest(ARRAY[-9223372036854775808, 9223372036854775807]) UNION SELECT generate_series(-500, 500)",
    ),
    "most_at_the_limit": ("bigint", "SELECT 9223372036854775807 - i FROM generate_series(0, 1000) i"),
    "least_at_the_limit": ("bigint", "SELECT -9223372036854775807 - 1 + i FROM generate_series(0, 1000) i"),
    "smallints": ("smallint", "SELECT generate_series(-32768, 32767, 60) UNION SELECT 32767"),
    "skewed": ("int", "SELECT generate_series(1, 900) UNION SELECT 2000000000 + i FROM generate_series(1, 100) i"),
    "gaps": ("bigint", "SELECT i % 2 * 1000000000000 + i FROM generate_series(1, 1000) i"),
    "numerics": ("numeric", "SELECT i / 7.0 FROM generate_series(-500, 500) i"),
    "numerics_odd": (
        "numeric",
        "SELECT i * 1e100 FROM generate_series(1, 1000) i UNION SELECT unnest('{NaN,Infinity,-Infinity,0}'::numeric[])",
    ),
    "dates": ("date", "SELECT '2000-01-01'::date + i FROM generate_series(-500, 500) i UNION SELECT 'infinity'"),
    "dates_bc": ("date", "SELECT '0001-06-01 BC'::date + i FROM generate_series(-500, 500) i"),
    "dates_far": ("date", "SELECT '10000-01-01'::date + i FROM generate_series(-500, 500) i"),
    "timestamps": (
        "timestamp",
        "SELECT '1999-12-31'::timestamp + i * interval '9.1 s' FROM generate_series(1, 1000) i UNION SELECT 'infinity'",
    ),
    "timestamptzs": (
        "timestamptz",
        "SELECT '2024-10-27 00:00+02'::timestamptz + i * interval '1 minute' FROM generate_series(1, 1000) i",
    ),
    "uuids": ("uuid", "SELECT md5(i::text)::uuid FROM generate_series(1, 1000) i"),
    "domains": ("odd", "SELECT generate_series(1, 2000, 2)"),
}

NOT_CUT = {
    "texts": ("text", "SELECT 'k' || i FROM generate_series(1, 1000) i"),
    "texts_like_dates": ("text", "SELECT ('2000-01-01'::date + i)::text FROM generate_series(1, 1000) i"),
    "floats": ("float8", "SELECT i / 7.0 FROM generate_series(1, 1000) i"),
    "bpchars": ("char(6)", "SELECT i::text FROM generate_series(1, 1000) i"),
    "intervals": ("interval", "SELECT i * interval '1 day' FROM generate_series(1, 1000) i"),
    "arrays": ("int[]", "SELECT ARRAY[i, 1] FROM generate_series(1, 1000) i"),
}

DOMAIN = "CREATE DOMAIN odd AS int CHECK (VALUE % 2 = 1);"


def tables(cases: Mapping[str, tuple[str, str]]) -> str:
    statements = [DOMAIN]
    for name, (key, values) in cases.items():
        statements.append(f"CREATE TABLE {name} (k {key} PRIMARY KEY, v text);")
        statements.append(f"INSERT INTO {name} SELECT k, 'row ' || k::text FROM ({values}) AS t (k);")
    return "\n".join(statements)


def largest_chunk(pair: Pair, table: str) -> int:
    """Rows of the largest COPY of a table."""
    ((rows,),) = pair.target.rows("SELECT max(row_count) FROM _pg_migration.chunk WHERE table_name = %s", (table,))
    return int(rows)


def check_partition_of_all_rows(database: Database, *plans: TablePlan) -> None:
    """Every row is in exactly one range, and in exactly one chunk."""
    with database.connection() as connection:
        for plan in plans:
            ranges = [piece.range.predicate(plan.key) for piece in plan.ranges]
            for predicates in (ranges, [chunk.predicate for piece in plan.ranges for chunk in piece.chunks]):
                terms = sql.SQL(" + ").join(sql.SQL("({})::int").format(p) for p in predicates)
                table = sql.Identifier(database.schema, plan.table.name)
                times = fetch(connection, sql.SQL("SELECT DISTINCT {} FROM {}").format(terms, table))
                assert times == [(1,)], plan.table.name


COMPOSITE = """
CREATE TABLE orders (shop int, number int, line text, v text, PRIMARY KEY (shop, number, line));
INSERT INTO orders SELECT i % 5, i / 5, 'x', 'y' FROM generate_series(1, 3000) i;
CREATE TABLE mixed (code text, number int, PRIMARY KEY (number, code));
INSERT INTO mixed SELECT 'c' || i, i FROM generate_series(1, 3000) i;
CREATE TABLE constant (a int, b int, PRIMARY KEY (a, b));
INSERT INTO constant SELECT 7, i FROM generate_series(1, 3000) i;
CREATE TABLE few (a int, b int, PRIMARY KEY (a, b));
INSERT INTO few SELECT i / 2500, i FROM generate_series(1, 3000) i;
CREATE TABLE top (a int, b int, PRIMARY KEY (a, b));
INSERT INTO top SELECT CASE WHEN i < 2200 THEN i ELSE 2147483647 END, i FROM generate_series(1, 3000) i;
CREATE TABLE no_key (v int);
INSERT INTO no_key SELECT i % 10 FROM generate_series(1, 3000) i;
CREATE TABLE nullable (v int UNIQUE);
INSERT INTO nullable SELECT nullif(i, i / 2 * 2) FROM generate_series(1, 3000) i;
"""


@pytest.fixture(
    scope="module", params=[True, pytest.param(False, marks=pytest.mark.longer)], ids=["analyzed", "never analyzed"]
)
def cut(
    request: pytest.FixtureRequest, postgres16: PostgresServer, postgres18: PostgresServer
) -> Iterator[tuple[Pair, Loaded]]:
    """Tables with all of these keys, loaded."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        closing(between(postgres16, postgres18, monkeypatch)) as pairs,
    ):
        pair = next(pairs)
        pair.source.psql(tables(CUTTABLE | NOT_CUT) + COMPOSITE + "ANALYZE;" * request.param)
        yield pair, pair.load_all(CUT)


def test_every_row_is_in_one_range(cut: tuple[Pair, Loaded]) -> None:
    pair, loaded = cut
    check_partition_of_all_rows(pair.source, *loaded.plans.values())


@pytest.mark.parametrize("name", CUTTABLE)
def test_cuttable_keys(cut: tuple[Pair, Loaded], name: str) -> None:
    _, loaded = cut
    assert loaded.loaded[name].complete
    rows = [r.rows for r in loaded.loaded[name].ranges]
    if name not in ("dates_bc", "dates_far"):  # their bounds do not sort as text, so there are fewer
        assert len(rows) == 4
        # Quantiles of whole tables: balanced, however the keys are spread.
        assert max(rows) < 1.5 * sum(rows) / len(rows)
    for piece in loaded.plans[name].ranges:
        assert "," not in piece.range.key
        assert "..." not in piece.range.key


@pytest.mark.parametrize("name", NOT_CUT)
def test_keys_that_no_range_is_cut_on(cut: tuple[Pair, Loaded], name: str) -> None:
    _, loaded = cut
    assert [r.key for r in loaded.loaded[name].ranges] == [ALL]
    assert loaded.plans[name].chunk_count > 1


def test_composite_and_missing_keys(cut: tuple[Pair, Loaded]) -> None:
    pair, loaded = cut
    ranges = {name: len(plan.ranges) for name, plan in loaded.plans.items()}
    assert ranges["mixed"] == 4
    assert ranges["orders"] == 4
    assert ranges["top"] == 3  # the greatest value is no bound: there is none beyond it
    assert ranges["no_key"] == ranges["nullable"] == 1
    for name in ("constant", "few"):  # one value would be most of the table: cut by pages instead
        assert ranges[name] == 1
        assert loaded.plans[name].chunk_count > 10
        assert largest_chunk(pair, name) < 500


def test_wide_tables_are_cut_by_bytes(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "CHUNK_BYTES", 2**20)
    pair.source.psql(
        "CREATE TABLE documents (id int PRIMARY KEY, body text, pad text);"
        "ALTER TABLE documents ALTER body SET STORAGE EXTERNAL;"
        "INSERT INTO documents SELECT i, repeat('x', 100000), repeat('y', 1000) FROM generate_series(1, 80) i;"
    )
    loaded = pair.load_all(LoadSettings())
    check_partition_of_all_rows(pair.source, loaded.plans["documents"])
    assert loaded.plans["documents"].chunk_count == 9  # of a little more than 8 MB
    assert largest_chunk(pair, "documents") < 20


def test_every_key_of_a_plan_can_be_asked_for_again(pair: Pair) -> None:
    """The keys that the plan names, in any combination, are read back as the same ranges."""
    pair.source.psql(tables({"serial": CUTTABLE["serial"]}) + "ANALYZE;")
    loaded = pair.load_all(CUT)
    plan = loaded.plans["serial"]
    keys = [piece.range.key for piece in plan.ranges]
    again = pair.load(CUT, ranges={"serial": keys})
    assert [piece.range for piece in again.plans["serial"].ranges] == [piece.range for piece in plan.ranges]
    assert again.loaded["serial"].complete
    pair.check_equal()


def test_key_that_is_none(pair: Pair) -> None:
    pair.source.psql(tables({"serial": CUTTABLE["serial"]}) + "ANALYZE;")
    with pair.source.connection() as connection:
        (table,) = discover(connection, {"public": "public"}).tables
        planner = Planner(connection, CUT, None)
        part, whole = planner.plan_ranges(table, ["..500"]), planner.plan_ranges(table, ["all"])
        assert part.ranges
        assert part.rows == round(whole.rows / CUT.max_partitions) < whole.rows  # about
        for key in ("", "..", "5", "7..5", "1..x", "..<5", "1..2..3", "01..5", "1_0..50", "1.5..", "all "):
            with pytest.raises(ConfigurationError, match=r"is not a key range of table public\.serial"):
                planner.plan_ranges(table, [key])
