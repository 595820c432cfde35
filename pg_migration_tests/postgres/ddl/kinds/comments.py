"""Comments on everything that can have one."""

CASES = {
    "many kinds": """
        CREATE TYPE e AS ENUM ('a');
        CREATE DOMAIN d AS int CONSTRAINT c CHECK (VALUE > 0);
        CREATE TYPE ct AS (x int);
        CREATE SEQUENCE s;
        CREATE FUNCTION f(int, OUT x text) LANGUAGE sql AS 'SELECT 1';
        CREATE PROCEDURE p() LANGUAGE sql AS '';
        CREATE TABLE t (a int CONSTRAINT chk CHECK (a > 0), CONSTRAINT pk PRIMARY KEY (a));
        CREATE VIEW v AS SELECT 1 AS x;
        CREATE CAST (e AS d) WITH INOUT;
        COMMENT ON TYPE e IS 'e';
        COMMENT ON DOMAIN d IS 'd';
        COMMENT ON CONSTRAINT c ON DOMAIN d IS 'c';
        COMMENT ON TYPE ct IS 'ct';
        COMMENT ON COLUMN ct.x IS 'ct.x';
        COMMENT ON SEQUENCE s IS 's';
        COMMENT ON FUNCTION f(int) IS 'f';
        COMMENT ON PROCEDURE p() IS 'p';
        COMMENT ON TABLE t IS E'two\\nlines';
        COMMENT ON COLUMN t.a IS 'a';
        COMMENT ON CONSTRAINT chk ON t IS 'chk';
        COMMENT ON CONSTRAINT pk ON t IS 'pk';
        COMMENT ON VIEW v IS 'v';
        COMMENT ON CAST (e AS d) IS 'cast';
        COMMENT ON SCHEMA public IS 'ours';
    """,
}
