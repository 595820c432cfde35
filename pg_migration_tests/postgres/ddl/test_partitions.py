"""Partitioned tables."""

import psycopg2
import pytest

from pg_migration_tests.postgres.ddl.round_trip import Pair, assert_same_dump, migrate, session

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
