"""Databases of other encodings: the same bytes between equals, the same characters between others."""

import subprocess
from collections.abc import Iterator

import pytest

from pg_migration.devtools import servers
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration_tests.conftest import DUMP_HEADER, PostgresServer
from pg_migration_tests.postgres.transfer.harness import Database, Pair

BYTES = "SELECT encode(convert_to(v, getdatabaseencoding()), 'hex') FROM t ORDER BY id"
CHARACTERS = "SELECT v FROM t ORDER BY id"


@pytest.fixture
def encoded(
    request: pytest.FixtureRequest,
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Pair]:
    ends = [(Side.SOURCE, postgres16), (Side.TARGET, postgres18)]
    databases = [
        Database(server, side, server.create_database(options=f"ENCODING '{encoding}' LOCALE 'C'"))
        for (side, server), encoding in zip(ends, request.param, strict=True)
    ]
    yield Pair(databases[0], databases[1], monkeypatch)
    for database in databases:
        database.server.drop_database(database.url)


def fill(pair: Pair, encoding: str, *values: bytes) -> None:
    """A table with these bytes, and names that are not ASCII."""
    rows = ", ".join(f"({n}, convert_from('\\x{v.hex()}', '{encoding}'))" for n, v in enumerate(values))
    pair.source.psql(
        'SET client_encoding = UTF8; CREATE TABLE t (id int PRIMARY KEY, v text, "größe" text);'
        f"INSERT INTO t (id, v) VALUES {rows};"
        'CREATE TABLE "Grüße" (v text); INSERT INTO "Grüße" SELECT v FROM t;'
    )


# One load after the other, over the same tables.
FORMATS = (LoadSettings(copy_format="auto"), LoadSettings(copy_format="text"))


@pytest.mark.parametrize("encoded", [("SQL_ASCII", "SQL_ASCII")], indirect=True)
def test_bytes_of_no_encoding(encoded: Pair) -> None:
    values = (b"\xff\xfe", b"caf\xe9", "漢字".encode(), b"\\N", bytes(range(1, 256)))
    fill(encoded, "SQL_ASCII", *values)
    for settings in FORMATS:
        loaded = encoded.load(settings)
        assert not loaded.failed
        assert not loaded.problems
        assert encoded.target.rows(BYTES) == encoded.source.rows(BYTES)
        assert encoded.target.rows('SELECT count(*) FROM "Grüße"') == [(5,)]


@pytest.mark.parametrize("encoded", [("LATIN1", "LATIN1"), ("WIN1252", "WIN1252")], indirect=True)
def test_one_encoding_on_both_sides(encoded: Pair) -> None:
    encoding = encoded.source.rows("SHOW server_encoding")[0][0]
    fill(encoded, encoding, b"caf\xe9", b"\xe4\xf6\xfc\xdf", bytes(range(1, 128)))
    # A byte that WIN1252 stores but no other encoding has.
    encoded.source.psql(f"INSERT INTO t (id, v) VALUES (100, convert_from(decode('81', 'hex'), '{encoding}'))")
    for settings in FORMATS:
        loaded = encoded.load(settings)
        assert not loaded.failed
        assert encoded.target.rows(BYTES) == encoded.source.rows(BYTES)
        assert encoded.target.rows('SELECT v FROM "Grüße" LIMIT 1') == [("café",)]


@pytest.mark.parametrize("encoded", [("LATIN1", "UTF8"), ("EUC_JP", "UTF8"), ("UTF8", "LATIN1")], indirect=True)
def test_another_encoding(encoded: Pair) -> None:
    pair = encoded
    (((ours,),), ((theirs,),)) = (end.rows("SHOW server_encoding") for end in (pair.source, pair.target))
    if ours == "EUC_JP":
        pair.source.psql(
            "SET client_encoding = UTF8; CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, '漢字'), (2, 'a');"
        )
    else:
        fill(pair, "LATIN1", b"caf\xe9", b"\xe4\xf6\xfc\xdf", bytes(range(1, 128)))
        pair.target.schema = "schön"
    if theirs == "LATIN1":
        pair.source.psql("CREATE TABLE lacking (id int, v text); INSERT INTO lacking VALUES (1, 'a'), (2, '漢');")
    for settings in FORMATS:
        loaded = pair.load(settings)
        assert pair.target.rows(CHARACTERS) == pair.source.rows(CHARACTERS)
        # What the target has no character for is not there.
        assert set(loaded.failed) == ({"lacking"} if theirs == "LATIN1" else set())
        for error in loaded.failed.values():
            assert 'has no equivalent in encoding "LATIN1"' in error
            assert pair.target.rows("SELECT count(*) FROM lacking") == [(0,)]


@pytest.mark.parametrize("encoded", [("SQL_ASCII", "UTF8")], indirect=True)
def test_bytes_that_are_none_of_the_target(encoded: Pair) -> None:
    encoded.source.psql(
        r"CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, '漢'); CREATE TABLE broken (v text);"
        r"INSERT INTO broken VALUES (E'\377');"
    )
    for settings in FORMATS:
        loaded = encoded.load(settings)
        assert set(loaded.failed) == {"broken"}
        assert 'invalid byte sequence for encoding "UTF8": 0xff' in loaded.failed["broken"]
        assert encoded.target.rows(CHARACTERS) == [("漢",)]


# Bytes of LATIN1, which are not UTF-8, in whatever has a name or a text.
ODD = r"""
COMMENT ON SCHEMA public IS 'cafÿé "quoted" \ it''s';
CREATE TYPE "typé" AS ENUM ('é', 'b', 'é''\');
CREATE DOMAIN "domé" AS text DEFAULT 'é' CONSTRAINT "cé" CHECK (value <> 'ÿ');
CREATE FUNCTION "fonctioné"(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1 || ''é''';
CREATE TABLE "tableé" ("idé" serial PRIMARY KEY, "eé" "typé" DEFAULT 'é', "dé" "domé",
                       g text GENERATED ALWAYS AS ("fonctioné"("dé")) STORED, CHECK ("dé" <> 'þ'));
CREATE TABLE "keyedé" ("ké" text PRIMARY KEY, v text);
INSERT INTO "tableé" ("dé") SELECT 'xé' FROM generate_series(1, 1200);
INSERT INTO "keyedé" SELECT 'ké' || n, 'v' FROM generate_series(1, 300) n;
CREATE INDEX "indexé" ON "tableé" ("dé") WHERE "dé" <> 'é';
CREATE VIEW "vueé" AS SELECT *, 'é'::text AS "café" FROM "tableé";
COMMENT ON COLUMN "tableé"."dé" IS 'été';
"""


def run_bytes(end: Database, text: str) -> None:
    """Run SQL whose every character is one byte."""
    with end.connection() as connection, connection.cursor() as cursor:
        cursor.execute(text.encode("latin-1"))


@pytest.mark.parametrize("encoded", [("SQL_ASCII", "SQL_ASCII")], indirect=True)
def test_names_and_texts_of_no_encoding(encoded: Pair, caplog: pytest.LogCaptureFixture) -> None:
    pair = encoded
    run_bytes(pair.source, ODD)
    for _ in range(2):
        done = pair.migrate(partition_threshold=1000, max_partitions=3, chunk_size=200)
        assert done.succeeded, done.failures
        assert dumped(pair.target) == dumped(pair.source)
        pair.check_equal()
    run_bytes(pair.target, """UPDATE "keyedé" SET v = 'w' WHERE "ké" = 'ké7'""")
    found = pair.run_job("validate")
    assert not found.success
    told = [e.metadata.get("first_differences") for e in found.get_asset_check_evaluations()]
    assert r"(k\xe97)" in "".join(str(value.value) for value in told if value is not None)
    done = pair.repair()
    assert done.succeeded, done.failures
    pair.check_equal()
    assert r"keyed\xe9 differs in all; reloading" in caplog.text
    caplog.text.encode()  # what is logged can be written down


def dumped(end: Database) -> bytes:
    """What pg_dump says, byte for byte, less the lines about versions."""
    newest = servers.embedded(max(servers.EMBEDDED)).bindir / "pg_dump"
    command = [newest, "--schema-only", "--schema=public", "--encoding=SQL_ASCII", "-d", end.url]
    done = subprocess.run(command, capture_output=True, check=True)
    return DUMP_HEADER.sub("", done.stdout.decode("latin-1")).encode("latin-1")


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        (("EUC_JP", "EUC_JP"), "漢字"),
        (("EUC_KR", "EUC_KR"), "한국"),
        (("LATIN1", "LATIN1"), "café"),
        (("WIN1252", "WIN1252"), "„€“"),
        (("EUC_JP", "UTF8"), "漢字"),
        (("EUC_KR", "UTF8"), "한국"),
        (("WIN1252", "UTF8"), "„€“"),
    ],
    indirect=["encoded"],
)
def test_names_keys_and_checks(encoded: Pair, text: str) -> None:
    pair = encoded
    pair.source.psql(
        f"""
        SET client_encoding = UTF8; COMMENT ON SCHEMA public IS '{text}';
        CREATE TYPE "{text}" AS ENUM ('{text}', 'b');
        CREATE TABLE "t{text}" ("k{text}" text PRIMARY KEY, v text DEFAULT '{text}', e "{text}" DEFAULT '{text}');
        INSERT INTO "t{text}" SELECT '{text}' || n FROM generate_series(1, 500) n;
        COMMENT ON TABLE "t{text}" IS '{text}';
        """
    )
    done = pair.migrate()
    assert done.succeeded, done.failures
    pair.target.psql(f"SET client_encoding = UTF8; UPDATE \"t{text}\" SET v = 'w' WHERE \"k{text}\" = '{text}7'")
    assert [difference.row for verdict in pair.compare_rows() for difference in verdict.rows] == [f"({text}7)"]
    done = pair.repair()
    assert done.succeeded, done.failures
    assert pair.target.rows(f"SELECT count(*) FROM \"t{text}\" WHERE v = '{text}'") == [(500,)]
