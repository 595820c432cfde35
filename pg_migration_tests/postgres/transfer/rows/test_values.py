"""Every value arrives as it was, in binary and in text COPY.

Most cases are values that a program which decodes rows is known to change without noticing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import pytest

from pg_migration.postgres.planning.options import CopyFormat, LoadSettings
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transfer.conftest import between
from pg_migration_tests.postgres.transfer.harness import Loaded, Pair

# Column type and values, as SQL expressions; each case is a table.
BUILT_IN: dict[str, tuple[str, Sequence[str]]] = {
    "numerics": (
        "numeric",
        (
            *("19.99", "0.5", "1.10", "1.1", "-0.0", "'NaN'", "'Infinity'", "'-Infinity'", "1e-16000"),
            *("repeat('9', 131072)::numeric", "0.1234567890123456789012345678901234567890", "NULL"),
        ),
    ),
    "numerics_scaled": ("numeric(18,4)", ("1.10", "-99999999999999.9999")),
    "numerics_negative_scale": ("numeric(5,-2)", ("12345", "-99900")),
    "floats": ("float8", ("'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1e308", "5e-324", "0.1", "1/3.0::float8")),
    "reals": ("float4", ("'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "3.4e38", "1e-45", "0.1")),
    "smallints": ("smallint", ("-32768", "32767", "0", "NULL")),
    "bigints": ("bigint", ("-9223372036854775808", "9223372036854775807")),
    "booleans": ("boolean", ("true", "false", "NULL")),
    "money": ("money", ("'-92233720368547758.08'", "'0.01'", "'1234567.89'")),
    "texts": (
        "text",
        (
            *(
                r"'\N'",
                r"'\.'",
                "''",
                "' '",
                "NULL",
                r"'\\'",
                r"E'a\tb\nc\rd\\e'",
                "'NULL'",
                "'\"'",
                "','",
                r"E'\b\f\v'",
            ),
            *("'ünïcödé 漢字 🐘'", "E'\\u0001'", "'a' || chr(160) || 'b'", r"'\x41'", "repeat('長い', 100000)"),
        ),
    ),
    "varchars": ("varchar(5)", ("'abc  '", "''", "NULL")),
    "bpchars": ("char(5)", ("'abc'", "''", "'  a  '", "NULL")),
    "bpchars_free": ("bpchar", ("'abc'", "'abc   '", "''")),
    "single_bytes": ('"char"', ("'a'", "''", r"'\200'", r"'\377'", "NULL")),
    "names": ("name", ("'x'", "repeat('n', 63)")),
    "byteas": (
        "bytea",
        (
            *(r"'\xdeadbeef41'", r"'\x00'", r"'\x5c783431'", r"'\x5c2e0a5c4e'", r"'\x'", "NULL"),
            "decode(string_agg_bytes(), 'hex')",
        ),
    ),
    "timestamps": (
        "timestamp",
        (
            *("'infinity'", "'-infinity'", "'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'"),
            "'2024-02-29 12:34:56.789012'",
        ),
    ),
    "timestamptzs": (
        "timestamptz",
        ("'infinity'", "'-infinity'", "'0001-01-01 00:00:00+00 BC'", "'2024-10-27 02:30:00 Europe/Berlin'"),
    ),
    "dates": ("date", ("'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'0044-03-15 BC'")),
    "times": ("time", ("'24:00:00'", "'00:00:00'", "'23:59:59.999999'")),
    "times_rounded": ("time(3)", ("'12:00:00.123'", "'24:00'")),
    "timetzs": ("timetz", ("'24:00:00+15:59'", "'00:00:00-15:59'", "'12:00:00+05:30'")),
    "intervals": (
        "interval",
        (
            *("'1 mon'", "'1 year 2 mons 3 days'", "'30 days'", "'720:00:00'", "'-1 mon +1 day -00:00:01'", "'0'"),
            "'178000000 years'",
        ),
    ),
    "intervals_of_months": ("interval year to month", ("'1 year 2 mons'",)),
    "jsons": ("json", ("'null'", """'{"a":1,  "a":2}'""", "NULL", "'1.10'", r"""'"\u00e9\\"'""", "'  [ ]'")),
    "jsonbs": (
        "jsonb",
        (
            *(
                "'null'",
                "NULL",
                "'1.10'",
                "'0.12345678901234567890123'",
                "'\"abc\"'",
                """'{"b":1,"a":[1,2,{"c":null}]}'""",
            ),
            *("'1e400'", "'\"\"'", "'[]'", "'-0'"),
        ),
    ),
    "jsonpaths": ("jsonpath", ("'$.a[*] ? (@ > 1)'", "'strict $'")),
    "uuids": ("uuid", ("'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'")),
    "bits": ("bit(11)", ("B'10101010101'", "B'00000000000'")),
    "varbits": ("varbit", ("B''", "B'1'", "B'0000000000001'", "NULL")),
    "inets": ("inet", ("'192.168.0.1/24'", "'::1'", "'2001:db8::/32'", "'10.0.0.1'")),
    "cidrs": ("cidr", ("'10.0.0.0/8'", "'::/0'")),
    "macaddrs": ("macaddr", ("'08:00:2b:01:02:03'",)),
    "macaddr8s": ("macaddr8", ("'08:00:2b:01:02:03:04:05'",)),
    "points": ("point", ("'(1.5,-0)'", "'(NaN,Infinity)'")),
    "polygons": ("polygon", ("'((0,0),(1,1),(2,0.1))'",)),
    "paths": ("path", ("'[(0,0),(1,1)]'", "'((0,0),(1,1))'")),
    "circles": ("circle", ("'<(0.1,0.2),0.3>'",)),
    "boxes": ("box", ("'(2,2),(0,0.1)'",)),
    "lines": ("line", ("'{1,-1,0}'",)),
    "lsegs": ("lseg", ("'[(0,0),(1,1.1)]'",)),
    "ranges": ("int4range", ("'empty'", "'[1,5)'", "'(,)'", "'(,3]'", "NULL")),
    "numranges": ("numrange", ("'[1.10,2.20]'", "'(1.10,2.20)'", "'[NaN,NaN]'", "'empty'")),
    "tstzranges": ("tstzrange", ("'[-infinity,infinity)'", "'[2024-01-01 00:00+02,)'")),
    "multiranges": ("datemultirange", ("'{}'", "'{[2024-01-01,2024-02-01),[2025-01-01,infinity)}'", "NULL")),
    "nummultiranges": ("nummultirange", ("'{[1.10,2],(3,)}'",)),
    "integer_arrays": ("int[]", ("'{}'", "'{NULL}'", "'{{1,2},{3,4}}'", "'[-1:1]={1,2,3}'", "NULL")),
    "text_arrays": (
        "text[]",
        (r"""'{"","NULL",NULL,"a,b","\"","{}"}'""", r"""'{"\\N","\\."}'""", r"ARRAY[E'a\nb', ' ']", "'{{{x}}}'"),
    ),
    "numeric_arrays": ("numeric[]", ("'{1.10,NaN,Infinity,NULL}'",)),
    "range_arrays": ("int4range[]", ("""'{"[1,2)",empty,NULL}'""",)),
    "jsonb_arrays": ("jsonb[]", (r"""ARRAY['{"a":1.10}'::jsonb, 'null', NULL]""",)),
    "tsvectors": ("tsvector", ("'a:1A fat:2B,4C cat:5D'", "''", "'''it''s'':1'", r"'''a\b'':3'")),
    "tsqueries": ("tsquery", ("'fat & (rat | !cat:*A)'", "'a <-> b <3> c'")),
    "pg_lsns": ("pg_lsn", ("'16/B374D848'", "'0/0'")),
    "xids": ("xid8", ("'18446744073709551615'",)),
    "txid_snapshots": ("txid_snapshot", ("'10:20:10,14,15'",)),
    "oids": ("oid", ("4294967295", "0", "1259")),
    "tids": ("tid", ("'(4294967295,65535)'", "'(0,1)'")),
    "int2vectors": ("int2vector", ("'1 2 3'", "''")),
    "regtypes": ("regtype", ("'integer'", "'text[]'")),
    "regnamespaces": ("regnamespace", ("'pg_catalog'",)),
}

PREPARATION = """
CREATE FUNCTION string_agg_bytes() RETURNS text LANGUAGE sql
    AS $$SELECT string_agg(lpad(to_hex(i), 2, '0'), '') FROM generate_series(0, 255) i$$;
"""

USER_TYPES = r"""
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok", \N', 'happy');
ALTER TYPE mood ADD VALUE 'meh' BEFORE 'happy';
CREATE TYPE pair AS (key text, value text);
CREATE TYPE nested AS (id int, moods mood[], pairs pair[], at timestamptz);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN positives AS int[] CHECK (cardinality(VALUE) > 0);
CREATE DOMAIN tiny AS positive CHECK (VALUE < 10);
CREATE TYPE span AS RANGE (subtype = float8, multirange_type_name = spans);

CREATE TABLE enums (v mood);
INSERT INTO enums VALUES ('sad'), ('it''s "ok", \N'), ('meh'), (NULL);
CREATE TABLE enum_arrays (v mood[]);
INSERT INTO enum_arrays VALUES ('{sad,NULL,happy}'), (ARRAY['it''s "ok", \N']::mood[]), ('{}'), (NULL);
CREATE TABLE composites (v pair);
INSERT INTO composites VALUES (('a', NULL)), (('', 'NULL')), ((E'"\\,(', E'x\ny')), ((NULL, NULL)), (NULL);
CREATE TABLE composite_arrays (v pair[]);
INSERT INTO composite_arrays VALUES (ARRAY[('a', 'b')::pair, NULL, (NULL, '')::pair]), ('{}');
CREATE TABLE nesteds (v nested);
INSERT INTO nesteds VALUES ((1, '{happy}', ARRAY[(E'\\N', '{}')::pair], 'infinity'));
CREATE TABLE domains (v positive, w tiny, a positive[]);
INSERT INTO domains VALUES (1, 9, '{1,2}'), (NULL, NULL, '{NULL}');
CREATE TABLE domains_over_arrays (v positives);
INSERT INTO domains_over_arrays VALUES ('{1,NULL}'), ('[0:1]={5,6}');
CREATE TABLE user_ranges (v span, m spans, a span[]);
INSERT INTO user_ranges VALUES ('[0.1,0.2)', '{[0.1,0.3),(1,)}', '{"[NaN,NaN]"}'), ('empty', '{}', '{}');
CREATE TABLE names_of_relations (v regclass, p regprocedure);
INSERT INTO names_of_relations VALUES ('enums', 'lower(text)'), ('pg_class', 'pg_catalog.abs(numeric)');
CREATE TABLE rows_of_tables (v enums);
INSERT INTO rows_of_tables SELECT enums FROM enums;
"""


FORMATS: tuple[CopyFormat, ...] = ("auto", "text")


Loads = Mapping[CopyFormat, Loaded]


@pytest.fixture(scope="module")
def loads(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Loads]:
    """Of a database with all types of values, in one format after the other; everything is equal each time."""
    statements = [PREPARATION]
    for name, (column, values) in BUILT_IN.items():
        listed = ", ".join(f"({number}, {value})" for number, value in enumerate(values))
        statements.append(f"CREATE TABLE {name} (number int, v {column}); INSERT INTO {name} VALUES {listed};")
    end_of_data = r"CREATE TABLE end_of_data (v text); INSERT INTO end_of_data VALUES ('a'), ('\.'), ('b'), ('\.');"
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        closing(between(postgres16, postgres18, monkeypatch)) as pairs,
    ):
        pair = next(pairs)
        pair.source.psql("\n".join([*statements, USER_TYPES, end_of_data]))
        yield {copy_format: pair.load_all(LoadSettings(copy_format=copy_format)) for copy_format in FORMATS}


def binary(loaded: Loaded) -> set[str]:
    return {name for name, plan in loaded.plans.items() if plan.binary}


def test_every_table_is_loaded_in_each_format(loads: Loads) -> None:
    for loaded in loads.values():
        assert loaded.loaded.keys() == loaded.plans.keys() > BUILT_IN.keys()
        assert loaded.loaded["end_of_data"].rows == 4
        assert loaded.loaded["texts"].rows == len(BUILT_IN["texts"][1])


def test_built_in_types(loads: Loads) -> None:
    there = binary(loads["auto"])
    assert {"numerics", "byteas", "jsonbs", "timestamps", "integer_arrays", "money", "uuids"} <= there
    assert not there & {"regtypes", "oids", "regnamespaces"}
    assert not binary(loads["text"])


def test_user_types(loads: Loads) -> None:
    # Arrays and composites of user types hold the types' OIDs in their binary form, which differ between databases.
    assert binary(loads["auto"]) - BUILT_IN.keys() - {"end_of_data"} == {"enums", "domains_over_arrays"}


def test_user_types_in_another_schema(pair: Pair) -> None:
    pair.source.psql(USER_TYPES)
    pair.target.schema = "elsewhere"
    pair.load_all()


LARGE = "SELECT id, octet_length(b), md5(b), octet_length(t), md5(t) FROM {} ORDER BY id"


def test_values_of_many_megabytes(pair: Pair) -> None:
    """Which the server does not compress; those of a table with a type's name travel as text."""
    pair.source.psql(
        "CREATE TABLE large (id int PRIMARY KEY, b bytea, t text);"
        "ALTER TABLE large ALTER b SET STORAGE EXTERNAL, ALTER t SET STORAGE EXTERNAL;"
        r"INSERT INTO large VALUES (1, decode(repeat('00ff5c0a', 1024 * 1024), 'hex'), 'x'),"
        r"(2, NULL, repeat(E'\\.' || chr(10), 1024 * 1024));"
        "CREATE TABLE as_text (LIKE large INCLUDING STORAGE, type regtype); INSERT INTO as_text SELECT * FROM large"
    )
    loaded = pair.load()
    assert binary(loaded) == {"large"}
    for table in ("large", "as_text"):
        rows = pair.source.rows(LARGE.format(table))
        assert [row[0] for row in rows] == [1, 2]
        assert pair.target.rows(LARGE.format(table)) == rows


def test_types_of_a_complete_installation(pair15: Pair) -> None:
    """XML, and types of extensions."""
    ddl = """
        CREATE TABLE documents (v xml);
        INSERT INTO documents VALUES ('<a b="1">&amp;<!-- x --></a>'), ('text<b/>'), (''), (NULL),
            ('<?xml version="1.0"?><!DOCTYPE a><a/>');
        CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube;
        CREATE TABLE t (h hstore, c citext, l ltree, d cube, hs hstore[]);
        INSERT INTO t VALUES ('a=>NULL, "b c"=>"\\"x,"', 'MiXed', 'a.b.c', '(1,2),(3,4.5)', ARRAY['x=>1'::hstore]);
    """
    pair15.source.psql(ddl)
    loaded = pair15.load_all()
    assert not binary(loaded)
    assert {name: found.rows for name, found in loaded.loaded.items()} == {"documents": 5, "t": 1}


NAMING = """
CREATE TABLE plain (id int PRIMARY KEY, v text UNIQUE);
CREATE VIEW v AS SELECT * FROM plain;
CREATE VIEW grouped AS SELECT id, v, count(*) AS n FROM plain GROUP BY id;
CREATE VIEW over_grouped AS SELECT n FROM grouped;
CREATE MATERIALIZED VIEW m AS SELECT * FROM v;
CREATE MATERIALIZED VIEW over_all AS SELECT o.n, m.id FROM over_grouped o, m;
CREATE FUNCTION f(v) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE SEQUENCE s;
CREATE TYPE pair AS (a int, b regclass);
CREATE DOMAIN d AS regclass;
CREATE TYPE names AS RANGE (subtype = oid);
CREATE TABLE relations (r regclass);
INSERT INTO relations VALUES ('v'), ('grouped'), ('over_grouped'), ('m'), ('plain_pkey'), ('plain_v_key'), ('s'),
    ('relations'), ('pg_class'), (NULL), (0), (987654321), ('pair');
CREATE TABLE domains (r d); INSERT INTO domains VALUES ('v'), ('grouped');
CREATE TABLE arrays (r regclass[], s d[]); INSERT INTO arrays VALUES ('{v,m,NULL}', '{grouped}');
CREATE TABLE composites (p pair, q pair[]); INSERT INTO composites VALUES ((1, 'v'), ARRAY[(2, 'm')::pair]);
CREATE TABLE types (r regtype); INSERT INTO types VALUES ('v'), ('grouped'), ('m'), ('int'), ('v[]');
CREATE TABLE functions (r regprocedure, p regproc); INSERT INTO functions VALUES ('f(v)', 'f'), ('sum(int)', 'now');
CREATE TABLE others (a regoper, b regoperator, c regconfig, d regdictionary, e regnamespace, f regrole, g regcollation);
INSERT INTO others VALUES ('||/', '=(int,int)', 'english', 'simple', 'public', 'postgres', '"C"');
CREATE TABLE computed (a int, r regclass GENERATED ALWAYS AS ('pg_class'::regclass) STORED);
INSERT INTO computed VALUES (1);
CREATE TABLE leaves (r regclass, n int) PARTITION BY LIST (n);
CREATE TABLE leaves1 PARTITION OF leaves FOR VALUES IN (1);
INSERT INTO leaves VALUES ('v', 1);
"""


def test_values_that_name_what_is_made_after_the_rows(pair: Pair) -> None:
    pair.source.psql(NAMING)
    pair.load_all()
    for view in ("grouped", "over_grouped", "over_all", "v"):
        statement = f"SELECT coalesce(string_agg(x::text, ';' ORDER BY x::text), '') FROM {view} x"
        assert pair.target.psql(statement) == pair.source.psql(statement)
    # Again, into a target that has everything.
    pair.source.psql("CREATE OR REPLACE VIEW v AS SELECT *, 1 AS more FROM plain; CREATE VIEW late AS SELECT 1;")
    pair.source.psql("INSERT INTO relations VALUES ('late')")
    pair.load_all()
