"""Materialized views, filled or not."""

CASES = {
    "filled and empty": """
        CREATE TABLE t (a int, b text);
        CREATE MATERIALIZED VIEW m WITH (fillfactor = 80) AS SELECT a, b FROM t;
        CREATE UNIQUE INDEX ON m (a);
        ALTER TABLE m CLUSTER ON m_a_idx;
        CREATE MATERIALIZED VIEW e AS SELECT 1 AS x WITH NO DATA;
        ALTER MATERIALIZED VIEW m ALTER b SET STORAGE EXTERNAL, ALTER a SET STATISTICS 5;
        COMMENT ON MATERIALIZED VIEW m IS 'm';
    """,
    "on each other": """
        CREATE MATERIALIZED VIEW z AS SELECT 1 AS a;
        CREATE VIEW y AS SELECT * FROM z;
        CREATE MATERIALIZED VIEW a AS SELECT * FROM y;
    """,
    "filled from one that was emptied": """
        CREATE MATERIALIZED VIEW a AS SELECT 1 AS x;
        CREATE MATERIALIZED VIEW b AS SELECT * FROM a;
        REFRESH MATERIALIZED VIEW a WITH NO DATA;
    """,
}
