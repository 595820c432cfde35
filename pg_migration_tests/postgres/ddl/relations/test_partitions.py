"""Partitioned tables."""

from collections.abc import Mapping

import psycopg2
import pytest

from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_same_dump, migrate, session

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


@pytest.mark.parametrize("case", CASES)
def test_dumps_alike(together: Mapping[str, str], case: str) -> None:
    assert not together[case], together[case]


PENDING = """
    CREATE TABLE other (id int PRIMARY KEY);
    CREATE TABLE p (a int NOT NULL CHECK (a > 0), b int DEFAULT 3, o int REFERENCES other, PRIMARY KEY (a))
        PARTITION BY LIST (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
    CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
    CREATE INDEX p_b ON p (b);
    CREATE TRIGGER t BEFORE UPDATE ON p FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
    ALTER TABLE p1 DISABLE TRIGGER t;
    INSERT INTO p VALUES (1), (2);
"""


def detach_in_vain(pair: Pair) -> None:
    """DETACH PARTITION CONCURRENTLY, ended while it waits for a reader: the first half of it stays."""
    with session(pair.source_url) as reader, session(pair.source_url) as detaching, reader.cursor() as read:
        read.execute("BEGIN; SELECT * FROM public.p")
        with detaching.cursor() as cursor:
            cursor.execute("SET statement_timeout = '2s'")
            with pytest.raises(psycopg2.errors.QueryCanceled):
                cursor.execute("ALTER TABLE public.p DETACH PARTITION public.p1 CONCURRENTLY")


def test_a_partition_that_is_being_detached(alike: Pair) -> None:
    alike.load(PENDING)
    detach_in_vain(alike)
    assert alike.source.psql(alike.source_url, "SELECT count(*) FROM p").strip() == "1"
    done = migrate(alike)
    assert done.failures == []
    assert [(notice.kind, notice.name) for notice in done.source.notices] == [
        ("inheritance", 'public.p1 from "public"."p"')
    ]
    again = migrate(alike)
    assert (again.failures, again.plan.create, again.plan.drop) == ([], (), ())
    # The target is what the source becomes when the detaching is brought to its end.
    alike.load("ALTER TABLE p DETACH PARTITION p1 FINALIZE")
    assert_same_dump(alike)
