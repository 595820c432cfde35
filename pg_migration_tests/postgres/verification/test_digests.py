"""The content check's hash and its list of rows that differ, on two servers of different versions."""

from contextlib import closing

import pytest
from psycopg2 import sql

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.hashing.digests import Hashing
from pg_migration.postgres.verification.both_sides import Unanswered
from pg_migration.postgres.verification.row_differences import RowDifference
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.verification.harness import Pair

KEYED = """
    CREATE TABLE t (id int PRIMARY KEY, v text, n numeric, f float8, at timestamptz, j jsonb, tags text[]);
    INSERT INTO t SELECT g, 'v' || g, g / 3.0, g / 7.0, timestamptz '2020-01-01' + g * interval '1 hour',
        jsonb_build_object('k', g), ARRAY['a', NULL, g::text] FROM generate_series(1, 500) AS g;
    INSERT INTO t VALUES
        (501, NULL, 'NaN', 'Infinity', 'infinity', 'null', '{}'),
        (502, '', 1.10, '-0', '-infinity', NULL, NULL)
"""


def test_equal_tables_have_equal_digests_whatever_the_order_of_rows(pair: Pair) -> None:
    pair.both(KEYED)
    pair.target("CREATE TABLE u AS TABLE t; TRUNCATE t; INSERT INTO t SELECT * FROM u ORDER BY id DESC; DROP TABLE u")
    source, target = pair.digests()
    assert source == target
    assert source.rows == source.hashed == 502
    assert pair.differences() == ()


@pytest.mark.parametrize(
    ("change", "row", "columns"),
    [
        ("UPDATE t SET v = 'x' WHERE id = 7", "(7)", ("v",)),
        ("UPDATE t SET v = '' WHERE id = 501", "(501)", ("v",)),
        ("UPDATE t SET v = NULL WHERE id = 502", "(502)", ("v",)),
        ("UPDATE t SET n = 1.1 WHERE id = 502", "(502)", ("n",)),
        ("UPDATE t SET f = '0' WHERE id = 502", "(502)", ("f",)),
        ("UPDATE t SET at = at + interval '1 microsecond' WHERE id = 9", "(9)", ("at",)),
        ("UPDATE t SET j = NULL, tags = NULL WHERE id = 501", "(501)", ("j", "tags")),
    ],
)
def test_a_changed_value_is_found_and_named(pair: Pair, change: str, row: str, columns: tuple[str, ...]) -> None:
    pair.both(KEYED)
    pair.target(change)
    source, target = pair.digests()
    assert source != target
    assert pair.differences() == (RowDifference("different", row, columns),)


def test_missing_and_extra_rows_are_told_apart(pair: Pair) -> None:
    pair.both(KEYED)
    pair.target("DELETE FROM t WHERE id = 3; INSERT INTO t (id) VALUES (1000)")
    assert set(pair.differences()) == {RowDifference("missing", "(3)"), RowDifference("extra", "(1000)")}


def test_what_the_target_computes_is_compared_apart(pair: Pair) -> None:
    """Under names that have to be quoted."""
    pair.both('CREATE TABLE t ("i""d" int PRIMARY KEY, "v""{}" text); INSERT INTO t VALUES (1, $$a$$), (2, $$B$$)')
    pair.source('ALTER TABLE t ADD "g""%" text GENERATED ALWAYS AS (lower("v""{}")) STORED')
    pair.target('ALTER TABLE t ADD "g""%" text GENERATED ALWAYS AS ("v""{}") STORED')
    pair.both("ALTER TABLE t ADD h int GENERATED ALWAYS AS (7) STORED")
    source, target = pair.digests()
    assert source == target
    assert source.computed is not None
    assert target.computed is not None
    assert [ours == theirs for ours, theirs in zip(source.computed, target.computed, strict=True)] == [False, True]


def test_no_more_than_twenty_rows_are_shown(pair: Pair) -> None:
    pair.both(KEYED)
    pair.target("UPDATE t SET v = 'x'")
    assert len(pair.differences()) == 20


def test_a_doubled_row_without_a_key_is_found(pair: Pair) -> None:
    pair.both("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, 'y')")
    pair.target("DELETE FROM t WHERE ctid = '(0,1)'; INSERT INTO t VALUES (2, 'y')")
    source, target = pair.digests()
    assert source.rows == target.rows
    assert source != target
    assert sorted(d.kind for d in pair.differences()) == ["extra", "missing"]


class OwnValue(Hashing):
    """A row's hash is what stands in it, so that a test chooses it."""

    def row_hash(self, *_: object) -> sql.Composable:
        return sql.Identifier("v")


def test_changes_that_make_up_for_each_other_in_the_sum_of_hashes_are_found(pair: Pair) -> None:
    pair.both("CREATE TABLE t (id int PRIMARY KEY, v bigint); INSERT INTO t VALUES (1, (1::bigint << 32) + 1)")
    pair.source("INSERT INTO t VALUES (2, (2::bigint << 32) + 2)")
    pair.target("UPDATE t SET v = v + 1; INSERT INTO t VALUES (2, (2::bigint << 32) + 1)")
    pair.hashing = OwnValue()
    source, target = pair.digests()
    assert (source.rows, source.total) == (target.rows, target.total)
    assert source != target
    assert str(source) != str(target)


def test_names_in_values_are_compared_without_their_schema(pair: Pair) -> None:
    pair.both("CREATE TABLE t (id int PRIMARY KEY, r regclass); INSERT INTO t VALUES (1, 't'), (2, 'pg_class')")
    source, target = pair.digests()
    assert source == target


def test_generated_columns_and_tables_without_columns_or_rows(pair: Pair) -> None:
    pair.both("CREATE TABLE t (); INSERT INTO t SELECT FROM generate_series(1, 3)")
    source, target = pair.digests()
    assert source == target
    assert source.rows == 3
    pair.target("INSERT INTO t SELECT FROM generate_series(1, 1)")
    source, target = pair.digests()
    assert source != target


def test_a_missing_table_is_an_answer_for_people(pair: Pair) -> None:
    pair.both(KEYED)
    pair.target("DROP TABLE t")
    answers = pair.answers()
    assert isinstance(answers.target, Unanswered)
    assert answers.error == 'public.t can\'t be read on the target: relation "public.t" does not exist'


def test_encodings_do_not_matter(postgres16: PostgresServer, postgres18: PostgresServer) -> None:
    urls = (
        postgres16.create_database(options="ENCODING 'LATIN1' LOCALE 'C'"),
        postgres18.create_database(options="ENCODING 'UTF8' LOCALE 'C'"),
    )
    with Connections() as links, closing(Pair(urls, links)) as pair:
        pair.both(
            "SET client_encoding = 'UTF8'; CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'né')"
        )
        source, target = pair.digests()
        assert source == target
        pair.target("UPDATE t SET v = 'ne'")
        assert pair.differences() == (RowDifference("different", "(1)", ("v",)),)
    postgres16.drop_database(urls[0])
    postgres18.drop_database(urls[1])


def test_keys_that_servers_write_otherwise(postgres18: PostgresServer, postgres19: PostgresServer) -> None:
    urls = postgres18.create_database(), postgres19.create_database()
    with Connections() as links, closing(Pair(urls, links)) as pair:
        pair.both(
            "CREATE TABLE t (at pg_lsn, id int, v text, PRIMARY KEY (at, id)); INSERT INTO t VALUES ('1/A0', 7, 'x')"
        )
        pair.target("UPDATE t SET v = 'y'")
        assert pair.differences() == (RowDifference("different", "(1/A0,7)", ("v",)),)
    postgres18.drop_database(urls[0])
    postgres19.drop_database(urls[1])
