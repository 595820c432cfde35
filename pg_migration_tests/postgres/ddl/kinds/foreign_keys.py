"""Foreign keys."""

CASES = {
    "actions": """
        CREATE TABLE r (a int, b int, PRIMARY KEY (a, b));
        CREATE TABLE t (x int DEFAULT 1, y int, FOREIGN KEY (x, y) REFERENCES r MATCH FULL ON DELETE SET DEFAULT
            (x) ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);
    """,
    "self and circle": """
        CREATE TABLE a (id int PRIMARY KEY, parent int REFERENCES a, other int);
        CREATE TABLE b (id int PRIMARY KEY REFERENCES a);
        ALTER TABLE a ADD FOREIGN KEY (other) REFERENCES b ON DELETE SET NULL;
    """,
    "not valid": """
        CREATE TABLE r (a int UNIQUE);
        CREATE TABLE t (a int);
        ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES r (a) NOT VALID;
    """,
    "to a unique index": """
        CREATE TABLE r (a int);
        CREATE UNIQUE INDEX ON r (a);
        CREATE TABLE t (a int REFERENCES r (a));
    """,
}
