"""Domains: default, NOT NULL, collation and constraints."""

CASES = {
    "default and checks": """
        CREATE DOMAIN year AS int DEFAULT 2000 CHECK (VALUE > 1900) CONSTRAINT "not too late" CHECK (VALUE <
            2100);
    """,
    "not null": """
        CREATE DOMAIN d AS text NOT NULL;
    """,
    "collation": """
        CREATE DOMAIN d AS varchar(10) COLLATE "C" DEFAULT 'x';
    """,
    "over a domain": """
        CREATE DOMAIN inner_one AS int CHECK (VALUE > 0);
        CREATE DOMAIN outer_one AS inner_one CHECK (VALUE < 9);
        CREATE TABLE t (a outer_one[]);
    """,
    "not valid": """
        CREATE DOMAIN d AS int;
        ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID;
    """,
    "check that calls a function of the domain": """
        CREATE DOMAIN d AS int;
        CREATE FUNCTION fits(d) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
        ALTER DOMAIN d ADD CONSTRAINT c CHECK (fits(VALUE));
    """,
}
