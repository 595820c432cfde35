"""Databases of other encodings: the same bytes between equals, the same characters between others."""

import subprocess
from collections.abc import Iterator, Mapping

import pytest

from pg_migration.devtools import servers
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.migration import Result
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration_tests.conftest import DUMP_HEADER, PostgresServer
from pg_migration_tests.orchestration.harness import shown
from pg_migration_tests.postgres.transfer.harness import Database, Pair

BYTES = "SELECT encode(convert_to(v, getdatabaseencoding()), 'hex') FROM {} ORDER BY id"
CHARACTERS = "SELECT v FROM {} ORDER BY id"


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


def fill(pair: Pair, encoding: str, name: str, *values: bytes) -> None:
    """Tables with these bytes, one of which names a type and so never travels in binary; and a name for some things."""
    rows = ", ".join(f"({n}, convert_from('\\x{v.hex()}', '{encoding}'))" for n, v in enumerate(values))
    pair.source.psql(
        f'SET client_encoding = UTF8; CREATE TABLE t (id int PRIMARY KEY, v text, "{name}" text);'
        f"INSERT INTO t (id, v) VALUES {rows};"
        "CREATE TABLE as_text AS SELECT id, v, 'int'::regtype AS type FROM t;"
        f'CREATE TABLE "of {name}" (v text); INSERT INTO "of {name}" SELECT v FROM t;'
    )


def plans_of(done: Result) -> Mapping[str, TablePlan]:
    return {loaded.plan.table.name: loaded.plan for loaded in done.outcomes.loaded.values()}


def check_filled(pair: Pair, plans: Mapping[str, TablePlan], name: str, bytes_stay: bool) -> None:
    """The tables of `fill` are the same: where bytes stay as they are, all of them travel as text."""
    assert (plans["t"].binary, plans["as_text"].binary) == (not bytes_stay, False)
    for table in ("t", "as_text"):
        query = (BYTES if bytes_stay else CHARACTERS).format(table)
        assert pair.target.rows(query) == pair.source.rows(query)
    counted = f'SELECT count(*) FROM "of {name}"'
    assert pair.target.rows(counted) == pair.source.rows(counted) != [(0,)]


LATIN = (b"caf\xe9", b"\xe4\xf6\xfc\xdf", bytes(range(1, 128)))
# The encodings of both sides, bytes of the first, and a text that is in names, labels, comments and keys.
ARRIVING = {
    ("LATIN1", "LATIN1"): (LATIN, "café"),
    # A byte that WIN1252 stores but no other encoding has.
    ("WIN1252", "WIN1252"): ((*LATIN, b"\x81"), "„€“"),
    ("EUC_JP", "EUC_JP"): (("漢字".encode("euc_jp"), b"a"), "漢字"),
    ("EUC_KR", "EUC_KR"): (("한국".encode("euc_kr"), b"a"), "한국"),
    ("LATIN1", "UTF8"): (LATIN, "café"),
    ("WIN1252", "UTF8"): ((*LATIN, b"\x80"), "„€“"),
    ("EUC_JP", "UTF8"): (("漢字".encode("euc_jp"), b"a"), "漢字"),
    ("EUC_KR", "UTF8"): (("한국".encode("euc_kr"), b"a"), "한국"),
}
# Of one encoding, of another, of one byte a character and of several.
REPAIRED = [("WIN1252", "WIN1252"), ("EUC_JP", "EUC_JP"), ("EUC_KR", "UTF8")]


def fill_all(pair: Pair, encodings: tuple[str, str]) -> str:
    """Make what is in ARRIVING; the text that is in names and keys."""
    values, text = ARRIVING[encodings]
    fill(pair, encodings[0], text, *values)
    pair.source.psql(
        f"""
        SET client_encoding = UTF8; COMMENT ON SCHEMA public IS '{text}';
        CREATE TYPE "{text}" AS ENUM ('{text}', 'b');
        CREATE TABLE "t{text}" ("k{text}" text PRIMARY KEY, v text DEFAULT '{text}', e "{text}" DEFAULT '{text}');
        INSERT INTO "t{text}" SELECT '{text}' || n FROM generate_series(1, 500) n;
        COMMENT ON TABLE "t{text}" IS '{text}';
        """
    )
    return text


def check_arrived(pair: Pair, plans: Mapping[str, TablePlan], text: str, bytes_stay: bool) -> None:
    check_filled(pair, plans, text, bytes_stay)
    check_keyed(pair, text)


def check_keyed(pair: Pair, text: str) -> None:
    assert pair.target.rows(f"SELECT count(*) FROM \"t{text}\" WHERE v = '{text}' AND e = '{text}'") == [(500,)]
    commented = f"SELECT obj_description('\"t{text}\"'::regclass), obj_description('public'::regnamespace)"
    assert pair.target.rows(commented) == [(text, text)]


@pytest.mark.parametrize(
    ("encoded", "encodings"),
    [(encodings, encodings) for encodings in ARRIVING if encodings not in REPAIRED],
    indirect=["encoded"],
)
def test_bytes_or_characters_arrive(encoded: Pair, encodings: tuple[str, str]) -> None:
    text = fill_all(encoded, encodings)
    loaded = encoded.load()
    assert not loaded.failed
    assert not loaded.problems
    check_arrived(encoded, loaded.plans, text, bytes_stay=encodings[0] == encodings[1])


@pytest.mark.parametrize(
    ("encoded", "encodings"),
    [pytest.param(one, one, marks=[pytest.mark.longer] if n else []) for n, one in enumerate(REPAIRED)],
    indirect=["encoded"],
)
def test_names_keys_and_checks(encoded: Pair, encodings: tuple[str, str]) -> None:
    pair = encoded
    text = fill_all(pair, encodings)
    done = pair.migrate()
    assert done.succeeded, done.failures
    check_arrived(pair, plans_of(done), text, bytes_stay=encodings[0] == encodings[1])
    pair.target.psql(f"SET client_encoding = UTF8; UPDATE \"t{text}\" SET v = 'w' WHERE \"k{text}\" = '{text}7'")
    assert [difference.row for verdict in pair.compare_rows() for difference in verdict.rows] == [f"({text}7)"]
    done = pair.repair()
    assert done.succeeded, done.failures
    check_keyed(pair, text)


@pytest.mark.parametrize("encoded", [("UTF8", "LATIN1")], indirect=True)
def test_characters_that_the_target_has_not(encoded: Pair) -> None:
    fill(encoded, "LATIN1", "größe", *LATIN)
    encoded.source.psql(
        "CREATE TABLE lacking (id int, v text); INSERT INTO lacking VALUES (1, 'a'), (2, '漢');"
        "CREATE TABLE lacking_as_text AS SELECT *, 'int'::regtype AS type FROM lacking"
    )
    encoded.target.schema = "schön"
    loaded = encoded.load()
    check_filled(encoded, loaded.plans, "größe", bytes_stay=False)
    assert loaded.failed.keys() == {"lacking", "lacking_as_text"}
    for table, error in loaded.failed.items():
        assert 'has no equivalent in encoding "LATIN1"' in error
        assert encoded.target.rows(f"SELECT count(*) FROM {table}") == [(0,)]


@pytest.mark.parametrize("encoded", [("SQL_ASCII", "UTF8")], indirect=True)
def test_bytes_that_are_none_of_the_target(encoded: Pair) -> None:
    fill(encoded, "SQL_ASCII", "größe", "漢".encode())
    encoded.source.psql(
        r"CREATE TABLE broken (v text); INSERT INTO broken VALUES (E'\377');"
        "CREATE TABLE broken_as_text AS SELECT *, 'int'::regtype AS type FROM broken"
    )
    loaded = encoded.load()
    check_filled(encoded, loaded.plans, "größe", bytes_stay=False)
    assert encoded.target.rows(CHARACTERS.format("t")) == [("漢",)]
    assert loaded.failed.keys() == {"broken", "broken_as_text"}
    for error in loaded.failed.values():
        assert 'invalid byte sequence for encoding "UTF8": 0xff' in error


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
    fill(pair, "SQL_ASCII", "größe", b"\xff\xfe", b"caf\xe9", "漢字".encode(), b"\\N", bytes(range(1, 256)))
    run_bytes(pair.source, ODD)
    for _ in range(2):
        done = pair.migrate(partition_threshold=1000, max_partitions=3, chunk_size=200)
        assert done.succeeded, done.failures
        check_filled(pair, plans_of(done), "größe", bytes_stay=True)
        assert dumped(pair.target) == dumped(pair.source)
        pair.check_equal()
    run_bytes(pair.target, """UPDATE "keyedé" SET v = 'w' WHERE "ké" = 'ké7'""")
    found = pair.run_job("validate")
    assert not found.success
    told = [e.metadata.get("first_differences") for e in found.get_asset_check_evaluations()]
    assert r"(k\xe97)" in "".join(shown(value) for value in told if value is not None)
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
