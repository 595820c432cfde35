"""Composite types."""

CASES = {
    "plain": """
        CREATE TYPE address AS (street text, "zip %" varchar(10) COLLATE "C", at numeric(9, 6)[]);
    """,
    "nested": """
        CREATE TYPE inner_one AS (a int);
        CREATE TYPE outer_one AS (i inner_one, many inner_one[]);
        CREATE TABLE t (o outer_one);
    """,
    "no attributes": """
        CREATE TYPE nothing AS ();
    """,
    "attribute dropped": """
        CREATE TYPE t AS (a int, b int, c int);
        ALTER TYPE t DROP ATTRIBUTE b;
    """,
    "row type of a table": """
        CREATE TABLE t (a int);
        CREATE TYPE pair AS (x t, y t);
    """,
}
