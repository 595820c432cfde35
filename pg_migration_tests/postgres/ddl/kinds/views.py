"""Views."""

CASES = {
    "options": """
        CREATE TABLE t (a int, b text);
        CREATE VIEW v WITH (security_barrier, security_invoker) AS SELECT a, b FROM t WHERE a > 0 WITH CASCADED
            CHECK OPTION;
        CREATE VIEW w AS SELECT a AS "A %" FROM v WITH LOCAL CHECK OPTION;
        ALTER VIEW v ALTER b SET DEFAULT 'd';
        COMMENT ON COLUMN v.b IS 'of v';
    """,
    "recursive": """
        CREATE RECURSIVE VIEW n (i) AS VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5;
    """,
    "needs a primary key": """
        CREATE TABLE t (a int PRIMARY KEY, b text);
        CREATE VIEW v AS SELECT a, b, count(*) FROM t GROUP BY a;
    """,
    "chain": """
        CREATE VIEW z AS SELECT 1 AS a;
        CREATE VIEW y AS SELECT * FROM z;
        CREATE VIEW x AS SELECT y.*, z.a AS b FROM y JOIN z USING (a);
    """,
    "replaced so that it reads itself": """
        CREATE VIEW v AS SELECT 1 AS a, 'x'::text COLLATE "C" AS b;
        CREATE OR REPLACE VIEW v AS SELECT a, b FROM v;
    """,
    "in a circle with a function": """
        CREATE VIEW v AS SELECT 1 AS a;
        CREATE FUNCTION f() RETURNS SETOF v LANGUAGE sql BEGIN ATOMIC SELECT * FROM v; END;
        CREATE OR REPLACE VIEW v AS SELECT a FROM f();
    """,
    "needed by a table": """
        CREATE VIEW v AS SELECT 1 AS a;
        CREATE TABLE t (x v);
    """,
    "with rules, triggers and defaults of one name": """
        CREATE TABLE t (a int);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE VIEW v AS SELECT a FROM t;
        CREATE VIEW w AS SELECT a FROM t;
        CREATE TRIGGER tr INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION f();
        CREATE TRIGGER tr INSTEAD OF UPDATE ON w FOR EACH ROW EXECUTE FUNCTION f();
        CREATE RULE r AS ON DELETE TO v DO INSTEAD NOTHING;
        CREATE RULE r AS ON DELETE TO w DO INSTEAD UPDATE t SET a = 1;
        ALTER VIEW v ALTER a SET DEFAULT 1;
        ALTER VIEW w ALTER a SET DEFAULT 2;
    """,
    "no columns": """
        CREATE VIEW nothing AS SELECT;
    """,
}
