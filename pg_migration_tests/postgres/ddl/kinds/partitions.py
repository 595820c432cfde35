"""Partitioned tables."""

CASES = {
    "range, list, hash and default": """
        CREATE TABLE r (a int, b text) PARTITION BY RANGE (a, lower(b));
        CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (1, MINVALUE) TO (10, MAXVALUE);
        CREATE TABLE r2 PARTITION OF r DEFAULT;
        CREATE TABLE l (a text COLLATE "C") PARTITION BY LIST (a);
        CREATE TABLE l1 PARTITION OF l FOR VALUES IN ('x', NULL);
        CREATE TABLE h (a int) PARTITION BY HASH (a);
        CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    """,
    "several levels with keys and indexes": """
        CREATE TABLE p (a int, b int, c text, PRIMARY KEY (a, b), UNIQUE (b, a)) PARTITION BY RANGE (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (10) PARTITION BY LIST (b);
        CREATE TABLE p11 PARTITION OF p1 FOR VALUES IN (1);
        CREATE TABLE p12 PARTITION OF p1 DEFAULT;
        CREATE INDEX ON p (c);
        CREATE INDEX only_here ON p11 (c, b);
        CREATE INDEX ON ONLY p (b);
    """,
    "columns in another order": """
        CREATE TABLE p (a int NOT NULL, b text DEFAULT 'p') PARTITION BY LIST (a);
        CREATE TABLE p1 (b text DEFAULT 'own', a int NOT NULL);
        ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);
        CREATE TABLE p2 PARTITION OF p (b DEFAULT 'two') FOR VALUES IN (2);
    """,
    "checks": """
        CREATE FUNCTION f(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
        CREATE TABLE p (a int, CONSTRAINT c CHECK (a > 0), CONSTRAINT d CHECK (f(a))) PARTITION BY LIST (a);
        CREATE TABLE p1 PARTITION OF p (CONSTRAINT own CHECK (a < 100)) FOR VALUES IN (1);
        ALTER TABLE p ADD CONSTRAINT late CHECK (a < 1000) NOT VALID;
    """,
    "foreign keys": """
        CREATE TABLE r (a int PRIMARY KEY) PARTITION BY RANGE (a);
        CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (10);
        CREATE TABLE p (a int REFERENCES r, b int) PARTITION BY LIST (b);
        CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
        CREATE TABLE plain (a int REFERENCES r ON DELETE CASCADE);
    """,
    "triggers": """
        CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TABLE p (a int) PARTITION BY LIST (a);
        CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
        CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
        CREATE TRIGGER tr AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION tf();
        ALTER TABLE p2 DISABLE TRIGGER tr;
    """,
    "index of a key attached to a plain index": """
        CREATE TABLE p (a int NOT NULL) PARTITION BY RANGE (a);
        CREATE TABLE p1 (a int PRIMARY KEY);
        ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (1) TO (2);
        CREATE UNIQUE INDEX i ON p (a);
    """,
}
