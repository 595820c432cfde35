"""Base types, whose functions take a shell of them."""

CASES = {
    "made of built-in functions": """
        CREATE TYPE money2;
        CREATE FUNCTION money2_in(cstring) RETURNS money2 LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
        CREATE FUNCTION money2_out(money2) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
        CREATE TYPE money2 (INPUT = money2_in, OUTPUT = money2_out, LIKE = int4, CATEGORY = 'N', DEFAULT = '7');
        CREATE TABLE t (a money2, b money2[]);
        CREATE CAST (money2 AS int4) WITHOUT FUNCTION;
    """,
    "shell left alone": """
        CREATE TYPE later;
    """,
}
