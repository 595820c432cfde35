"""Collations."""

CASES = {
    "libc": """
        CREATE COLLATION c (LOCALE = 'C');
        CREATE COLLATION mixed (LC_COLLATE = 'C', LC_CTYPE = 'POSIX');
        CREATE TABLE t (a text COLLATE c, b text COLLATE "POSIX");
        CREATE INDEX ON t (a COLLATE mixed);
    """,
}
