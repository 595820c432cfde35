"""Extended statistics."""

CASES = {
    "kinds and expressions": """
        CREATE TABLE t (a int, b int, c text);
        CREATE STATISTICS s (ndistinct, mcv) ON a, b FROM t;
        CREATE STATISTICS e ON lower(c), (a + b) FROM t;
        ALTER STATISTICS s SET STATISTICS 50;
        COMMENT ON STATISTICS s IS 'both';
    """,
}
