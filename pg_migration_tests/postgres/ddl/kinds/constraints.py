"""Primary key, unique, check and exclusion constraints."""

CASES = {
    "keys": """
        CREATE TABLE t (a int, b int, c int, CONSTRAINT "the key" PRIMARY KEY (b, a) INCLUDE (c), UNIQUE (c)
            DEFERRABLE INITIALLY DEFERRED, UNIQUE NULLS NOT DISTINCT (a, c));
        CREATE TABLE u (a int PRIMARY KEY WITH (fillfactor = 50) DEFERRABLE);
    """,
    "checks": """
        CREATE TABLE t (a int CHECK (a > 0), b int, CHECK (a > b) NO INHERIT);
        ALTER TABLE t ADD CONSTRAINT late CHECK (b < 100) NOT VALID;
    """,
    "exclusion": """
        CREATE TABLE t (a int, r tsrange, EXCLUDE USING gist (r WITH &&) WHERE (a > 0), EXCLUDE (a WITH =)
            DEFERRABLE);
    """,
    "clustered": """
        CREATE TABLE t (a int PRIMARY KEY, b int);
        ALTER TABLE t CLUSTER ON t_pkey;
        CREATE TABLE u (a int NOT NULL UNIQUE);
        ALTER TABLE u REPLICA IDENTITY USING INDEX u_a_key;
    """,
}
