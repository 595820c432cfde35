"""Indexes."""

CASES = {
    "expressions, predicates and orders": """
        CREATE FUNCTION f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        CREATE TABLE t (a int, b text, c jsonb, d point);
        CREATE INDEX ON t (lower(b) DESC NULLS LAST, a) WHERE a > 5 AND b LIKE '%x';
        CREATE INDEX ON t (f(b) COLLATE "C" text_pattern_ops);
        CREATE UNIQUE INDEX u ON t (a) INCLUDE (b) NULLS NOT DISTINCT WITH (fillfactor = 60);
        CREATE INDEX ON t USING gin (c jsonb_path_ops);
        CREATE INDEX ON t USING gist (d);
        CREATE INDEX ON t USING brin (a) WITH (pages_per_range = 16);
        CREATE INDEX ON t USING hash (b);
        CREATE INDEX ON t USING spgist (d);
    """,
    "statistics targets and comments": """
        CREATE TABLE t (a int, b int);
        CREATE INDEX i ON t ((a + b), (a * b));
        ALTER INDEX i ALTER COLUMN 2 SET STATISTICS 300;
        COMMENT ON INDEX i IS 'sum';
        ALTER TABLE t CLUSTER ON i;
    """,
}
