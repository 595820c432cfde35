"""The data that is migrated: each set stresses another part of a migration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pg_migration.devtools.benchmark.application import application

SMALL_TABLES = 300


@dataclass(frozen=True)
class Dataset:
    """Tables to migrate. ``sql`` makes them, with ``rows`` rows in the large ones; ``rows`` is the default.

    ``distant``: there is a line between the client and each server, which takes time and has a width.
    """

    description: str
    rows: int
    sql: Callable[[int], str]
    distant: bool = False


def _narrow(rows: int) -> str:
    return f"""
        CREATE TABLE narrow (id bigint PRIMARY KEY, a int, b int, at timestamptz);
        INSERT INTO narrow SELECT i, i % 1000, (i::bigint * 7919 % 100003)::int,
            '2024-01-01'::timestamptz + i * interval '1 second' FROM generate_series(1, {rows}) AS i;
        CREATE INDEX ON narrow (b);
    """


def _wide(rows: int) -> str:
    return f"""
        CREATE TABLE wide (
            id bigint PRIMARY KEY, name text, note text, amount numeric(12,2), document jsonb, at timestamptz
        );
        INSERT INTO wide SELECT i, md5(i::text), repeat(md5((i * 3)::text), 4), i / 7.0,
            jsonb_build_object('id', i, 'tags', jsonb_build_array('a', i % 10), 'text', md5((i * 5)::text)),
            '2024-01-01'::timestamptz + i * interval '1 second'
            FROM generate_series(1, {rows}) AS i;
        CREATE INDEX ON wide (name);
    """


def _both(rows: int) -> str:
    return f"{_narrow(rows)} {_wide(max(1, rows * 3 // 8))} CREATE INDEX ON wide (at);"


def _toast(rows: int) -> str:
    return f"""
        CREATE TABLE documents (id bigint PRIMARY KEY, body text);
        ALTER TABLE documents ALTER body SET STORAGE EXTERNAL;
        INSERT INTO documents SELECT i, repeat(md5(i::text), 600) FROM generate_series(1, {rows}) AS i;
    """


def _uuid(rows: int) -> str:
    return f"""
        CREATE TABLE keyed (id uuid PRIMARY KEY, v text);
        INSERT INTO keyed SELECT md5(i::text)::uuid, md5((i * 3)::text) FROM generate_series(1, {rows}) AS i;
    """


def _small(rows: int) -> str:
    return f"""
        DO $$BEGIN FOR t IN 1..{SMALL_TABLES} LOOP
            EXECUTE format('CREATE TABLE small_%s (id int PRIMARY KEY, v text, n numeric)', t);
            EXECUTE format('INSERT INTO small_%s SELECT i, md5(i::text), i / 7.0 FROM generate_series(1, {rows}) i', t);
            EXECUTE format('CREATE INDEX ON small_%s (v)', t);
        END LOOP; END$$;
    """


def _indexed(rows: int) -> str:
    return f"""
        CREATE TABLE indexed (id bigint PRIMARY KEY, a int, b int, c text, at timestamptz);
        INSERT INTO indexed SELECT i, (i::bigint * 7919 % 100003)::int, i % 500, md5(i::text),
            '2024-01-01'::timestamptz + (i::bigint * 7919 % 1000003) * interval '1 second'
            FROM generate_series(1, {rows}) AS i;
        CREATE INDEX ON indexed (a);
        CREATE INDEX ON indexed (b, a);
        CREATE INDEX ON indexed (c);
        CREATE INDEX ON indexed (at);
    """


DATASETS: Mapping[str, Dataset] = {
    "both": Dataset("narrow rows and 3/8 as many wide ones, five indexes (rows of the narrow table)", 4_000_000, _both),
    "narrow": Dataset("narrow rows, one index beside the key", 4_000_000, _narrow),
    "wide": Dataset("text, jsonb, numeric", 1_500_000, _wide),
    "toast": Dataset("values of 19 kB, stored out of line", 50_000, _toast),
    "uuid": Dataset("keys in no physical order", 1_500_000, _uuid),
    "small": Dataset(f"{SMALL_TABLES} small tables (rows of each)", 100, _small),
    "app": Dataset("the 173 tables of an application, five of them large (rows of those)", 45_000, application),
    "wan": Dataset("narrow rows, over a long line", 1_000_000, _narrow, distant=True),
    "indexed": Dataset("one table, five indexes", 3_000_000, _indexed),
}
