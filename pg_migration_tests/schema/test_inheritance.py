"""Inheritance: several parents, local and inherited columns and constraints."""

import pytest

from pg_migration_tests.schema.round_trip import Pair, assert_identical

CASES = {
    "two parents": """
        CREATE TABLE a (x int DEFAULT 1, y text);
        CREATE TABLE b (y text, z int);
        CREATE TABLE c (own int, x int DEFAULT 2) INHERITS (a, b);
    """,
    "constraints": """
        CREATE TABLE a (x int NOT NULL CHECK (x > 0), y int CHECK (y > 0) NO INHERIT);
        CREATE TABLE b (z int CHECK (z > 1)) INHERITS (a);
        CREATE TABLE c (x int CONSTRAINT a_x_check CHECK (x > 0)) INHERITS (a);
    """,
    "default of the parent not taken": """
        CREATE TABLE a (x int DEFAULT 1);
        CREATE TABLE b () INHERITS (a);
        ALTER TABLE b ALTER x DROP DEFAULT;
        CREATE TABLE c () INHERITS (a);
        ALTER TABLE c ALTER x SET DEFAULT 3;
    """,
    "generated": """
        CREATE TABLE a (x int, y int GENERATED ALWAYS AS (x * 2) STORED);
        CREATE TABLE b () INHERITS (a);
        CREATE TABLE c (x int, y int GENERATED ALWAYS AS (x * 3) STORED) INHERITS (a);
    """,
}


@pytest.mark.parametrize("ddl", CASES.values(), ids=CASES.keys())
def test_dumps_alike(pair: Pair, ddl: str) -> None:
    assert_identical(pair, ddl)


def test_not_null_that_only_the_child_has(alike: Pair) -> None:
    # 18 says this by a constraint, older servers by ALTER COLUMN: the dump of one can't be that of the other.
    assert_identical(
        alike, "CREATE TABLE a (x int); CREATE TABLE b () INHERITS (a); ALTER TABLE b ALTER x SET NOT NULL;"
    )


# A column that the parent got later, and children that were made alone, in an order of their own.
OUT_OF_ORDER = {
    "parent's column added later": """
        CREATE TABLE a (x int NOT NULL DEFAULT 7, CHECK (x > 0));
        CREATE TABLE b (y text CHECK (y <> '')) INHERITS (a);
        CREATE TABLE c (z int) INHERITS (b);
        ALTER TABLE a ADD COLUMN late int CHECK (late > 1);
        ALTER TABLE b ADD COLUMN later text DEFAULT 'l';
    """,
    "adopted": """
        CREATE TABLE a (x int, y text, CONSTRAINT c CHECK (x > 0));
        CREATE TABLE b (own int, y text, x int, CONSTRAINT c CHECK (x > 0));
        ALTER TABLE b INHERIT a;
    """,
    "adopted by two parents, with a later column": """
        CREATE TABLE a (x int);
        CREATE TABLE b (y int);
        CREATE TABLE c (y int, x int);
        ALTER TABLE c INHERIT a;
        ALTER TABLE c INHERIT b;
        ALTER TABLE b ADD COLUMN z int;
        CREATE TABLE d () INHERITS (c);
        ALTER TABLE a ADD COLUMN w int;
    """,
}
COLUMN_ORDER = """
    SELECT string_agg(format('%s.%s.%s.%s', attrelid::regclass, attname, attislocal, attinhcount), ' '
                      ORDER BY attrelid::regclass::text, attnum)
      FROM pg_attribute WHERE attrelid = ANY ('{a,b,c}'::regclass[]) AND attnum > 0
"""


@pytest.mark.parametrize("ddl", OUT_OF_ORDER.values(), ids=OUT_OF_ORDER.keys())
def test_children_keep_their_column_order(pair: Pair, ddl: str) -> None:
    assert_identical(pair, ddl + "CREATE TABLE IF NOT EXISTS c ();")
    assert pair.query(COLUMN_ORDER) == pair.source.psql(pair.source_url, COLUMN_ORDER).strip()
