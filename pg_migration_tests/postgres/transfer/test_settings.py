"""What databases set for their sessions: values are not read by it, and what checks and functions rely on is there."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from pg_migration.postgres.planning.options import CopyFormat, LoadSettings
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transfer.conftest import between
from pg_migration_tests.postgres.transfer.harness import Database, Loaded, Pair

CUT = LoadSettings(partition_threshold=500, max_partitions=3, chunk_size=100, copy_format="text")


def alter(end: Database, setting: str) -> None:
    end.psql(f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting}', current_database()); END $$")


@pytest.mark.parametrize("side", ["source", "target"])
def test_strings_in_which_backslashes_escape(pair: Pair, side: str) -> None:
    alter(getattr(pair, side), "standard_conforming_strings = off")
    pair.source.psql(
        r"""
        SET standard_conforming_strings = on; SET escape_string_warning = off;
        CREATE TABLE "C:\new" ("n\t" int PRIMARY KEY, v text DEFAULT 'a\nb' CHECK (v <> 'it''s \ not'));
        INSERT INTO "C:\new" SELECT n FROM generate_series(1, 600) n;
        CREATE TABLE keyed (k text PRIMARY KEY, v text);
        INSERT INTO keyed SELECT 'C:\' || n || '''\', n FROM generate_series(1, 300) n;
        CREATE TYPE e AS ENUM ('\', 'x\''y'); CREATE TABLE labels (e e); INSERT INTO labels VALUES ('\'), ('x\''y');
        COMMENT ON TABLE keyed IS 'in C:\temp''\';
        """
    )
    pair.load_all(CUT)
    assert pair.target.psql("SELECT obj_description('keyed'::regclass)") == "in C:\\temp'\\\n"
    pair.target.psql(r"""SET standard_conforming_strings = on; UPDATE keyed SET v = 'y' WHERE k = 'C:\7''\'""")
    (told,) = pair.validate().failures
    assert "public.keyed: " in told


# On the source as ALTER DATABASE has it, a table whose rows depend on it, and what makes one more row fail in both.
RELIED_ON: dict[str, tuple[str, str]] = {
    "array_nulls = off": (
        (
            "CREATE TABLE t (id int PRIMARY KEY, words text[], numbers int[], x xid DEFAULT '1');"
            "SET array_nulls = on; INSERT INTO t VALUES (1, ARRAY['a', NULL, 'NULL', 'null'], ARRAY[1, NULL]);"
        ),
        "INSERT INTO t VALUES (1)",
    ),
    "timezone = 'Asia/Tokyo'": (
        (
            "CREATE TABLE t (id int PRIMARY KEY, at timestamptz CHECK (at::time >= '08:00'));"
            "INSERT INTO t VALUES (1, '2024-01-02 09:00:00'), (2, '0044-03-15 12:00 BC'), (3, '2024-06-01 23:59:59.5');"
        ),
        "INSERT INTO t VALUES (4, '2024-01-02 07:00:00')",
    ),
    "datestyle = 'SQL, DMY'": (
        (
            "CREATE TABLE t (id int PRIMARY KEY, d date, ts timestamptz, CHECK (d::text::date = d),"
            " CHECK (d::text ~ '^[0-9]{2}/'));"
            "INSERT INTO t VALUES (1, '02/03/2024', now()), (2, '31/12/0099', '-infinity'), (3, '1/2/12345', '1/1/1');"
        ),
        "INSERT INTO t VALUES (1, now())",
    ),
    "intervalstyle = 'sql_standard'": (
        (
            "CREATE TABLE t (id int PRIMARY KEY, i interval, CHECK (i::text !~ 'day'));"
            "INSERT INTO t VALUES (1, '-1 day'), (2, '-1 day +02:03:04.5'), (3, '-1 mon -2 days -1:00'), (4, '1-2 -3');"
        ),
        "INSERT INTO t VALUES (1, '1 day')",
    ),
    "bytea_output = 'escape'": (
        (
            "CREATE TABLE t (id int PRIMARY KEY, b bytea, CHECK (b::text !~ 'x'));"
            r"INSERT INTO t VALUES (1, '\000a\\b'), (2, 'plain');"
        ),
        "INSERT INTO t VALUES (1, 'x')",
    ),
    "xmlbinary = 'hex'": (
        "CREATE TABLE t (id int PRIMARY KEY, b bytea); INSERT INTO t VALUES (1, 'abc')",
        "INSERT INTO t VALUES (1, 'abc')",
    ),
}


SCHEMAS = {setting: f"relies_{number}" for number, setting in enumerate(RELIED_ON)}
FORMATS: tuple[CopyFormat, ...] = ("auto", "text")


@pytest.fixture(scope="module")
def relying(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[tuple[Pair, Sequence[Loaded]]]:
    """A source that has all of the settings, loaded in each format; a schema relies on each of them."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        closing(between(postgres16, postgres18, monkeypatch)) as pairs,
    ):
        pair = next(pairs)
        for setting in RELIED_ON:
            alter(pair.source, setting.replace("'", "''"))
        for setting, (made, _) in RELIED_ON.items():
            schema = SCHEMAS[setting]
            pair.source.psql(f"CREATE SCHEMA {schema}; SET search_path = {schema}; {made}")
        pair.further_schemas = {schema: schema for schema in SCHEMAS.values()}
        yield pair, [pair.load_all(LoadSettings(copy_format=copy_format)) for copy_format in FORMATS]


@pytest.mark.parametrize("setting", RELIED_ON)
def test_setting_of_the_source(relying: tuple[Pair, Sequence[Loaded]], setting: str) -> None:
    pair, loads = relying
    for loaded in loads:
        assert not loaded.failed
    source, target = (replace(end, schema=SCHEMAS[setting]) for end in (pair.source, pair.target))
    assert [*source.hashes()] == ["t"]
    assert target.hashes() == source.hashes()
    with pytest.raises(AssertionError, match=r"violates|duplicate"):
        source.psql(f"SET search_path = {SCHEMAS[setting]}; {RELIED_ON[setting][1]}")


def test_setting_of_the_target_changes_no_value(pair: Pair) -> None:
    for setting in ("array_nulls = off", "intervalstyle = sql_standard", "datestyle = German", "timezone = Chile"):
        alter(pair.target, setting.replace("Chile", "''Chile/Continental''"))
    pair.source.psql(
        "CREATE TABLE t (id int PRIMARY KEY, a text[], i interval, d date, ts timestamptz, r tstzrange, j xid);"
        "INSERT INTO t VALUES (1, ARRAY['a', NULL, 'NULL'], '-1 day -2:00', '2024-02-01', now(), '[2024-01-01,)');"
    )
    pair.load_all(LoadSettings(copy_format="text"))
