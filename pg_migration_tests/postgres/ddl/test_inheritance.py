"""Inheritance: several parents, local and inherited columns and constraints."""

from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_identical


def test_not_null_that_only_the_child_has(alike: Pair) -> None:
    # 18 says this by a constraint, older servers by ALTER COLUMN: the dump of one can't be that of the other.
    assert_identical(
        alike, "CREATE TABLE a (x int); CREATE TABLE b () INHERITS (a); ALTER TABLE b ALTER x SET NOT NULL;"
    )
