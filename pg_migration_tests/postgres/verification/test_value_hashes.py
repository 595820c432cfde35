"""Values that are not the same have different hashes, whatever PostgreSQL thinks of them; the same ones have one."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pytest
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog, discover
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.hashing.digests import Hashing
from pg_migration.postgres.hashing.part import Part
from pg_migration.postgres.hashing.value_hashes import HASHED
from pg_migration.postgres.verification.slices import WHOLE
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.verification.harness import Pair

MAKE = """
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TYPE pair AS (n numeric, t text);
    CREATE TYPE spread AS RANGE (subtype = float8);
    CREATE DOMAIN price AS numeric;
    CREATE DOMAIN dear AS price CHECK (VALUE <> 7);
    CREATE DOMAIN feeling AS mood;
    CREATE DOMAIN prices AS numeric[];
    CREATE DOMAIN couple AS pair;
    CREATE DOMAIN moment AS timestamptz;
    CREATE DOMAIN blob AS bytea;
    CREATE DOMAIN day AS date;
    CREATE DOMAIN big AS bigint;
    CREATE DOMAIN ratio AS float8;
    CREATE DOMAIN flag AS boolean;
    CREATE DOMAIN label AS char(3);
    CREATE DOMAIN words AS varchar(9);
    CREATE DOMAIN place AS pg_lsn;
    CREATE TYPE placed AS (l pg_lsn, t text);
    CREATE DOMAIN placed_too AS placed;
    CREATE TYPE places AS RANGE (subtype = pg_lsn);
    CREATE DOMAIN letter AS "char";
"""
# What only the system's own server has.
MAKE_15 = """
    CREATE EXTENSION citext; CREATE EXTENSION hstore;
    CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE DOMAIN word AS citext;
"""

# Names of types with values of which no two are the same. Many are equal to PostgreSQL, or have the same hash there: by
# the sign of numeric, the kind of its infinity and its scale, both halves of what has 64 bits, letters without case...
VALUES: Mapping[str, tuple[str, ...]] = {
    "boolean": ("t", "f"),
    "smallint": ("0", "1", "-1", "-32768"),
    "integer": ("0", "1", "-1", "2147483647"),
    "bigint": ("0", "1", "-1", "4294967297", "8589934594", "-4294967296", "-9223372036854775808"),
    "oid": ("0", "1", "4294967295"),
    "real": ("0", "-0", "1", "NaN", "Infinity", "-Infinity", "1e-45"),
    "double precision": ("0", "-0", "1", "1.0000000000000002", "NaN", "Infinity", "-Infinity", "5e-324"),
    "numeric": ("0", "0.0", "1", "1.0", "1.00", "-1", "10000", "100000000", "NaN", "Infinity", "-Infinity"),
    "text": ("", " ", "a", "A", "a ", "NULL", "é", "e\u0301"),
    "varchar(9)": ("", "a", "A", "a ", "NULL"),
    "char(3)": ("", "a", "A", "NUL"),
    "bpchar": ("", " ", "a", "a ", "a  "),
    '"char"': ("", "a", "A", "\\200", "\\377"),
    "name": ("", "a", "A", "a "),
    'text COLLATE "C"': ("a", "A"),
    "bytea": ("", r"\x00", r"\x0000", r"\x61", r"\x610061"),
    "date": ("2000-01-01", "2000-01-02", "1999-12-31", "infinity", "-infinity", "4713-01-01 BC", "5874897-12-31"),
    "timestamp": ("2000-01-01", "2000-01-01 01:11:34.967297", "infinity", "-infinity", "294276-12-31 23:59:59.999999"),
    "timestamptz": ("2000-01-01Z", "2000-01-01 01:11:34.967297Z", "infinity", "-infinity", "4713-01-01Z BC"),
    "time": ("00:00", "01:11:34.967297", "02:23:09.934594", "24:00"),
    "timetz": ("12:00+00", "13:00+01", "12:00-01", "01:11:34.967297+00", "24:00+00"),
    "interval": ("1 mon", "30 days", "720:00:00", "-30 days", "1 year", "12 mons 1 day", "01:11:34.967297", "0"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001"),
    "inet": ("10.0.0.1", "10.0.0.1/24", "10.0.0.0/24", "::1", "::10.0.0.1"),
    "cidr": ("10.0.0.0/24", "10.0.0.0/25", "10.0.0.0/32", "::/0"),
    "macaddr": ("08:00:2b:01:02:03", "08:00:2b:01:02:04"),
    "macaddr8": ("08:00:2b:01:02:03:04:05", "08:00:2b:ff:fe:01:02:03"),
    "bit(3)": ("000", "001", "100"),
    "bit varying": ("", "0", "00", "1", "10", "00000000"),
    "money": ("0", "-1", "1", "42949672.97"),
    "jsonb": ("1", "1.0", "-1", '"1"', "null", "[]", "{}", "[[]]", '{"a": 1}', '{"a": 1.0}', '{"a": -1}', "true"),
    "json": ("1", " 1", "1.0", '{"a":1}', '{"a": 1}', '{"a":1,"a":1}'),
    "mood": ("sad", "glad"),
    "pair": ("(1.0,)", '(1.00,"")', "(1.0,a)", "(,)", "(1.0,NULL)", "(-1.0,)"),
    "spread": ("[0,1]", "[-0,1]", "[0,1)", "empty", "(,)"),
    "price": ("1.0", "1.00", "-1"),
    "dear": ("1.0", "1.00", "-1"),
    "feeling": ("sad", "glad"),
    "prices": ("{1.0}", "{1.00}", "{-1.0}", "{}"),
    "couple": ("(1.0,)", "(1.00,)", "(,)"),
    "moment": ("2000-01-01Z", "2000-01-01 01:11:34.967297Z"),
    "blob": ("", r"\x00"),
    "day": ("2000-01-01", "infinity"),
    "big": ("0", "4294967297"),
    "ratio": ("0", "-0", "NaN", "1"),
    "flag": ("t", "f"),
    "label": ("", "a", "A"),
    "words": ("", "a", "a "),
    "numeric[]": ("{1.0}", "{1.00}", "{-1.0}", "[0:0]={1.0}", "{{1.0}}", "{}", "{NULL}"),
    "text[]": ("{a}", "{A}", '{"NULL"}', "{NULL}", "{}", '{""}', "{a,NULL}", '{"a,NULL"}'),
    "float8[]": ("{0}", "{-0}"),
    "bpchar[]": ("{a}", '{"a "}'),
    "interval[]": ("{1 mon}", "{30 days}"),
    "mood[]": ("{sad}", "{glad}"),
    "pair[]": ('{"(1.0,)"}', '{"(1.00,)"}'),
    "prices[]": ('{"{1.0}"}', '{"{1.00}"}'),
    "int4range": ("[1,2)", "[1,3)", "empty", "(,)"),
    "numrange": ("[1.0,2)", "[1.00,2)", "(1.0,2)", "empty"),
    "nummultirange": ("{[1.0,2)}", "{[1.00,2)}", "{}"),
    "point": ("(0,0)", "(-0,0)", "(0.0000000001,0)"),
    "box": ("(1,1),(0,0)", "(2,0.5),(0,0)", "(2,2),(1,1)"),
    "circle": ("<(0,0),1>", "<(1,1),1>"),
    "lseg": ("[(0,0),(1,1)]", "[(1,1),(0,0)]"),
    "line": ("{1,1,0}", "{2,2,0}"),
    "path": ("((0,0),(1,1))", "[(0,0),(1,1)]", "[(0,0),(2,2)]"),
    "polygon": ("((0,0),(1,1),(1,0))", "((1,1),(1,0),(0,0))"),
    "tsvector": ("a", "'a':1", "'a':1A", ""),
    "tsquery": ("a", "!a", "a & b", "a <-> b"),
    "jsonpath": ("$", "$.a", "lax $ ? (@ == 1)"),
    "pg_lsn": ("0/0", "1/1", "2/2", "0/18800", "FFFFFFFF/FFFFFFFF"),
    "place": ("0/0", "1/1"),
    "pg_lsn[]": ("{0/0}", "{0/1}", "{0/10}", "{1/1}", "{NULL}", "{}", "{{0/1}}", "[0:0]={0/1}"),
    "place[]": ("{0/0}", "{0/1,NULL}"),
    "placed": ("(0/1,a)", "(0/1,)", "(,)", "(,a)", "(0/10,)", '(0/1,"")', "(0/1,NULL)"),
    "placed[]": ('{"(0/1,a)"}', '{"(0/10,a)"}'),
    "placed_too": ("(0/1,a)", "(,)"),
    "places": ("[0/1,0/2)", "[0/1,0/20)", "(0/1,)", "empty"),
    '"char"[]': ("{}", "{a}", "{A}", "{NULL}", '{"\\\\377"}', "{{a}}", "[0:0]={a}"),
    "letter[]": ("{a}", "{A}"),
    "xid": ("0", "1"),
    "xid8": ("0", "4294967297"),
    "cid": ("0", "1"),
    "tid": ("(0,1)", "(1,0)"),
    "int2vector": ("1 2", "2 1", ""),
    "oidvector": ("1 2", "2 1", ""),
    "regclass": ("pg_class", "pg_type"),
    "regtype": ("int4", "int8"),
}
VALUES_15: Mapping[str, tuple[str, ...]] = {
    "xml": ("<a/>", "<a></a>", "<a />", '<?xml version="1.0" standalone="yes"?><a/>'),
    "citext": ("a", "A", "NULL"),
    "word": ("a", "A"),
    "citext[]": ("{a}", "{A}"),
    "hstore": ("a=>1", "a=>2", "a=>NULL", ""),
    "text COLLATE caseless": ("a", "A"),
    "varchar COLLATE caseless": ("a", "A"),
}
# What types are called that hold others.
IN_OTHERS = {"anyarray", "char inside", "pg_lsn inside"}
# The same values, which servers may have in other bytes: NaN with a sign, as a subtraction makes it.
OTHER_BYTES = {
    "real": "'Infinity'::real - 'Infinity'::real",
    "double precision": "'Infinity'::float8 - 'Infinity'::float8",
}


@dataclass(frozen=True)
class Hashes:
    """The hashes of values on one server, by type and then by value (None for NULL), and the type behind each."""

    hashes: Mapping[str, Mapping[str | None, int]]
    base_types: Mapping[str, str | None]


def hashes_on(server: PostgresServer, values: Mapping[str, tuple[str, ...]], make: str) -> Hashes:
    url = server.create_database()
    with Connections() as links:
        connection = links.open(Endpoint.parse(Side.SOURCE, url, "URL"))
        path = "SET search_path = public, pg_catalog; "
        execute(connection, path + make)
        for number, (kind, ones) in enumerate(values.items()):
            execute(connection, f"CREATE TABLE t{number} (n int, v {kind})")
            rows = [sql.SQL("({}, {})").format(*map(sql.Literal, row)) for row in enumerate((*ones, None))]
            listed = sql.SQL(", ").join(rows)
            execute(connection, sql.SQL("INSERT INTO {} VALUES {}").format(sql.Identifier(f"t{number}"), listed))
        execute(connection, "SET search_path = pg_catalog, pg_temp")
        catalog = discover(connection, {"public": "public"})
        found, base_types = {}, {}
        for number, (kind, ones) in enumerate(values.items()):
            name = f"t{number}"
            hashes = [row["v"] for row in column_hashes(connection, catalog, name)]
            found[kind] = dict(zip((*ones, None), hashes, strict=True))
            base_types[kind] = catalog.tables_by_name["public", name].columns[1].base_type
    server.drop_database(url)
    return Hashes(found, base_types)


def column_hashes(connection: Connection, catalog: Catalog, table: str) -> list[dict[str, int]]:
    """The hashes of each row's values, by column, in the order of the column n."""
    part = Part(catalog.tables_by_name["public", table], ("public", table), WHOLE, same_encoding=True)
    columns = Hashing().columns(connection, part)
    statement = sql.SQL("SELECT {} {} ORDER BY n").format(sql.SQL(", ").join(columns.values()), part.rows)
    return [dict(zip(columns, row, strict=True)) for row in part.fetch(connection, statement)]


@pytest.fixture(scope="module")
def on_16(postgres16: PostgresServer) -> Hashes:
    return hashes_on(postgres16, VALUES, MAKE)


@pytest.fixture(scope="module")
def on_18(postgres18: PostgresServer) -> Hashes:
    return hashes_on(postgres18, VALUES, MAKE)


@pytest.fixture(scope="module")
def on_19(postgres19: PostgresServer) -> Hashes:
    return hashes_on(postgres19, VALUES, MAKE)


@pytest.fixture(scope="module")
def on_15(postgres15: PostgresServer) -> Hashes:
    return hashes_on(postgres15, {**VALUES, **VALUES_15}, MAKE + MAKE_15)


@pytest.mark.parametrize("kind", VALUES)
def test_values_that_are_not_the_same(on_16: Hashes, on_18: Hashes, kind: str) -> None:
    assert on_16.hashes[kind] == on_18.hashes[kind]
    assert len(set(on_18.hashes[kind].values())) == len(VALUES[kind]) + 1


@pytest.mark.parametrize("kind", VALUES_15)
def test_values_of_what_extensions_and_libraries_bring(on_15: Hashes, kind: str) -> None:
    assert len(set(on_15.hashes[kind].values())) == len(VALUES_15[kind]) + 1


def test_an_older_server_has_the_same_hashes(on_15: Hashes, on_18: Hashes) -> None:
    assert {kind: on_15.hashes[kind] for kind in VALUES} == on_18.hashes


def test_a_newer_server_has_the_same_hashes(on_18: Hashes, on_19: Hashes) -> None:
    assert on_19.hashes == on_18.hashes


def test_every_form_is_among_these(on_15: Hashes) -> None:
    assert set(on_15.base_types.values()) >= HASHED


@pytest.mark.parametrize("kind", OTHER_BYTES)
def test_the_same_value_in_other_bytes(pair: Pair, kind: str) -> None:
    pair.both(f"CREATE TABLE t (id int PRIMARY KEY, v {kind})")
    pair.source("INSERT INTO t VALUES (1, 'NaN')")
    pair.target(f"INSERT INTO t VALUES (1, {OTHER_BYTES[kind]})")
    source, target = pair.digests()
    assert source == target


@pytest.fixture(scope="module", params=["postgres15", "postgres16", "postgres18", "postgres19"])
def every_type(request: pytest.FixtureRequest) -> Iterator[tuple[Connection, Catalog, list[str]]]:
    """A table with a column of each built-in type that one may have, and a row of NULL."""
    server: PostgresServer = request.getfixturevalue(request.param)
    url = server.create_database()
    with Connections() as links:
        connection = links.open(Endpoint.parse(Side.SOURCE, url, "URL"))
        rows = fetch(
            connection,
            "SELECT typname::text FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typisdefined "
            "AND typtype IN ('b', 'r', 'm') AND typelem NOT IN (SELECT oid FROM pg_type WHERE typtype IN ('c', 'p')) "
            "ORDER BY 1",
        )
        names = [name for (name,) in rows]
        columns = sql.SQL(", ").join(
            sql.SQL("{} pg_catalog.{}").format(*map(sql.Identifier, (name, name))) for name in names
        )
        execute(connection, sql.SQL("CREATE TABLE public.t (n int4, {})").format(columns))
        execute(connection, "INSERT INTO public.t VALUES (1)")
        yield connection, discover(connection, {"public": "public"}), names
    server.drop_database(url)


def test_every_built_in_type_has_a_form(every_type: tuple[Connection, Catalog, list[str]]) -> None:
    connection, catalog, names = every_type
    assert len(names) > 100
    (row,) = column_hashes(connection, catalog, "t")
    assert None not in row.values()
    assert len(set(row.values())) == len(names) + 1  # each has a seed of its own
    found = {column.name: column.base_type for column in catalog.tables_by_name["public", "t"].columns}
    assert {name for name in names if found[name] == name} >= HASHED - IN_OTHERS - {"anyenum"}
    assert {found[name] for name in names if name.startswith("_")} == IN_OTHERS


def test_as_many_columns_as_a_table_may_have(pair: Pair) -> None:
    columns = ", ".join(f"c{number} timestamptz" for number in range(1600))
    pair.both(f"CREATE TABLE t ({columns}); INSERT INTO t (c1) VALUES ('2024-01-01')")
    source, target = pair.digests()
    assert source == target
    pair.target("UPDATE t SET c1 = NULL, c2 = c1")
    source, target = pair.digests()
    assert source.total != target.total


def test_values_that_changed_places(pair: Pair) -> None:
    """In one row, and among rows."""
    pair.both("CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 1, 2), (2, 5, 6), (3, 7, 8)")
    pair.target("UPDATE t SET a = b, b = a WHERE id = 1")
    assert [difference.row for difference in pair.differences()] == ["(1)"]
    pair.target("UPDATE t SET a = 1, b = 2 WHERE id = 1; UPDATE t SET a = 12 - a WHERE id > 1")
    assert [difference.row for difference in pair.differences()] == ["(2)", "(3)"]


TEXTS = """
    CREATE TABLE t (
        id int PRIMARY KEY, t text, v varchar, b char(3), n name, j json, k jsonb, e mood, a text[], c pair, d words,
        x "char"
    );
    INSERT INTO t VALUES (1, 'é', 'é', 'é', 'é', '"é"', '"é"', 'né', '{é}', '(1,é)', 'é', 'e');
    INSERT INTO t (id) VALUES (2);
    INSERT INTO t VALUES (3, '', '', '', '', '1', '1', NULL, '{}')
"""


def test_between_encodings_text_is_hashed_as_what_it_says(
    postgres16: PostgresServer, postgres18: PostgresServer
) -> None:
    urls = (
        postgres16.create_database(options="ENCODING 'UTF8' LOCALE 'C'"),
        postgres18.create_database(options="ENCODING 'LATIN1' LOCALE 'C'"),
    )
    types = (
        "SET client_encoding = 'UTF8'; CREATE TYPE mood AS ENUM ('né'); CREATE TYPE pair AS (n int, t text);"
        "CREATE DOMAIN words AS text;"
    )
    with Connections() as links, closing(Pair(urls, links)) as pair:
        pair.both(types + TEXTS)
        source, target = pair.digests()
        assert source == target
        names = [column.name for column in pair.table.columns if column.name not in ("id", "x")]
        pair.target(f"UPDATE t SET ({', '.join(names)}) = ({', '.join(['NULL'] * len(names))}) WHERE id = 1")
        (difference,) = pair.differences()
        assert difference.columns == tuple(names)
    postgres16.drop_database(urls[0])
    postgres18.drop_database(urls[1])


def test_the_form_tells_what_was_hashed(pair: Pair) -> None:
    def form(definition: str, same_encoding: bool = True) -> str:
        pair.source(f"DROP TABLE IF EXISTS t; CREATE TABLE t ({definition})")
        return Hashing().form(pair.table, same_encoding)

    same = form("a int, b text")
    assert form("a int, b text") == same
    forms = {form("b text, a int"), form("a bigint, b text"), form("a int, c text"), form("a int")}
    assert len({same, *forms, form("a int, b text", same_encoding=False)}) == 6
    sample = Hashing(10.0, frozenset({("public", "t")}))
    assert sample.form(pair.table, True) != form("a int, b text") == same


def test_a_column_of_another_type_is_said_so(pair: Pair) -> None:
    pair.source("CREATE TABLE t (id int PRIMARY KEY)")
    pair.target("CREATE TABLE t (id bigint PRIMARY KEY)")
    error = pair.answers().error
    assert error is not None
    assert "Functions are chosen by the source's types of columns" in error
