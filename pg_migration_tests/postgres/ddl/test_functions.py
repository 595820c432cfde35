"""Functions and procedures, whatever they are written in."""

from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_identical, migrate

# An argument called json: 16 and later read that only in quotes, and the dump of an older server does not quote it.
KEYWORD = (
    """CREATE FUNCTION f("json" json, "values" int, "Mixed Case" text) RETURNS json LANGUAGE sql AS 'SELECT $1';"""
)


def test_argument_whose_name_became_a_keyword(alike: Pair) -> None:
    assert_identical(alike, KEYWORD)


def test_argument_whose_name_becomes_a_keyword(upgrade: Pair) -> None:
    upgrade.load(KEYWORD)
    assert migrate(upgrade).failures == []
    assert upgrade.query("SELECT proargnames FROM pg_proc WHERE proname = 'f'") == '{json,values,"Mixed Case"}'
    assert migrate(upgrade).plan.create == ()
