"""Tables of unusual shapes, partitioned tables and inheritance: every row once, where it belongs."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pytest

from pg_migration.postgres.planning.options import LoadSettings
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transfer.conftest import between
from pg_migration_tests.postgres.transfer.harness import Hash, Loaded, Pair

SMALL = LoadSettings(chunk_size=300)

SHAPES = """
CREATE TABLE empty (id int PRIMARY KEY, v text);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 777);
CREATE TABLE no_columns_no_rows ();
CREATE TABLE only_generated (v int GENERATED ALWAYS AS (42) STORED);
INSERT INTO only_generated SELECT FROM generate_series(1, 333);
CREATE TABLE lost_all_columns (v int);
INSERT INTO lost_all_columns SELECT generate_series(1, 555);
ALTER TABLE lost_all_columns DROP COLUMN v;
CREATE TABLE dropped (a int, gone text, b text, gone_too int, c int);
INSERT INTO dropped SELECT i, 'gone', 'b' || i, i, -i FROM generate_series(1, 1000) i;
ALTER TABLE dropped DROP COLUMN gone, DROP COLUMN gone_too, ADD COLUMN gone text DEFAULT 'new', ADD d int DEFAULT 5;
CREATE TABLE generated (a int, double int GENERATED ALWAYS AS (a * 2) STORED, b text,
    upper text GENERATED ALWAYS AS (upper(b)) STORED);
INSERT INTO generated (a, b) SELECT i, 'b' || i FROM generate_series(1, 1000) i;
CREATE TABLE always (v int, id int PRIMARY KEY
    GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT -7 MINVALUE -100000 MAXVALUE 100));
INSERT INTO always (v) SELECT i FROM generate_series(1, 1000) i;
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
INSERT INTO unlogged SELECT generate_series(1, 1000);
CREATE TABLE toasted (id int, v text);
ALTER TABLE toasted ALTER v SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT i, repeat(md5(i::text), 300) FROM generate_series(1, 400) i;
"""


PARTITIONED = """
CREATE TYPE colour AS ENUM ('red', 'green', 'blue', 'black', 'white');
CREATE TABLE by_list (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE by_list_eu PARTITION OF by_list FOR VALUES IN ('eu', 'uk');
CREATE TABLE by_list_null PARTITION OF by_list DEFAULT;
INSERT INTO by_list SELECT i, (ARRAY['eu', 'uk', 'us', 'jp'])[i % 4 + 1] FROM generate_series(1, 2000) i;
CREATE TABLE by_range (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE by_range_1 PARTITION OF by_range FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE by_range_2 PARTITION OF by_range FOR VALUES FROM ('2024-01-01') TO (MAXVALUE) PARTITION BY HASH (id);
CREATE TABLE by_range_2_0 PARTITION OF by_range_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_range_2_1 (extra int, at date, id int);
ALTER TABLE by_range_2_1 DROP COLUMN extra;
ALTER TABLE by_range_2 ATTACH PARTITION by_range_2_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO by_range SELECT i, '2023-01-01'::date + i FROM generate_series(1, 2000) i;
CREATE TABLE by_enum (id int, c colour) PARTITION BY HASH (c);
CREATE TABLE by_enum_0 PARTITION OF by_enum FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE by_enum_1 PARTITION OF by_enum FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE by_enum_2 PARTITION OF by_enum FOR VALUES WITH (MODULUS 3, REMAINDER 2) PARTITION BY RANGE (id);
CREATE TABLE by_enum_2_low PARTITION OF by_enum_2 FOR VALUES FROM (MINVALUE) TO (1000);
CREATE TABLE by_enum_2_high PARTITION OF by_enum_2 FOR VALUES FROM (1000) TO (MAXVALUE);
INSERT INTO by_enum SELECT i, (enum_range(NULL::colour))[i % 5 + 1] FROM generate_series(1, 2000) i;
CREATE TABLE without_partitions (id int) PARTITION BY LIST (id);
"""

INHERITANCE = """
CREATE TABLE city (id int, name text);
CREATE TABLE capital (state text) INHERITS (city);
CREATE TABLE named (name text);
CREATE TABLE both_parents (extra int) INHERITS (capital, named);
INSERT INTO city SELECT i, 'city' FROM generate_series(1, 700) i;
INSERT INTO capital SELECT i, 'capital', 's' FROM generate_series(1, 500) i;
INSERT INTO both_parents SELECT i, 'both', 's', i FROM generate_series(1, 300) i;
"""


# An enum's hash depends on OIDs, so rows may change places.
ROUTED = {"by_enum_0", "by_enum_1", "by_enum_2_low", "by_enum_2_high"}


@dataclass(frozen=True)
class Twice:
    """Tables of every shape, loaded twice: what was said, and what the target had then."""

    pair: Pair
    loads: tuple[Loaded, Loaded]
    hashes: tuple[Mapping[str, Hash], Mapping[str, Hash]]


@pytest.fixture(scope="module")
def twice(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Twice]:
    wide = ", ".join(f"c{n} smallint" for n in range(1, 1601))
    values = ", ".join(["i"] * 1600)
    widest = f"CREATE TABLE widest ({wide}); INSERT INTO widest SELECT {values} FROM generate_series(1, 300) i;"
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        closing(between(postgres16, postgres18, monkeypatch)) as pairs,
    ):
        pair = next(pairs)
        pair.source.psql(SHAPES + widest + PARTITIONED + INHERITANCE)
        first, hashes = pair.load(SMALL), pair.target.hashes()
        yield Twice(pair, (first, pair.load(SMALL)), (hashes, pair.target.hashes()))


def test_a_second_load_leaves_the_same_rows_and_none_twice(twice: Twice) -> None:
    for loaded in twice.loads:
        assert not loaded.failed
        assert not loaded.problems
    ours = {name: rows for name, rows in twice.pair.source.hashes().items() if name not in ROUTED}
    for hashes in twice.hashes:
        assert {name: rows for name, rows in hashes.items() if name not in ROUTED} == ours
    assert twice.hashes[0] == twice.hashes[1]


def test_shapes(twice: Twice) -> None:
    target = twice.pair.target
    assert target.rows("SELECT count(*) FROM no_columns") == [(777,)]
    assert target.rows("SELECT count(*), min(v), max(v) FROM only_generated") == [(333, 42, 42)]
    assert target.rows("SELECT relpersistence FROM pg_class WHERE relname = 'unlogged'") == [("u",)]
    for loaded in twice.loads:
        assert loaded.plans["toasted"].chunk_count > 1
        assert loaded.loaded["no_columns"].rows == 777


def test_partitioned(twice: Twice) -> None:
    pair = twice.pair
    for root in ("by_list", "by_range", "by_enum"):
        query = f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {root} t"
        assert pair.target.rows(query) == pair.source.rows(query)
        assert pair.target.rows(query)[0][0] == 2000


def test_partitioned_through_a_whole_migration(pair: Pair) -> None:
    pair.source.psql(PARTITIONED)
    query = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM by_enum t"
    for _ in range(2):
        assert pair.migrate(chunk_size=500).succeeded
        assert pair.target.rows(query) == pair.source.rows(query)
    verdicts = pair.compare_rows()
    assert all(verdict.passed for verdict in verdicts)
    added = {v.table[1]: [name for _, name in v.found.taken_from] for v in verdicts if v.found}
    routed = ("by_enum_0", "by_enum_1", "by_enum_2", "by_enum_2_low", "by_enum_2_high")
    assert {name: origins for name, origins in added.items() if origins} == {
        "by_list": ["by_list_eu", "by_list_null"],
        **{name: ["by_enum"] for name in routed},
    }


def test_inheritance(twice: Twice) -> None:
    assert twice.pair.target.rows("SELECT count(*) FROM city") == [(1500,)]


def test_virtual_columns(pair18: Pair) -> None:
    ddl = (
        "CREATE TABLE t (a int, v int GENERATED ALWAYS AS (a + 1) VIRTUAL, s int GENERATED ALWAYS AS (a + 2) STORED);"
        "INSERT INTO t (a) SELECT generate_series(1, 1000);"
        "CREATE TABLE only_virtual (v int GENERATED ALWAYS AS (7) VIRTUAL);"
        "INSERT INTO only_virtual SELECT FROM generate_series(1, 50);"
    )
    pair18.source.psql(ddl)
    pair18.in_schemas({"other": "Renamed %s"}, [ddl])
    pair18.load_all(SMALL)


def test_checks_that_rely_on_settings_of_the_database(pair: Pair) -> None:
    library = """
        CREATE SCHEMA lib;
        CREATE FUNCTION lib.most() RETURNS int LANGUAGE sql AS 'SELECT current_setting(''app.most'')::int';
        """
    pair.source.psql(
        library
        + """
        CREATE FUNCTION few(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN $1 < most(); END';
        SET search_path = public, lib; SET app.most = 5;
        CREATE TABLE t (a int CHECK (few(a)));
        INSERT INTO t VALUES (1), (4);
        SELECT format('ALTER DATABASE %I SET app.most = 5', current_database()) \\gexec
        SELECT format('ALTER DATABASE %I SET search_path = public, lib', current_database()) \\gexec
        """
    )
    pair.target.psql(library)
    pair.load_all()


def test_a_child_that_allows_null_where_its_parent_has_a_primary_key(pair: Pair) -> None:
    pair.source.psql(
        "CREATE TABLE p (a int, b int); CREATE TABLE c () INHERITS (p); CREATE TABLE d (a int NOT NULL) INHERITS (c);"
        "ALTER TABLE ONLY p ADD PRIMARY KEY (a); INSERT INTO p VALUES (1, 1); INSERT INTO c VALUES (NULL, 1);"
        "INSERT INTO d VALUES (2, 1);"
    )
    for _ in range(2):
        assert not pair.load_all().problems
        assert pair.target.psql("SELECT conrelid::regclass FROM pg_constraint WHERE conname = 'p_pkey'").strip() == "p"
