"""Databases of other encodings: the same bytes between equals, the same characters between others."""

from collections.abc import Iterator

import pytest

from pg_migration.postgres.endpoint import Side
from pg_migration.postgres.plan import CopyFormat, LoadSettings
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.transfer.harness import Database, Pair

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


@pytest.mark.parametrize("copy_format", ["auto", "text"])
@pytest.mark.parametrize("encoded", [("SQL_ASCII", "SQL_ASCII")], indirect=True)
def test_bytes_of_no_encoding(encoded: Pair, copy_format: CopyFormat) -> None:
    values = (b"\xff\xfe", b"caf\xe9", "漢字".encode(), b"\\N", bytes(range(1, 256)))
    fill(encoded, "SQL_ASCII", *values)
    loaded = encoded.load(LoadSettings(copy_format=copy_format))
    assert not loaded.failed
    assert not loaded.problems
    assert encoded.target.rows(BYTES) == encoded.source.rows(BYTES)
    assert encoded.target.rows('SELECT count(*) FROM "Grüße"') == [(5,)]


@pytest.mark.parametrize("copy_format", ["auto", "text"])
@pytest.mark.parametrize("encoded", [("LATIN1", "LATIN1"), ("WIN1252", "WIN1252")], indirect=True)
def test_one_encoding_on_both_sides(encoded: Pair, copy_format: CopyFormat) -> None:
    encoding = encoded.source.rows("SHOW server_encoding")[0][0]
    fill(encoded, encoding, b"caf\xe9", b"\xe4\xf6\xfc\xdf", bytes(range(1, 128)))
    # A byte that WIN1252 stores but no other encoding has.
    encoded.source.psql(f"INSERT INTO t (id, v) VALUES (100, convert_from(decode('81', 'hex'), '{encoding}'))")
    loaded = encoded.load(LoadSettings(copy_format=copy_format))
    assert not loaded.failed
    assert encoded.target.rows(BYTES) == encoded.source.rows(BYTES)
    assert encoded.target.rows('SELECT v FROM "Grüße" LIMIT 1') == [("café",)]


@pytest.mark.parametrize("copy_format", ["auto", "text"])
@pytest.mark.parametrize("encoded", [("LATIN1", "UTF8"), ("EUC_JP", "UTF8"), ("UTF8", "LATIN1")], indirect=True)
def test_another_encoding(encoded: Pair, copy_format: CopyFormat) -> None:
    pair = encoded
    if "EUC" in str(pair.source.rows("SHOW server_encoding")):
        pair.source.psql(
            "SET client_encoding = UTF8; CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, '漢字'), (2, 'a');"
        )
    else:
        fill(pair, "LATIN1", b"caf\xe9", b"\xe4\xf6\xfc\xdf", bytes(range(1, 128)))
        pair.target.schema = "schön"
    loaded = pair.load(LoadSettings(copy_format=copy_format))
    assert not loaded.failed
    assert pair.target.rows(CHARACTERS) == pair.source.rows(CHARACTERS)


@pytest.mark.parametrize("copy_format", ["auto", "text"])
@pytest.mark.parametrize("encoded", [("UTF8", "LATIN1")], indirect=True)
def test_character_that_the_target_lacks(encoded: Pair, copy_format: CopyFormat) -> None:
    encoded.source.psql("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'a'), (2, '漢');")
    loaded = encoded.load(LoadSettings(copy_format=copy_format))
    assert 'has no equivalent in encoding "LATIN1"' in loaded.failed["t"]
    assert encoded.target.rows("SELECT count(*) FROM t") == [(0,)]


@pytest.mark.parametrize("copy_format", ["auto", "text"])
@pytest.mark.parametrize("encoded", [("SQL_ASCII", "UTF8")], indirect=True)
def test_bytes_that_are_none_of_the_target(encoded: Pair, copy_format: CopyFormat) -> None:
    encoded.source.psql(
        r"CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, '漢'); CREATE TABLE broken (v text);"
        r"INSERT INTO broken VALUES (E'\377');"
    )
    loaded = encoded.load(LoadSettings(copy_format=copy_format))
    assert set(loaded.failed) == {"broken"}
    assert 'invalid byte sequence for encoding "UTF8": 0xff' in loaded.failed["broken"]
    assert encoded.target.rows(CHARACTERS) == [("漢",)]
