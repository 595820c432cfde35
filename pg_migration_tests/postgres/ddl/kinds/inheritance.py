"""Inheritance: several parents, local and inherited columns and constraints."""

CASES = {
    "two parents": """
        CREATE TABLE a (x int DEFAULT 1, y text);
        CREATE TABLE b (y text, z int);
        CREATE TABLE c (own int, x int DEFAULT 2) INHERITS (a, b);
    """,
    "constraints": """
        CREATE TABLE a (x int NOT NULL CHECK (x > 0), y int CHECK (y > 0) NO INHERIT);
        CREATE TABLE b (z int CHECK (z > 1)) INHERITS (a);
        CREATE TABLE c (x int CONSTRAINT a_x_check CHECK (x > 0)) INHERITS (a);
    """,
    "default of the parent not taken": """
        CREATE TABLE a (x int DEFAULT 1);
        CREATE TABLE b () INHERITS (a);
        ALTER TABLE b ALTER x DROP DEFAULT;
        CREATE TABLE c () INHERITS (a);
        ALTER TABLE c ALTER x SET DEFAULT 3;
    """,
    "storage of the parent not taken": """
        CREATE TABLE a (x text);
        ALTER TABLE a ALTER x SET STORAGE EXTERNAL;
        CREATE TABLE b () INHERITS (a);
        ALTER TABLE b ALTER x SET STORAGE EXTENDED;
    """,
    "generated": """
        CREATE TABLE a (x int, y int GENERATED ALWAYS AS (x * 2) STORED);
        CREATE TABLE b () INHERITS (a);
        CREATE TABLE c (x int, y int GENERATED ALWAYS AS (x * 3) STORED) INHERITS (a);
    """,
}
