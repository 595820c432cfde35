"""Rows that others point to may be left out, where the transform says so: such foreign keys are NOT VALID."""

from typing import Any

import pytest

from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transform.harness import Shop

TABLES = """
    CREATE TABLE users (id int PRIMARY KEY, mail text UNIQUE, boss int REFERENCES users);
    CREATE TABLE "or""ders %" (id int PRIMARY KEY, "us er" int, CONSTRAINT "k%s"";" FOREIGN KEY ("us er")
      REFERENCES users ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE early (who int);
    ALTER TABLE early ADD CONSTRAINT early_fk FOREIGN KEY (who) REFERENCES users NOT VALID;
    CREATE TABLE other (item int REFERENCES "or""ders %");
    CREATE TABLE none (who int REFERENCES users);
    CREATE TABLE countries (code int PRIMARY KEY);
    CREATE TABLE cities (country int REFERENCES countries);
    INSERT INTO users SELECT n, 'u' || n, nullif(n - 1, 0) FROM generate_series(1, 100) AS n;
    INSERT INTO "or""ders %" SELECT n, n % 100 + 1 FROM generate_series(1, 300) AS n;
    INSERT INTO early SELECT n FROM generate_series(1, 100) AS n;
    INSERT INTO other SELECT n FROM generate_series(1, 300) AS n;
    INSERT INTO none SELECT n FROM generate_series(1, 100) AS n;
    INSERT INTO countries VALUES (1); INSERT INTO cities VALUES (1);
    ANALYZE;
"""
PARTITIONED = """
    CREATE TABLE visits (who int REFERENCES users, at int) PARTITION BY LIST (at);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
    INSERT INTO visits SELECT n, 1 FROM generate_series(1, 100) AS n;
"""
CHOSEN: dict[str, Any] = {
    "foreign_keys": "not_valid",
    "tables": {"public.users": {"where": "id <= 50"}, "public.none": {"rows": "none"}},
}
STATES = """
    SELECT string_agg(conname, ' ' ORDER BY conname COLLATE "C") FROM pg_constraint
     WHERE contype = 'f' AND convalidated AND conparentid = 0 AND connamespace = 'public'::regnamespace
"""
BROKEN = {"users_boss_fkey", 'k%s";', "early_fk", "visits_who_fkey"}


@pytest.fixture
def shop(postgres16: PostgresServer, postgres18: PostgresServer, source_db: str, target_db: str) -> Shop:
    made = Shop(postgres16, postgres18, (source_db, target_db))
    made.in_source(TABLES + PARTITIONED)
    return made


def valid(shop: Shop) -> str:
    return shop.in_target(STATES)


@pytest.mark.parametrize("refresh", ["in_place", pytest.param("swap", marks=pytest.mark.longer)])
def test_what_rows_may_break_is_not_valid(shop: Shop, refresh: str) -> None:
    everything = 'cities_country_fkey k%s"; none_who_fkey other_item_fkey users_boss_fkey visits_who_fkey'
    assert shop.migrate(refresh=refresh).failures == ()
    assert valid(shop) == everything
    dump = shop.target.dump_schema(shop.urls[1], "public")
    for _ in range(2):
        result = shop.migrate(CHOSEN, refresh=refresh)
        assert result.failures == ()
        assert shop.in_target('SELECT count(*) FROM users UNION ALL SELECT count(*) FROM "or""ders %"') == "50\n300"
        assert valid(shop) == "cities_country_fkey none_who_fkey other_item_fkey"
        assert shop.validate(CHOSEN).failures == ()
    there = shop.target.dump_schema(shop.urls[1], "public").splitlines()
    added = [line for line in there if line.endswith(" NOT VALID;")]
    assert len(added) == len(BROKEN)
    assert [line.replace(" NOT VALID;", ";") for line in there if "early_fk" not in line] == [
        line for line in dump.splitlines() if "early_fk" not in line
    ]
    with pytest.raises(AssertionError, match="violates foreign key"):  # new rows are checked
        shop.in_target("INSERT INTO early VALUES (77)")
    shop.in_target("ALTER TABLE other DROP CONSTRAINT other_item_fkey")
    assert "other_item_fkey" in "".join(shop.validate(CHOSEN).failures)
    assert shop.migrate(refresh=refresh).failures == ()
    assert (valid(shop), shop.target.dump_schema(shop.urls[1], "public")) == (everything, dump)


def test_partitioned_tables_take_it_only_since_18(postgres16: PostgresServer, source_db: str) -> None:
    shop = Shop(postgres16, postgres16, (source_db, postgres16.create_database()))
    shop.in_source(TABLES)
    assert shop.refused(CHOSEN) == []
    shop.in_source(PARTITIONED)
    (told,) = shop.refused(CHOSEN)
    assert "foreign key visits_who_fkey of public.visits would be NOT VALID" in told
