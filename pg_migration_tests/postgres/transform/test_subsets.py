"""A subset holds what was chosen and what that needs, and nothing else; every foreign key holds in it."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pg_migration.postgres.migration import Result, plan
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transform.harness import Shop

# Cycles within a table and between two, keys of several columns, partitions with keys to and from them, tables without
# keys, a key that is compared by an operator of its own, a reference that nobody declared.
TABLES = """
    CREATE TABLE country (code text PRIMARY KEY, name text);
    CREATE TABLE usr (id int PRIMARY KEY, referrer int REFERENCES usr, country text REFERENCES country, gone boolean);
    CREATE TABLE team (id bigint PRIMARY KEY, boss int);
    CREATE TABLE member (id int PRIMARY KEY REFERENCES usr, team bigint REFERENCES team);
    ALTER TABLE team ADD FOREIGN KEY (boss) REFERENCES member;
    CREATE TABLE shop (region int, nr text, PRIMARY KEY (region, nr));
    CREATE TABLE ord (id int, placed date, usr int NOT NULL REFERENCES usr, region int, nr text,
        PRIMARY KEY (id, placed), FOREIGN KEY (region, nr) REFERENCES shop) PARTITION BY RANGE (placed);
    CREATE TABLE ord_1 PARTITION OF ord FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');
    CREATE TABLE ord_2 PARTITION OF ord FOR VALUES FROM ('2025-07-01') TO ('2026-01-01') PARTITION BY HASH (id);
    CREATE TABLE ord_3 PARTITION OF ord_2 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE TABLE product (id numeric PRIMARY KEY, kind text);
    CREATE TABLE item (ord int, placed date, product numeric REFERENCES product, n int,
        FOREIGN KEY (ord, placed) REFERENCES ord);
    CREATE TABLE pay (ord int, placed date) PARTITION BY RANGE (placed);
    CREATE TABLE pay_1 PARTITION OF pay DEFAULT;
    ALTER TABLE pay_1 ADD FOREIGN KEY (ord, placed) REFERENCES ord;
    CREATE TABLE address (usr int REFERENCES usr, street text);
    CREATE TABLE event (who bigint, what text);
    CREATE TABLE unreached (id int PRIMARY KEY);
    INSERT INTO country SELECT 'c' || n, 'Country ' || n FROM generate_series(1, 20) AS n;
    INSERT INTO usr SELECT n, CASE WHEN n % 3 = 0 THEN n / 3 END, 'c' || 1 + n % 10, n % 7 = 0
      FROM generate_series(1, 600) AS n;
    INSERT INTO team SELECT n FROM generate_series(1, 60) AS n;
    INSERT INTO member SELECT n, 1 + n % 60 FROM generate_series(1, 600, 2) AS n;
    UPDATE team SET boss = id * 2 + 1 WHERE id % 4 = 0;
    UPDATE usr SET referrer = 600 WHERE id = 1;
    INSERT INTO shop SELECT n / 10, (n % 10)::text FROM generate_series(0, 49) AS n;
    INSERT INTO ord SELECT n, date '2025-01-01' + n % 365, 1 + n * 7 % 600, CASE WHEN n % 2 = 0 THEN n % 5 END,
        (n % 10)::text FROM generate_series(1, 2000) AS n;
    INSERT INTO product SELECT n, 'k' FROM generate_series(1, 100) AS n;
    INSERT INTO item SELECT o.id, o.placed, 1 + (o.id * 3 + k) % 100, k FROM ord o, generate_series(1, 3) AS k;
    INSERT INTO pay SELECT id, placed FROM ord;
    INSERT INTO address SELECT n, 'street' FROM generate_series(1, 600) AS n;
    INSERT INTO event SELECT n, 'e' FROM generate_series(1, 600) AS n;
    INSERT INTO unreached VALUES (1);
    ANALYZE;
"""
SUBSET: Mapping[str, Any] = {
    "subset": {
        "roots": {
            "public.ord": "placed >= '2025-12-01'",
            "public.event": "who IN (SELECT id FROM usr WHERE id = 599)",
            "public.usr": "id BETWEEN 101 AND 104",
        },
        "children": ["public.item", "public.address", "public.pay"],
        "whole": ["public.country"],
        "references": [{"from": "public.event.who", "to": "public.usr.id"}],
    },
    "tables": {"public.address": {"where": "usr % 2 = 0"}},
}
# What has to be there, by a query that knows nothing of ours.
CHOSEN = """
WITH RECURSIVE o AS (SELECT * FROM ord WHERE placed >= '2025-12-01'),
needed(what, id) AS (
    SELECT 'usr', usr FROM o
    UNION SELECT 'usr', 599
    UNION SELECT 'usr', generate_series(101, 104)
    UNION
    SELECT e.what, e.id FROM needed k JOIN LATERAL (
        SELECT 'usr' AS what, u.referrer AS id FROM usr u
         WHERE k.what = 'usr' AND u.id = k.id AND u.referrer IS NOT NULL
        UNION ALL SELECT 'usr', k.id WHERE k.what = 'member'
        UNION ALL SELECT 'team', m.team::int FROM member m WHERE k.what = 'member' AND m.id = k.id
        UNION ALL SELECT 'member', t.boss FROM team t WHERE k.what = 'team' AND t.id = k.id AND t.boss IS NOT NULL
    ) AS e ON true)
SELECT 'usr', count(*), sum(id) FROM needed WHERE what = 'usr'
UNION ALL SELECT 'member', count(*), sum(id) FROM needed WHERE what = 'member'
UNION ALL SELECT 'team', count(*), sum(id) FROM needed WHERE what = 'team'
UNION ALL SELECT 'ord', count(*), sum(id) FROM o
UNION ALL SELECT 'item', count(*), sum(n) FROM item i
  WHERE EXISTS (SELECT FROM o WHERE (o.id, o.placed) = (i.ord, i.placed))
UNION ALL SELECT 'product', count(*), sum(id)::int FROM product p
  WHERE EXISTS (SELECT FROM item i JOIN o ON (o.id, o.placed) = (i.ord, i.placed) WHERE i.product = p.id)
UNION ALL SELECT 'shop', count(*), sum(region) FROM shop s
  WHERE EXISTS (SELECT FROM o WHERE (s.region, s.nr) = (o.region, o.nr))
UNION ALL SELECT 'address', count(*), sum(usr) FROM address
  WHERE usr BETWEEN 101 AND 104 AND usr % 2 = 0
UNION ALL SELECT 'country', count(*), 0 FROM country
UNION ALL SELECT 'event', 1, 599
UNION ALL SELECT 'pay', count(*), sum(id) FROM o
UNION ALL SELECT 'unreached', 0, NULL
ORDER BY 1
"""
THERE = """
SELECT 'usr', count(*), sum(id) FROM usr UNION ALL SELECT 'member', count(*), coalesce(sum(id), NULL) FROM member
UNION ALL SELECT 'team', count(*), sum(id) FROM team UNION ALL SELECT 'ord', count(*), sum(id) FROM ord
UNION ALL SELECT 'item', count(*), sum(n) FROM item UNION ALL SELECT 'product', count(*), sum(id)::int FROM product
UNION ALL SELECT 'shop', count(*), sum(region) FROM shop UNION ALL SELECT 'address', count(*), sum(usr) FROM address
UNION ALL SELECT 'country', count(*), 0 FROM country UNION ALL SELECT 'event', count(*), sum(who) FROM event
UNION ALL SELECT 'pay', count(*), sum(ord) FROM pay
UNION ALL SELECT 'unreached', count(*), sum(id) FROM unreached ORDER BY 1
"""


@pytest.fixture(scope="module")
def shop(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Shop]:
    urls = postgres16.create_database(), postgres18.create_database()
    made = Shop(postgres16, postgres18, urls)
    made.in_source(TABLES)
    yield made
    postgres16.drop_database(urls[0])
    postgres18.drop_database(urls[1])


@pytest.fixture(scope="module")
def result(shop: Shop) -> Result:
    return shop.migrate(SUBSET)


def test_a_subset_is_complete_and_no_larger_than_it_has_to_be(shop: Shop, result: Result) -> None:
    assert result.failures == ()
    chosen = shop.in_source(CHOSEN)
    assert "usr|" in chosen
    assert shop.in_target(THERE) == chosen
    valid = "SELECT count(*), bool_and(convalidated) FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"
    assert shop.in_target(valid) == shop.in_source(valid)


@pytest.mark.usefixtures("result")
def test_it_is_proved_later_too_and_what_the_source_adds_is_told(shop: Shop) -> None:
    assert shop.validate(SUBSET).failures == ()
    shop.in_target("UPDATE usr SET gone = NOT gone WHERE id = 599")
    (told,) = shop.validate(SUBSET).failures
    assert told.startswith("public.usr: 1 row differs, of a subset; the source did not change since the copy")
    shop.in_target("UPDATE usr SET gone = NOT gone WHERE id = 599")
    shop.in_source("INSERT INTO item VALUES (1000, date '2025-01-01' + 1000 % 365, 1, 9)")
    assert shop.validate(SUBSET).failures == ()
    shop.in_source("INSERT INTO event VALUES (599, 'new')")
    (told,) = shop.validate(SUBSET).failures
    assert "public.event: 2 rows in the source, 1 in the target, 1 row differs, of a subset" in told
    assert "the source changed since the copy" in told


@pytest.mark.usefixtures("result")
def test_what_is_only_pointed_to_brings_no_children(shop: Shop) -> None:
    """A product that items point to brings no other items, but a product that is chosen does; its orders do not."""
    forecast = plan(shop.migration({"subset": {"roots": {"public.product": "id = 5"}, "children": ["public.item"]}}))
    rows = {table.table: table.rows for table in forecast.tables}
    expected = int(shop.in_source("SELECT count(*) FROM item WHERE product = 5"))
    assert rows["public.item"] == expected
    assert rows["public.ord_1"] + rows["public.ord_3"] == expected
    assert rows["public.product"] == 1


def test_chosen_rows_are_looked_up_and_not_searched_for(
    postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str
) -> None:
    """Roots and parents have an index here, so nobody reads a whole table: no choice, no copy and no hash."""
    shop = Shop(postgres16, postgres18, (source_db, target_db))
    shop.in_source("""
        CREATE TABLE users (id int PRIMARY KEY, name text);
        CREATE TABLE placed (id int PRIMARY KEY, place int REFERENCES users);
        INSERT INTO users SELECT n, repeat('n', 50) FROM generate_series(1, 20000) AS n;
        INSERT INTO placed SELECT n, 20001 - n FROM generate_series(1, 20000) AS n;
        ANALYZE;
    """)
    shop.in_source("SELECT pg_stat_force_next_flush()")
    scans = "SELECT sum(seq_scan) FILTER (WHERE relname = 'placed'), sum(seq_tup_read) FROM pg_stat_user_tables"
    before = [int(number) for number in shop.in_source(scans).split("|")]
    assert shop.migrate({"subset": {"roots": {"public.placed": "id > 18000"}}}).failures == ()
    assert shop.in_target("SELECT count(*), min(id) FROM users") == "2000|1"
    after = [int(number) for number in shop.in_source(scans).split("|")]
    assert (after[0] - before[0], after[1] - before[1]) == (0, 0)
