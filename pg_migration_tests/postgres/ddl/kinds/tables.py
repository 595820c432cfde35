"""Tables and what belongs to their columns."""

CASES = {
    "no columns": """
        CREATE TABLE nothing ();
    """,
    "types": """
        CREATE TABLE t (a numeric(10, 2), b varchar(3), c char(5), d bit varying(4), e timestamp(3) with time
            zone, f interval day to second(2), g int[][], h "char", i time(0), j numeric);
    """,
    "names": """
        CREATE TABLE "Order ""Details""; drop table x;--" ("co%l" int PRIMARY KEY, "select" text DEFAULT '%s', "line
break" int, CONSTRAINT "c%k" CHECK ("co%l" > 0));
        COMMENT ON COLUMN "Order ""Details""; drop table x;--"."select" IS '100% ''x'' \\ y';
    """,
    "dropped column": """
        CREATE TABLE t (a int, b int, c int DEFAULT 3);
        ALTER TABLE t DROP COLUMN b;
    """,
    "storage and statistics": """
        CREATE TABLE t (a text, b text, c int) WITH (fillfactor = 70, autovacuum_enabled = false,
            toast.autovacuum_enabled = false);
        ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE MAIN, ALTER c SET STATISTICS 77, ALTER c
            SET (n_distinct = -0.5, n_distinct_inherited = 5), ALTER a SET COMPRESSION pglz;
    """,
    "unlogged": """
        CREATE UNLOGGED TABLE t (a int PRIMARY KEY);
    """,
    "replica identity": """
        CREATE TABLE a (x int);
        ALTER TABLE a REPLICA IDENTITY FULL;
        CREATE TABLE b (x int);
        ALTER TABLE b REPLICA IDENTITY NOTHING;
        CREATE TABLE c (x int NOT NULL);
        CREATE UNIQUE INDEX i ON c (x);
        ALTER TABLE c REPLICA IDENTITY USING INDEX i;
    """,
    "typed": """
        CREATE TYPE person AS (name text, age int);
        CREATE TABLE people OF person (name WITH OPTIONS NOT NULL, age WITH OPTIONS DEFAULT 18, PRIMARY KEY
            (name));
        CREATE TABLE plain OF person;
    """,
    "defaults": """
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE TABLE t (a int DEFAULT f(), b text DEFAULT 'x''y\\z', c timestamptz DEFAULT now(), d int DEFAULT
            NULL, e int[] DEFAULT ARRAY[1, 2], f text DEFAULT current_user);
    """,
    "generated": """
        CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
        CREATE TABLE t (a int, b int GENERATED ALWAYS AS (twice(a)) STORED NOT NULL, c text COLLATE "C"
            GENERATED ALWAYS AS (a::text) STORED);
    """,
    "like a system table": """
        CREATE TABLE pg_class (a int PRIMARY KEY);
        CREATE INDEX ON public.pg_class (a);
        CREATE TABLE "text" (a int);
        CREATE TABLE u (t public."text", s text);
    """,
    "default that takes the table": """
        CREATE TABLE t (a int, b int);
        CREATE FUNCTION f(t) RETURNS int LANGUAGE sql AS 'SELECT $1.a';
        ALTER TABLE t ALTER b SET DEFAULT f(NULL);
        ALTER TABLE t ADD CHECK (f(t) > 0);
    """,
}
