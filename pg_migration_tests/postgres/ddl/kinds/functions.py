"""Functions and procedures, whatever they are written in."""

CASES = {
    "every attribute": """
        CREATE FUNCTION f(a int, b text DEFAULT 'x''y', VARIADIC c int[] DEFAULT '{}') RETURNS TABLE (x int, y
            text) LANGUAGE sql STABLE STRICT LEAKPROOF SECURITY DEFINER PARALLEL SAFE COST 7 ROWS 3 SET work_mem =
            '1MB' SET search_path = public, pg_temp AS $$ SELECT 1, '%s $q$' $$;
    """,
    "overloaded": """
        CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'SELECT 2';
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 3';
    """,
    "procedures that differ in OUT": """
        CREATE PROCEDURE p(OUT a int, IN b int, IN c int) LANGUAGE plpgsql AS 'BEGIN a := b; END';
        CREATE PROCEDURE p(IN a int, IN b int, IN c int) LANGUAGE plpgsql AS 'BEGIN NULL; END';
    """,
    "SQL-standard bodies": """
        CREATE TABLE t (a int PRIMARY KEY, b text);
        CREATE FUNCTION g(int) RETURNS text LANGUAGE sql RETURN (SELECT b FROM t WHERE a = $1);
        CREATE PROCEDURE p(x int) LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (x, g(x)) ON CONFLICT ON
            CONSTRAINT t_pkey DO NOTHING; END;
    """,
    "window": """
        CREATE FUNCTION rn() RETURNS bigint LANGUAGE internal WINDOW IMMUTABLE AS 'window_row_number';
    """,
    "name that a newer server has in pg_catalog": """
        CREATE FUNCTION uuidv7() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()';
        CREATE FUNCTION any_value(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
        CREATE TABLE t (id uuid DEFAULT public.uuidv7(), a int DEFAULT public.any_value(1));
        CREATE VIEW v AS SELECT public.uuidv7() AS u;
    """,
    "rows of a view": """
        CREATE TABLE t (a int);
        CREATE VIEW v AS SELECT * FROM t;
        CREATE FUNCTION f() RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM v';
    """,
    "handler of a language": """
        CREATE FUNCTION handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
        CREATE TRUSTED LANGUAGE mine HANDLER handler;
        REVOKE USAGE ON LANGUAGE mine FROM PUBLIC;
        COMMENT ON LANGUAGE mine IS 'ours';
    """,
    "polymorphic": """
        CREATE FUNCTION first_of(anyarray) RETURNS anyelement LANGUAGE sql AS 'SELECT $1[1]';
    """,
}
