"""Tables that are compared in slices, in samples, and with rows that have no text form."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from psycopg2 import sql

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.hashing.digests import Hashing
from pg_migration.postgres.verification import row_differences
from pg_migration.postgres.verification.row_differences import RowDifference
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.verification.harness import Pair

ROWS = "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 4000) i; ANALYZE t"
SCATTERED = "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 4000) i ORDER BY md5(i::text); ANALYZE t"
WIDE = "INSERT INTO t SELECT i, repeat('v', 500) || i FROM generate_series(1, 4000) i; ANALYZE t"

TABLES = {
    "key ranges": "CREATE TABLE t (id int PRIMARY KEY, v text);" + ROWS,
    "a key that rows do not follow": "CREATE TABLE t (id int PRIMARY KEY, v text);" + SCATTERED,
    "no key": "CREATE TABLE t (id int, v text);" + WIDE,
    "text key": "CREATE TABLE t (id int, v text PRIMARY KEY);" + WIDE,
}


@pytest.mark.parametrize("table", TABLES)
def test_slices_add_up_and_a_row_is_found_in_its_slice(pair: Pair, table: str) -> None:
    pair.both(TABLES[table])
    pair.settings = pair.settings.model_copy(update={"chunk_size": 1_000_000})
    whole = pair.digests()
    assert whole[0] == whole[1]
    assert whole[0].rows == 4000
    pair.settings = pair.settings.model_copy(update={"chunk_size": 500})
    answers = pair.answers()
    assert {len(answers.slicing.slices[side]) > 1 for side in Side} == {True}
    assert bool(answers.slicing.ranges) == (table == "key ranges")
    assert pair.digests() == whole
    pair.target("DELETE FROM t WHERE id = 1234; INSERT INTO t VALUES (5678, 'more')")
    found = pair.differences()
    assert sorted(difference.kind for difference in found) == ["extra", "missing"]
    if table == "key ranges":
        ranges = pair.ranges_that_differ()
        assert len(ranges) == 2
        lower, upper = map(int, ranges[0].split(".."))
        assert lower <= 1234 <= upper
        assert upper - lower < 1000
        assert ranges[1].endswith("..")
        assert set(found) == {RowDifference("missing", "(1234)"), RowDifference("extra", "(5678)")}


def test_a_target_that_lies_in_other_pages(pair: Pair) -> None:
    pair.both(TABLES["no key"])
    pair.target("UPDATE t SET id = id; UPDATE t SET id = id")
    pair.settings = pair.settings.model_copy(update={"chunk_size": 300})
    source, target = pair.digests()
    assert source == target


def test_a_great_many_copies_of_one_row(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_differences, "MAX_ROWS_READ", 2000)
    pair.both("CREATE TABLE t (v text); INSERT INTO t SELECT 'same' FROM generate_series(1, 3000)")
    pair.target("INSERT INTO t VALUES ('same')")
    (found,) = pair.differences()
    assert found.kind == "extra"


def test_more_differences_than_can_be_read(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    rows = row_differences.End.rows

    def noting(end: Any, predicate: sql.Composable) -> Any:
        found = rows(end, predicate)
        read.append(len(found))
        return found

    monkeypatch.setattr(row_differences.End, "rows", noting)
    pair.both("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i FROM generate_series(1, 6000) i")
    pair.target("UPDATE t SET v = -v")
    found = pair.differences()
    assert len(found) == 20
    assert {(difference.kind, difference.columns) for difference in found} == {("different", ("v",))}
    assert 20 <= max(read) < 200


def test_a_sample_is_of_the_same_rows_on_both_sides(pair: Pair) -> None:
    pair.both(TABLES["key ranges"])
    pair.settings = pair.settings.model_copy(update={"chunk_size": 500})
    everything = pair.digests()[0]
    pair.hashing = Hashing(10.0, frozenset({("public", "t")}))
    source, target = pair.digests()
    assert source == target
    assert source.rows == everything.rows == 4000
    assert 300 < source.hashed < 500
    assert source.total != everything.total
    pair.target("UPDATE t SET v = 'new' WHERE id % 10 = 1")
    source, target = pair.digests()
    assert source != target


def test_which_tables_are_sampled(pair: Pair) -> None:
    pair.both(TABLES["no key"])
    pair.settings = pair.settings.model_copy(update={"chunk_size": 500})
    slicing = pair.answers().slicing
    assert Hashing.of_sample(10.0, [slicing], 1000).percent_of(slicing.table) == 100  # nothing to choose rows by
    pair.both("ALTER TABLE t ADD PRIMARY KEY (id)")
    slicing = pair.answers().slicing
    assert Hashing.of_sample(10.0, [slicing], 1000).percent_of(slicing.table) == 10
    assert Hashing.of_sample(10.0, [slicing], 5000).percent_of(slicing.table) == 100


# A bit string has eight times as many bytes in text as in binary, so this row travels, and has no text form.
ENORMOUS = """
    CREATE UNLOGGED TABLE t (id int PRIMARY KEY, bits varbit); ALTER TABLE t ALTER bits SET STORAGE EXTERNAL;
    DO $$ DECLARE bits varbit := '1'::bit(68000000); BEGIN
        FOR n IN 1..4 LOOP bits := bits || bits; END LOOP; INSERT INTO t VALUES (1, bits); END $$
"""


@pytest.fixture
def enormous(postgres18: PostgresServer) -> Iterator[Pair]:
    """A database with a row whose text is larger than a gigabyte, and a copy of the database."""
    source = postgres18.create_database()
    postgres18.psql(source, ENORMOUS)
    target = postgres18.create_database(template=source.rpartition("/")[2])
    with Connections() as links, closing(Pair((source, target), links)) as pair:
        yield pair
    for url in (source, target):
        postgres18.drop_database(url)


@pytest.mark.system
@pytest.mark.longer
def test_rows_whose_text_is_larger_than_a_gigabyte(enormous: Pair) -> None:
    source, target = enormous.digests()
    assert source == target
    assert source.rows == 1
