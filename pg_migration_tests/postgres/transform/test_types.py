"""Masks of types that contrib brings, and of others that texts are kept in: joins stay what they are."""

from collections.abc import Iterator

import pytest

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transform.harness import Shop

TABLES = """
    CREATE EXTENSION citext;
    CREATE SCHEMA "Own.s";
    CREATE DOMAIN "Own.s"."d %" AS citext CHECK (length(value::text) > 2);
    CREATE TABLE "Own.s"."T" (mail citext PRIMARY KEY, other "Own.s"."d %", padded char(12) UNIQUE, id smallint UNIQUE,
        big bigint, u uuid UNIQUE, at date, ts timestamp, tz timestamptz, doc json, one json);
    CREATE TABLE "Own.s".r (mail citext REFERENCES "Own.s"."T", padded varchar(12) REFERENCES "Own.s"."T" (padded),
        id int REFERENCES "Own.s"."T" (id), u uuid REFERENCES "Own.s"."T" (u));
    INSERT INTO "Own.s"."T" SELECT 'User' || n || '@X.example', 'Other' || n, 'p' || n, n - 100, -n, md5(n::text)::uuid,
        date '1990-06-15' + n, timestamp '1990-06-15 12:00' + n * interval '1 day', timestamptz '1990-12-31 23:30+00',
        '{"a": {"b": "secret", "c": 1}, "x": 2}', '"secret"' FROM generate_series(1, 200) AS n;
    INSERT INTO "Own.s".r SELECT upper(mail::text)::citext, trim(padded), id, u FROM "Own.s"."T";
    ANALYZE;
"""
MASKS = {
    "key": "env:MASK_KEY",
    "tables": {
        '"Own.s"."T"': {
            "mask": {
                "mail": "hash",
                "other": "email",
                "id": "permute",
                "padded": "hash",
                "big": "permute",
                "u": "permute",
                "at": "year",
                "ts": "year",
                "tz": "year",
                "doc": {"redact_json": ["a.b", ["x"]]},
                "one": {"redact_json": ["a"]},
            }
        }
    },
}


@pytest.fixture
def shop(postgres15: PostgresServer) -> Iterator[Shop]:
    """From 15 to 15: the other servers have no contrib."""
    urls = postgres15.create_database(), postgres15.create_database()
    made = Shop(postgres15, postgres15, urls)
    made.in_source(TABLES)
    yield made
    for url in urls:
        postgres15.drop_database(url)


def test_types(shop: Shop) -> None:
    result = shop.migrate(MASKS, schemas="Own.s")
    assert result.failures == ()
    joined = """SELECT count(*) FROM "Own.s"."T" t JOIN "Own.s".r USING (mail) WHERE t.padded = r.padded AND t.id = r.id
        AND t.u = r.u"""
    assert shop.in_target(joined) == "200"
    different = """
        SELECT count(DISTINCT mail), count(DISTINCT padded), count(DISTINCT big), max(big) < 0 FROM "Own.s"."T" """
    assert shop.in_target(different) == "200|200|200|t"
    assert shop.in_target("""SELECT DISTINCT doc::text, one::text FROM "Own.s"."T" """) == (
        '{"a": {"b": null, "c": 1}, "x": null}|null'
    )
    years = """SELECT DISTINCT at, ts, tz AT TIME ZONE 'UTC' FROM "Own.s"."T" ORDER BY 1 LIMIT 1"""
    assert shop.in_target(years) == "1990-01-01|1990-01-01 00:00:00|1990-01-01 00:00:00"
    dump = shop.dump()
    assert [text for text in ("User7", "USER7", "Other7", "secret", "@X") if text in dump] == []
