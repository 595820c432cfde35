"""Extended statistics."""

import pytest

from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_identical

CASES = {
    "kinds and expressions": """
        CREATE TABLE t (a int, b int, c text);
        CREATE STATISTICS s (ndistinct, mcv) ON a, b FROM t;
        CREATE STATISTICS e ON lower(c), (a + b) FROM t;
        ALTER STATISTICS s SET STATISTICS 50;
        COMMENT ON STATISTICS s IS 'both';
    """,
}


@pytest.mark.parametrize("ddl", CASES.values(), ids=CASES.keys())
def test_dumps_alike(pair: Pair, ddl: str) -> None:
    assert_identical(pair, ddl)
