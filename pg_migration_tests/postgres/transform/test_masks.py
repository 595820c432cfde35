"""A copy with masks: nothing of a person in it, everything else as it was, and proved."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pg_migration.postgres.migration import Result
from pg_migration.postgres.transform.transformation import Transformation
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transform.harness import BEFORE, KEY, MASKS, OTHER_KEY, SHOP, Shop, hashed


@pytest.fixture(scope="module")
def shop(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Shop]:
    urls = postgres16.create_database(), postgres18.create_database()
    made = Shop(postgres16, postgres18, urls)
    made.in_source(BEFORE + SHOP)
    yield made
    postgres16.drop_database(urls[0])
    postgres18.drop_database(urls[1])


@pytest.fixture(scope="module")
def result(shop: Shop) -> Result:
    return shop.migrate(MASKS)


def test_everything_is_copied_and_proved(shop: Shop, result: Result) -> None:
    assert result.failures == ()
    assert shop.validate(MASKS).failures == ()


def test_no_personal_value_is_in_the_target_or_in_what_the_run_tells(shop: Shop, result: Result) -> None:
    """Rows, statistics, generated columns, materialized views, the ledger: all is in a dump, or is one."""
    values = shop.personal_values()
    assert len(set(values)) == 1000
    everything = shop.dump() + repr(result)
    assert len(everything) > 100_000
    assert [value for value in values if value in everything] == []
    assert KEY not in everything


@pytest.mark.usefixtures("result")
def test_masks_are_what_they_are_said_to_be(shop: Shop) -> None:
    people = shop.in_source('SELECT "full %Name" FROM users').splitlines()
    masked = shop.in_target('SELECT "full %Name" FROM users').splitlines()
    assert sorted(masked) == sorted(hashed(name, "public.users.full %Name")[:30] for name in people)
    of_parents = shop.in_target("SELECT name FROM ONLY parent UNION ALL SELECT name FROM child").splitlines()
    assert sorted(of_parents) == sorted(hashed(name, "public.parent.name") for name in people)
    one = "SELECT {} FROM users WHERE email = (SELECT email FROM users ORDER BY 1 LIMIT 1)"
    assert "@example.invalid" in shop.in_target(one.format("email"))
    assert "shaped" not in shop.in_target(one.format("phone"))
    shapes = "SELECT DISTINCT regexp_replace(phone, '[0-9]', '9', 'g') FROM users"
    assert shop.in_target(shapes) == shop.in_source(shapes)
    assert shop.in_target("SELECT DISTINCT card IS NULL, tags, profile -> 'contact' FROM users") == (
        't|{masked}|{"phone": null}'
    )
    assert shop.in_target("SELECT DISTINCT born AT TIME ZONE 'UTC' FROM users ORDER BY 1").splitlines() == [
        "1970-01-01 00:00:00",
        "1971-01-01 00:00:00",
    ]
    assert shop.in_target("SELECT count(DISTINCT note), min(note) FROM visits") == "1|PAG%"
    assert shop.in_target("SELECT sum((profile ->> 'n')::int) FROM users") == str(250 * 251 // 2)


@pytest.mark.usefixtures("result")
def test_joins_and_what_is_computed_follow_the_masks(shop: Shop) -> None:
    joined = """
        SELECT count(*), count(DISTINCT u.id), count(r.id) FROM "We.ird ""T" w JOIN users u
          ON u.id = w."Us%r" AND u.email = w."Mail" LEFT JOIN users r ON r.id = u.referrer"""
    assert shop.in_target(joined) == shop.in_source(joined)
    assert shop.in_target("SELECT bool_and(shown = email || ' ' || state_of(id)) FROM users") == "t"
    assert shop.in_target("SELECT bool_and(a.email = u.email) FROM addresses a JOIN users u USING (email)") == "t"
    assert shop.in_target("SELECT bool_and(id BETWEEN 1 AND 2^52), count(DISTINCT id) FROM users") == "t|250"
    assert shop.in_target("SELECT nextval('users_id_seq') > max(id) FROM users") == "t"


@pytest.mark.usefixtures("result")
def test_rows_are_those_that_were_chosen(shop: Shop) -> None:
    moods = "SELECT count(*), count(DISTINCT n), count(DISTINCT who) FROM moods"
    assert shop.in_target(moods) == shop.in_source(moods + " WHERE n <= 200")
    assert shop.in_target("SELECT count(*) FROM sessions") == "0"
    assert shop.in_target("SELECT count(*), max(at) FROM visits") == shop.in_source(
        "SELECT count(*), max(at) FROM visits WHERE at < '2025-10-01'"
    )


@pytest.mark.usefixtures("result")
def test_what_can_not_be_compared_is_refused(shop: Shop) -> None:
    """Another file, another key, none: the rows would not be the same, and that says nothing."""
    assert "copied with a transform, and this run has none" in shop.validate().failures[0]
    other = {**MASKS, "personal": {"ignore": ["public.parent.x"]}}
    assert "copied with another transform, or another key" in shop.validate(other).failures[0]
    shop = replace(shop, key=OTHER_KEY)
    assert "copied with another transform, or another key" in shop.validate(MASKS).failures[0]


@pytest.mark.usefixtures("result")
def test_rows_that_differ_are_named_as_they_are_in_the_target(shop: Shop) -> None:
    """Also where the target was changed: the source's keys stay in the source."""
    shop.in_target("UPDATE users SET phone = '1' WHERE id = (SELECT min(id) FROM users)")
    found = shop.validate(MASKS)
    shop.in_target("DROP TABLE parent CASCADE")
    (told,) = found.failures
    assert "1 row differs, 9 columns masked; the source did not change since the copy" in told
    ((difference,),) = found.outcomes.differences.values()
    assert difference.row == f"({shop.in_target('SELECT min(id) FROM users')})"
    assert difference.columns == ("phone",)
    missing = shop.validate(MASKS)
    assert not missing.succeeded
    values = shop.personal_values()
    assert [value for value in values if value in repr(found) + repr(missing)] == []


@pytest.mark.longer
@pytest.mark.usefixtures("result")
def test_another_run_makes_the_same_and_another_key_makes_nothing_alike(shop: Shop) -> None:
    query = """SELECT id, email, "full %Name", trim(phone) FROM users"""
    assert shop.migrate(MASKS).failures == ()
    first = set(shop.in_target(query).splitlines())
    shop.in_source("UPDATE users SET card = card WHERE id = 1")
    assert shop.migrate(MASKS).failures == ()
    assert set(shop.in_target(query).splitlines()) == first
    shop = replace(shop, key=OTHER_KEY)
    assert shop.migrate(MASKS).failures == ()
    second = shop.in_target(query).splitlines()
    values = {value for line in first for value in line.split("|")}
    assert [line for line in second if not values.isdisjoint(line.split("|"))] == []


@pytest.mark.usefixtures("result")
def test_nothing_is_read_where_a_mistake_leaves_the_transform_out(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Transformation, "applied", lambda _, catalog: catalog)
        assert shop.migrate(MASKS).failures == (
            "the transform is not applied to what would be read; no row was copied",
        )
    dump = shop.dump()
    assert [value for value in shop.personal_values() if value in dump] == []
