"""Collations."""

import pytest

from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_identical

CASES = {
    "libc": """
        CREATE COLLATION c (LOCALE = 'C');
        CREATE COLLATION mixed (LC_COLLATE = 'C', LC_CTYPE = 'POSIX');
        CREATE TABLE t (a text COLLATE c, b text COLLATE "POSIX");
        CREATE INDEX ON t (a COLLATE mixed);
    """,
}


@pytest.mark.parametrize("ddl", CASES.values(), ids=CASES.keys())
def test_dumps_alike(pair: Pair, ddl: str) -> None:
    assert_identical(pair, ddl)
