"""The content check's hash and its list of rows that differ, on two servers of different versions."""

from collections.abc import Iterator

import pytest

from pg_migration.postgres.catalog import Table, discover
from pg_migration.postgres.comparing import Answers, BothSides, Unanswered
from pg_migration.postgres.content import Digest, RowDifference, differences, digest
from pg_migration.postgres.endpoint import Endpoint, Side
from pg_migration.postgres.session import Connections
from pg_migration_tests.conftest import PostgresServer


class Pair:
    """Two databases with the same table ``t``, and the comparison of it."""

    def __init__(
        self, servers: tuple[PostgresServer, PostgresServer], urls: tuple[str, str], links: Connections
    ) -> None:
        self._servers, self._urls, self._links = servers, urls, links
        ends = [Endpoint.parse(side, url, "URL") for side, url in zip(Side, urls, strict=True)]
        self.sides = BothSides(links, *ends, {"public": "public"}, None)

    def both(self, text: str) -> None:
        for server, url in zip(self._servers, self._urls, strict=True):
            server.psql(url, text)

    def target(self, text: str) -> None:
        self._servers[1].psql(self._urls[1], text)

    def digests(self) -> Answers[Digest]:
        (answers,) = self.sides.ask(digest, [self._table()], 2)
        return answers

    def differences(self) -> tuple[RowDifference, ...]:
        return differences(self.sides, self._table())

    def _table(self) -> Table:
        (table,) = discover(self._links.open(self.sides.source), {"public": "public"}).tables
        return table


@pytest.fixture
def pair(postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str) -> Iterator[Pair]:
    with Connections() as links:
        yield Pair((postgres16, postgres18), (source_db, target_db), links)


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
    answers = pair.digests()
    assert answers.error is None
    assert answers.source == answers.target
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
    answers = pair.digests()
    assert answers.source != answers.target
    assert pair.differences() == (RowDifference("different", row, columns),)


def test_missing_and_extra_rows_are_told_apart(pair: Pair) -> None:
    pair.both(KEYED)
    pair.target("DELETE FROM t WHERE id = 3; INSERT INTO t (id) VALUES (1000)")
    assert set(pair.differences()) == {RowDifference("missing", "(3)"), RowDifference("extra", "(1000)")}


def test_no_more_than_twenty_rows_are_shown(pair: Pair) -> None:
    pair.both(KEYED)
    pair.target("UPDATE t SET v = 'x'")
    assert len(pair.differences()) == 20


def test_a_doubled_row_without_a_key_is_found(pair: Pair) -> None:
    pair.both("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, 'y')")
    pair.target("DELETE FROM t WHERE ctid = '(0,1)'; INSERT INTO t VALUES (2, 'y')")
    answers = pair.digests()
    assert isinstance(answers.source, Digest)
    assert isinstance(answers.target, Digest)
    assert answers.source.rows == answers.target.rows
    assert answers.source != answers.target
    assert sorted(d.kind for d in pair.differences()) == ["extra", "missing"]


def test_names_in_values_are_compared_without_their_schema(pair: Pair) -> None:
    pair.both("CREATE TABLE t (id int PRIMARY KEY, r regclass); INSERT INTO t VALUES (1, 't'), (2, 'pg_class')")
    answers = pair.digests()
    assert answers.source == answers.target


def test_generated_columns_and_tables_without_columns_or_rows(pair: Pair) -> None:
    pair.both("CREATE TABLE t (); INSERT INTO t SELECT FROM generate_series(1, 3)")
    assert pair.digests().source == Digest(3, *_sums(pair))
    pair.target("INSERT INTO t SELECT FROM generate_series(1, 1)")
    assert pair.digests().source != pair.digests().target


def _sums(pair: Pair) -> tuple[int, int]:
    target = pair.digests().target
    assert isinstance(target, Digest)
    return target.total, target.mixed


def test_a_missing_table_is_an_answer_for_people(pair: Pair) -> None:
    pair.both(KEYED)
    pair.target("DROP TABLE t")
    answers = pair.digests()
    assert isinstance(answers.target, Unanswered)
    assert answers.error == 'public.t can\'t be read on the target: relation "public.t" does not exist'


def test_encodings_do_not_matter(postgres16: PostgresServer, postgres18: PostgresServer) -> None:
    urls = (
        postgres16.create_database(options="ENCODING 'LATIN1' LOCALE 'C'"),
        postgres18.create_database(options="ENCODING 'UTF8' LOCALE 'C'"),
    )
    with Connections() as links:
        pair = Pair((postgres16, postgres18), urls, links)
        pair.both(
            "SET client_encoding = 'UTF8'; CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'né')"
        )
        answers = pair.digests()
        assert answers.error is None
        assert answers.source == answers.target
        pair.target("UPDATE t SET v = 'ne'")
        assert pair.differences() == (RowDifference("different", "(1)", ("v",)),)
    postgres16.drop_database(urls[0])
    postgres18.drop_database(urls[1])
