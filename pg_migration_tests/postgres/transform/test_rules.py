"""What a transform may not say: refused before the target is touched, naming the column and how many rows."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import pytest

from pg_migration.postgres.catalog import Catalog, discover
from pg_migration.postgres.catalog.values_path import DEFAULT_PATH
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.transform.document import parse
from pg_migration.postgres.transform.expressions import checked
from pg_migration.postgres.transform.probing import Source
from pg_migration.postgres.transform.transformation import Transformation, transform
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import session
from pg_migration_tests.postgres.transform.harness import KEY

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
TABLES = """
    CREATE DOMAIN small AS text CHECK (value = lower(value) AND length(value) < 20);
    CREATE DOMAIN filled AS text NOT NULL;
    CREATE FUNCTION seven() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN 7; END';
    CREATE FUNCTION fixed() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 7';
    CREATE TABLE p (
        id int PRIMARY KEY, code varchar(1) UNIQUE, name text NOT NULL, mail varchar(20), f filled, s small,
        amount int CHECK (amount > 0), day date, doc json, twice int GENERATED ALWAYS AS (amount * 2) STORED,
        label varchar(12), during int4range, EXCLUDE USING gist (during WITH &&), ref int, blob bytea);
    CREATE UNIQUE INDEX ON p ((left(label, 1)));
    CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p, code varchar(1) REFERENCES p (code));
    CREATE TABLE big (id bigint PRIMARY KEY, p int);
    CREATE TABLE heir (more text) INHERITS (big);
    CREATE TABLE parts (at date, who text, CHECK (who <> 'x')) PARTITION BY RANGE ((at + 1));
    CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
    CREATE TABLE old (v text); INSERT INTO old VALUES ('x'); ALTER TABLE old ADD CHECK (v = 'y') NOT VALID;
    CREATE TABLE "a.b" (x int); CREATE SCHEMA a; CREATE TABLE "a"."b.x" (x int);
    INSERT INTO p (id, code, name, mail, f, s, amount, day, doc, label, during)
      SELECT n, chr(64 + n), 'n', 'm@x', 'f', 's' || n, n, '2025-01-01', '{"a": [1, {"b": 2}]}',
        chr(64 + n) || 'Label', int4range(n, n + 1) FROM generate_series(1, 50) AS n;
    INSERT INTO c SELECT n, n, chr(64 + n) FROM generate_series(1, 50) AS n;
    INSERT INTO parts SELECT date '2025-01-01', 'w' FROM generate_series(1, 20);
    ANALYZE;
"""


CAST = "(SELECT label::int FROM p WHERE p.id = c.p) > 1"


@pytest.fixture(scope="module")
def database(postgres16: PostgresServer) -> Iterator[tuple[Catalog, Source]]:
    url = postgres16.create_database()
    postgres16.psql(url, TABLES)
    with session(url) as connection:
        yield discover(connection, {"public": "public"}), Source(connection, DEFAULT_PATH)
    postgres16.drop_database(url)


def made(database: tuple[Catalog, Source], document: Mapping[str, Any], **more: Any) -> Transformation:
    parsed = parse({"key": "env:K", **document}, "it", {"K": KEY})
    return transform(parsed, *database, NOW, **more)


def told(database: tuple[Catalog, Source], document: Mapping[str, Any]) -> str:
    try:
        return "\n".join(made(database, document).problems)
    except ConfigurationError as error:
        return str(error)


MASK_PROBLEMS: list[tuple[str, object, str]] = [
    ("p.id", None, "p.id, mask null: the column is part of a key. Such a column takes only email, hash, permute"),
    ("p.code", "digits", "part of a key"),
    ("c.p", {"fixed": 3}, "part of a key"),
    ("c.p", "hash", "c.p, mask hash: mask hash is for columns of text, and this one is of pg_catalog.int4"),
    ("p.name", None, "p.name, mask null: the column is NOT NULL"),
    ("p.f", "null", "p.f, mask null: the column is NOT NULL"),
    ("p.name", "sql: nullif(name, 'n')", "p.name: the mask makes 50 values of 50 NULL, and the column is NOT NULL"),
    (
        "p.f",
        "sql: nullif(f, 'f')",
        "NotNullViolation (SQLSTATE 23502); what the server says may show values that are masked",
    ),
    ("p.twice", "permute", "p.twice, mask permute: the column is generated; what it is computed from can be masked"),
    ("parts.at", "year", "partitions are chosen by this column"),
    ("parts.who", {"fixed": "x"}, "parts: the mask of who breaks check parts_who_check in 20 rows of 20"),
    ("parts_1.who", "hash", "parts_1 is a partition. What is said of public.parts holds for all partitions"),
    ("p.during", None, "an exclusion constraint compares this column"),
    ("p.amount", "sql: amount - 10", "p: the mask of amount breaks check p_amount_check in 10 rows of 50"),
    ("p.amount", "sql: 1 / (amount - 3)", "p: its rows can't be masked: DivisionByZero"),
    ("p.amount", "sql: name", "InvalidTextRepresentation (SQLSTATE 22P02)"),
    ("p.s", "sql: upper(s)", "p: its rows can't be masked: CheckViolation (SQLSTATE 23514)"),
    ("p.s", "hash", "It is the mask of s"),
    ("p.mail", "email", "an address of mask email takes 33 characters, the column 20"),
    ("p.mail", {"fixed": "x" * 21}, "the fixed value has 21 characters, the column takes 20"),
    ("p.mail", "sql: repeat(mail, 7)", "p.mail: the mask makes 50 values longer than the 20 characters"),
    ("p.code", "hash", "in unique index p_code_key"),
    ("p.label", "hash", "in unique index p_left_idx"),
    ("p.day", "hash", "mask hash is for columns of text"),
    ("p.blob", "permute", "mask permute is for columns of smallint, integer, bigint or uuid"),
    ("p.doc", {"redact_json": ["a.x.b"]}, "its rows can't be masked"),
    ("p.name", "sql: max(name)", "it has an aggregate function"),
    ("p.name", "sql: row_number() OVER ()", "it has a window function"),
    ("p.name", "sql: generate_series(1, 2)", "a function that returns sets"),
    ("p.name", "sql: (SELECT name FROM c LIMIT 1)", "it has a subquery"),
    ("p.amount", "sql: amount + seven()", "it has a volatile function"),
    ("p.amount", "sql: amount * random()", "it has a volatile function"),
    ("p.name", "sql: name; DROP TABLE p", "can't hold a semicolon"),
    ("p.name", "sql: name -- all", "can't hold a comment"),
    ("p.name", "sql: name) FROM c WHERE (true", "its brackets do not match"),
    ("p.name", "sql: 'open", "a quote is not closed"),
    ("p.name", "sql: nonsense", 'the source says: column "nonsense" does not exist'),
    ("p.name", "sql: '(' || name || ')' || $$;$$ || E'\\\\';'", "can't hold a semicolon"),
    ("p.name", "encrypt", "there is no such mask"),
    ("p.nothing", "hash", "the table has no column nothing"),
    ("q.x", "hash", "q: no migrated table is called so"),
]


@pytest.mark.parametrize(("column", "mask", "problem"), MASK_PROBLEMS)
def test_masks_that_can_not_be_are_refused(
    database: tuple[Catalog, Source], column: str, mask: object, problem: str
) -> None:
    table, name = column.split(".")
    assert problem in told(database, {"tables": {f"public.{table}": {"mask": {name: mask}}}})


@pytest.mark.parametrize(
    ("column", "mask"),
    [
        ("p.name", "sql: name || '; --' || $$)$$"),
        ("p.amount", "sql: amount + fixed()"),
        ("p.amount", "permute"),
        ("p.doc", {"redact_json": ["a.1.b"]}),
        ("p.day", "year"),
        ("p.day", "sql: (current_date - interval '1 day')::date"),
        ("p.id", "permute"),
        ("parts.who", "hash"),
    ],
)
def test_masks_that_can_be_are_not(database: tuple[Catalog, Source], column: str, mask: object) -> None:
    table, name = column.split(".")
    document = {"tables": {f"public.{table}": {"mask": {name: mask}}}}
    assert made(database, document, thorough=True).problems == ()


def test_what_is_read_is_told_in_one_order(database: tuple[Catalog, Source]) -> None:
    """By its text a run knows whether another one read the same: in another process, of other hashes of strings."""
    masks = {"mail": "digits", "day": "year", "name": "hash", "amount": "permute", "s": "digits"}
    one, other = (
        made(database, {"tables": {"public.p": {"mask": dict(given)}}}).tables["public", "p"]
        for given in (masks, reversed(masks.items()))
    )
    assert [name for name, _ in one.masks] == ["name", "mail", "s", "amount", "day"]
    assert one.masks == other.masks


def test_a_check_that_rows_need_not_obey_is_none(database: tuple[Catalog, Source]) -> None:
    assert made(database, {"tables": {"public.old": {"mask": {"v": "hash"}}}}).problems == ()


def test_what_only_an_heir_has_can_be_masked(database: tuple[Catalog, Source]) -> None:
    found = made(database, {"tables": {"public.heir": {"mask": {"more": "hash"}}}})
    assert found.problems == ()
    assert found.tables["public", "heir"].masked == {"more"}


# Conditions that fail for some rows, whose values are in the server's words.
FAILING: list[tuple[Mapping[str, Any], str]] = [
    ({"subset": {"roots": {"public.p": "label::int > 1"}}}, "subset: what came by the root public.p can't be chosen"),
    (
        {"subset": {"roots": {"public.p": "true"}, "children": ["public.c"]}, "tables": {"public.c": {"where": CAST}}},
        "subset: what came by public.c (code) to public.p",
    ),
    ({"tables": {"public.p": {"where": "label::int > 1", "mask": {"name": "hash"}}}}, "public.c and public.p, where: "),
    ({"tables": {"public.c": {"where": CAST, "mask": {"code": "hash"}}}}, "It is the condition"),
    ({"tables": {"public.p": {"mask": {"name": "hash", "mail": "sql: label::int::text"}}}}, "It is the mask of mail"),
]


@pytest.mark.parametrize(("document", "said"), FAILING)
def test_what_fails_is_named_without_values(
    database: tuple[Catalog, Source], document: Mapping[str, Any], said: str
) -> None:
    found = told(database, document)
    assert said in found
    assert "SQLSTATE 22P02" in found
    assert "Label" not in found
    assert '"A"' not in found


def test_other_ends_of_foreign_keys_are_masked_as_well(database: tuple[Catalog, Source]) -> None:
    found = made(database, {"tables": {"public.c": {"mask": {"p": "permute"}}}})
    assert found.derived == ("public.p.id",)
    assert found.tables["public", "p"].masked == {"id"}
    both = {"public.c": {"mask": {"p": "permute"}}, "public.p": {"mask": {"id": "hash"}}}
    assert "foreign keys connect columns with different masks" in told(database, {"tables": both})


OTHER_PROBLEMS: list[tuple[Mapping[str, Any], str]] = [
    (
        {"mask": {}},
        "there is no mask here, only key, subset, tables, foreign_keys, personal, large_objects, extension_rows",
    ),
    ({"tables": {"public.p": {"colour": 1}}}, "tables.public.p: there is no colour here, only where, rows, mask"),
    ({"tables": {"public.p": {"rows": "some"}}}, "there is only 'none'"),
    ({"tables": {"public.p": {"rows": "none", "where": "true"}}}, "there is either"),
    ({"tables": {"public.a.b.x": {}}}, "no migrated table is called so"),
    ({"tables": {"public.P": {}}}, "did you mean public.p"),
    (
        {"tables": {"public.p": {"where": "id"}}},
        "public.p, where: the source says: argument of AND must be type boolean",
    ),
    ({"tables": {"public.p": {"where": "id > random()"}}}, "public.p, where: it has a volatile function"),
    ({"tables": {"public.p": {"where": "day < 'today'"}}}, "'today' means another moment in each session"),
    ({"tables": {"public.p": {"where": "clock_timestamp() > day"}}}, "clock_timestamp means another moment"),
    ({"tables": {"public.p": {"where": "id <= 40"}}}, "public.c: 10 rows would point to rows of public.p"),
    (
        {"tables": {"public.p": {"rows": "none"}}},
        "public.c: 50 rows would point to rows of public.p that are not chosen",
    ),
    ({"extension_rows": "some"}, "extension_rows: expected a list of names"),
    ({"extension_rows": ["public.p"]}, "public.p: no migrated extension keeps rows of its users there"),
    ({"foreign_keys": "valid"}, "foreign_keys: there is only 'not_valid'"),
    (
        {"foreign_keys": "not_valid", "subset": {"roots": {"public.p": "true"}}},
        "foreign_keys: all foreign keys hold in a subset",
    ),
    ({"key": "MASK"}, "key: expected env:NAME"),
    ({"key": "env:LACKING"}, "the environment variable LACKING is not set; a key has at least 32 bytes"),
    ({"subset": {"roots": {}}}, "name the tables that rows are chosen of"),
    ({"subset": {"roots": {"public.p": "id = 1"}, "children": ["public.big"]}}, "public.big has no foreign key"),
    (
        {"subset": {"roots": {"public.p": "true"}, "references": [{"from": "public.c.id", "to": "public.p.doc"}]}},
        "public.c (id) to public.p: pg_catalog.int4 can't be compared with pg_catalog.json",
    ),
    ({"subset": {"roots": {"public.c": "true"}, "limit_rows": 60}}, "Most came by the root public.c (50)"),
]


@pytest.mark.parametrize(("document", "problem"), OTHER_PROBLEMS)
def test_what_can_not_be_meant_is_refused(
    database: tuple[Catalog, Source], document: Mapping[str, Any], problem: str
) -> None:
    assert problem in told(database, document)


def test_roots_that_choose_nothing_are_told_of(database: tuple[Catalog, Source]) -> None:
    found = made(database, {"subset": {"roots": {"public.c": "id < 0"}, "whole": ["public.big"]}})
    assert found.cautions == ("subset.roots: no row of public.c is chosen",)
    assert ("public", "p") in found.empty
    assert ("public", "big") not in found.empty


def test_rows_may_be_left_out_where_nothing_points_to_them(database: tuple[Catalog, Source]) -> None:
    tables = {"public.p": {"where": "id <= 40"}, "public.c": {"where": "p <= 40"}}
    assert made(database, {"tables": tables}).problems == ()


def test_a_short_key_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="has 9 bytes") as refused:
        parse({"key": "env:K"}, "it", {"K": "too short"})
    assert "too short" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a < now()", "a < CAST('2026-01-31T12:00:00+00:00' AS pg_catalog.timestamptz)"),
        ("pg_catalog . now ( )", "CAST('2026-01-31T12:00:00+00:00' AS pg_catalog.timestamptz)"),
        (
            "Current_Date - 1",
            "CAST(CAST('2026-01-31T12:00:00+00:00' AS pg_catalog.timestamptz) AS pg_catalog.date) - 1",
        ),
        (
            "LOCALTIMESTAMP(3)>x",
            "CAST(CAST('2026-01-31T12:00:00+00:00' AS pg_catalog.timestamptz) AS pg_catalog.timestamp)>x",
        ),
        ("\"now\" = 'now()' AND own.now() AND now", "\"now\" = 'now()' AND own.now() AND now"),
        ("x = $a$ now() $a$", "x = $a$ now() $a$"),
    ],
)
def test_all_sessions_have_one_moment(written: str, read: str) -> None:
    if "'now()'" in written:
        with pytest.raises(ConfigurationError, match="another moment"):
            checked(written, "where", NOW)
        return
    assert checked(written, "where", NOW) == read
