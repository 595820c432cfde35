"""The planner of the target knows what the source's does: pg_dump --statistics-only writes the same of both."""

import json
import re
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from pg_migration.devtools import servers
from pg_migration.postgres import migration as use_cases
from pg_migration.postgres.migration import Migration, Options
from pg_migration.postgres.migration.use_cases import Result
from pg_migration_tests.conftest import DUMP_HEADER, PostgresServer, run

# Every kind of statistics and of relation that has them.
TABLES = """
CREATE SCHEMA "a b";
SET search_path = "a b";
CREATE TYPE mood AS ENUM ('sad', 'it''s', 'a "b"', '{,}');
CREATE TABLE plain (
    id int PRIMARY KEY, "Na'me %s {0}" text, mood mood, tags text[], during int4range, spans int4multirange,
    price numeric, at timestamptz, doc jsonb, made date, unknown text
);
INSERT INTO plain
SELECT n, 'it''s \\ "' || n % 7 || '"', (enum_range(NULL::mood))[1 + n % 4], ARRAY['t' || n % 5, NULL, '{x}'],
       int4range(n, n + n % 10), int4multirange(int4range(n, n + 2)), n * 1.5,
       '2024-01-01'::timestamptz + n * interval '1 h', jsonb_build_object('a', n % 3), date '2024-01-01' + n % 50,
       nullif(n % 2, 0)
  FROM generate_series(1, 3000) AS n;
CREATE INDEX ON plain (at);
CREATE INDEX "by expression" ON plain (lower("Na'me %s {0}"), made, (price * 2));
ALTER TABLE plain ALTER made SET STATISTICS 0;
-- The column of this index is called like the function was.
CREATE FUNCTION before(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 3';
CREATE INDEX ON plain (before(id)); ALTER FUNCTION before RENAME TO after;
CREATE TABLE tree (id int, part int, note text, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES IN (1);
CREATE TABLE tree_2 PARTITION OF tree FOR VALUES IN (2);
CREATE INDEX ON tree ((note || 'x'));
INSERT INTO tree SELECT n, 1 + n % 2, 'note ' || n % 3 FROM generate_series(1, 500) AS n;
CREATE TABLE parent (a int); CREATE TABLE child (b text) INHERITS (parent);
INSERT INTO parent SELECT n % 4 FROM generate_series(1, 100) AS n;
INSERT INTO child SELECT n, 'c' FROM generate_series(1, 100) AS n;
CREATE TABLE empty (a int); CREATE TABLE without_columns (); INSERT INTO without_columns DEFAULT VALUES;
CREATE MATERIALIZED VIEW totals AS SELECT mood, count(*) AS many, sum(price) FROM plain GROUP BY mood;
CREATE INDEX ON totals ((many * 2));
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS a WITH NO DATA;
VACUUM ANALYZE plain, tree, parent, child, empty, without_columns, totals, unfilled;
-- What the source knows is out of date: that is carried all the same.
INSERT INTO parent SELECT 5 FROM generate_series(1, 10); INSERT INTO without_columns DEFAULT VALUES;
"""
NEW = """
CREATE TABLE "a b".never (a int); INSERT INTO "a b".never SELECT n FROM generate_series(1, 300) AS n;
"""
KNOWN = """
SELECT tablename, attname, inherited, n_distinct FROM pg_stats WHERE schemaname LIKE 'a%' ORDER BY 1, 2, 3
"""


class Pair:
    """Two databases, the first one with tables whose statistics were collected."""

    def __init__(self, source: PostgresServer, target: PostgresServer) -> None:
        self.source, self.target = source, target
        self.urls = source.create_database(), target.create_database()
        source.psql(self.urls[0], TABLES)

    def migrate(self, target_schema: str = "a b", **options: object) -> Result:
        chosen = Options.model_validate({"workers": 2, **options})
        done = use_cases.migrate(Migration.between(*self.urls, "a b", target_schema, chosen))
        assert done.failures == ()
        return done

    def dumps(self, target_schema: str = "a b") -> tuple[str, str]:
        """The statistics of both sides, by the newest pg_dump, in the words of the newest server."""
        embedded = servers.embedded(max(servers.EMBEDDED))
        newest = max(embedded, self.target.server.installation, key=lambda found: found.version).bindir / "pg_dump"
        schemas = '"a b"', f'"{target_schema}"'
        command = [newest, "--statistics-only", "--schema"]
        ours, theirs = (
            DUMP_HEADER.sub("", run([*command, name, "-d", url])) for name, url in zip(schemas, self.urls, strict=True)
        )
        ours = ours.replace(f"'version', '{self._version(0)}'", f"'version', '{self._version(1)}'").replace(
            "'a b'", "'s'"
        )
        theirs = theirs.replace(f"'{target_schema}'", "'s'").replace(f"Schema: {target_schema};", "Schema: a b;")
        if self.source.version < 18:  # which can't tell how many pages are frozen
            theirs = re.sub(r",\n\t'relallfrozen', '\d+'::integer", "", theirs)
        return ours, theirs

    def _version(self, number: int) -> int:
        with closing(psycopg2.connect(self.urls[number])) as connection:
            return int(connection.server_version)


@pytest.fixture(params=[pytest.param("postgres15", marks=pytest.mark.longer), "postgres18"])
def pair(request: pytest.FixtureRequest, postgres18: PostgresServer) -> Iterator[Pair]:
    made = Pair(request.getfixturevalue(request.param), postgres18)
    yield made
    made.source.drop_database(made.urls[0])
    made.target.drop_database(made.urls[1])


def test_statistics_are_the_same_after_every_run(pair: Pair) -> None:
    assert pair.migrate().notes == ()
    ours, theirs = pair.dumps()
    assert ours.count("pg_restore_attribute_stats") > 30
    assert theirs == ours
    # What only the target knows goes, and what the source has learnt comes.
    pair.source.psql(
        pair.urls[0], f'INSERT INTO "a b".child SELECT 7, \'d\' FROM generate_series(1, 200); ANALYZE "a b".child;{NEW}'
    )
    pair.target.psql(pair.urls[1], 'ALTER TABLE "a b".plain ALTER made SET STATISTICS 100; ANALYZE "a b".plain')
    pair.migrate()
    ours, theirs = pair.dumps()
    never = re.compile(r"SELECT \* FROM [^;]*'relname', 'never'[^;]*;\n")
    assert never.sub("", theirs) == never.sub("", ours)
    # The source knows nothing of what was never analyzed: that is found out in the target.
    assert "never" in pair.target.psql(pair.urls[1], KNOWN)


def test_of_a_renamed_schema_and_where_not_everything_can_be_given(pair: Pair) -> None:
    pair.source.psql(
        pair.urls[0], 'CREATE STATISTICS "a b".both ON unknown, mood FROM "a b".plain; ANALYZE "a b".plain'
    )
    done = pair.migrate("a b c")
    assert [note for note in done.notes if "statistics" in note] == [
        "statistics collected by ANALYZE, also or instead, for a b c.plain: it has statistics objects"
    ]
    ours, theirs = pair.dumps("a b c")
    assert theirs == ours
    extended = "SELECT statistics_name, n_distinct IS NOT NULL FROM pg_stats_ext"
    assert pair.target.psql(pair.urls[1], extended) == "both|t\n"
    # What the source knows of partitions stays where the table above them is analyzed: here it is out of date.
    pair.source.psql(
        pair.urls[0],
        'CREATE STATISTICS "a b".above ON part, note FROM "a b".tree; ANALYZE "a b".tree;'
        "INSERT INTO \"a b\".tree SELECT n, 2, 'later' FROM generate_series(1001, 1020) AS n",
    )
    pair.migrate("a b c")
    assert pair.target.psql(pair.urls[1], extended + " ORDER BY 1") == "above|t\nboth|t\n"
    of_partitions = "SELECT tablename, attname, n_distinct, most_common_vals FROM pg_stats WHERE tablename ~ '^tree_.$'"
    known = pair.source.psql(pair.urls[0], of_partitions + " ORDER BY 1, 2")
    assert "later" not in known
    assert pair.target.psql(pair.urls[1], of_partitions + " ORDER BY 1, 2") == known != ""
    pair.source.psql(pair.urls[0], 'DELETE FROM pg_statistic; ANALYZE "a b".empty')
    pair.migrate("a b c", statistics="analyze")
    assert pair.target.psql(pair.urls[1], KNOWN).count("plain|") >= 8


OBJECTS = """
CREATE STATISTICS "a b"."two %s" ON mood, unknown, "Na'me %s {0}" FROM "a b".plain;
CREATE STATISTICS "a b".expressions ON (id + 1), (lower("Na'me %s {0}")), (int4range(id, id + 2)) FROM "a b".plain;
CREATE STATISTICS "a b".mixed (dependencies, mcv) ON (id % 3), made, mood FROM "a b".plain;
CREATE STATISTICS "a b".one ON (price * 2) FROM "a b".plain;
CREATE STATISTICS "a b".of_tree ON id, part FROM "a b".tree;
CREATE STATISTICS "a b".of_leaf ON note, (part + 1) FROM "a b".tree_1;
CREATE STATISTICS "a b".of_parent ON a, (a + 1) FROM "a b".parent;
CREATE STATISTICS "a b".of_view ON mood, many FROM "a b".totals;
ANALYZE "a b".plain, "a b".tree, "a b".parent, "a b".totals;
"""
DOCUMENT = re.compile(r"'(\[\{\"attributes\"[^']*)'::pg_(ndistinct|dependencies)")


def with_documents_alike(dump: str) -> str:
    """Versions write blanks and digits of documents otherwise."""
    return DOCUMENT.sub(lambda found: json.dumps(json.loads(found[1], parse_int=float)), dump)


@pytest.mark.parametrize("source", ["postgres18", "postgres19"])
def test_a_newer_target_takes_those_of_statistics_objects(
    request: pytest.FixtureRequest, postgres19: PostgresServer, source: str
) -> None:
    made = Pair(request.getfixturevalue(source), postgres19)
    made.source.psql(made.urls[0], OBJECTS)
    assert made.migrate("s").notes == ()
    made.target.psql(made.urls[1], "ALTER TABLE s.plain ALTER made SET STATISTICS 100; ANALYZE s.plain")
    made.source.psql(made.urls[0], """UPDATE "a b".tree_1 SET note = 'other'; ANALYZE "a b".tree_1""")
    for _ in range(2):  # after what the target has found out by itself, too
        assert made.migrate("s").notes == ()
        ours, theirs = map(with_documents_alike, made.dumps("s"))
        assert ours.count("pg_restore_extended_stats") == 8
        assert theirs == ours
    # Columns may have other numbers; of what nobody has analyzed nothing is known.
    made.source.psql(
        made.urls[0],
        """
        ALTER TABLE "a b".parent DROP a, ADD d int DEFAULT 1, ADD e int DEFAULT 2;
        CREATE STATISTICS "a b".later ON d, e FROM "a b".parent; ANALYZE "a b".parent;
        CREATE STATISTICS "a b".never ON part, (id + 1) FROM "a b".tree_2;
        """,
    )
    assert not [note for note in made.migrate("s", drop_existing_tables=True).notes if note.startswith("statistics")]
    known = "SELECT n_distinct, dependencies FROM pg_stats_ext WHERE statistics_name = '{}' ORDER BY inherited"
    later = made.target.psql(made.urls[1], known.format("later")).split("\n")
    assert [json.loads(word)[0]["attributes"] for word in later[0].split("|")] == [[1, 2], [1]]
    assert len(later) == 3
    assert made.target.psql(made.urls[1], known.format("never")).strip() == ""
    made.source.drop_database(made.urls[0])
    made.target.drop_database(made.urls[1])
