"""What can't come along is named in the summary, and the run is green."""

from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from pg_migration_tests.orchestration.harness import Platform
from pg_migration_tests.postgres.ddl.round_trip import session

SOURCE = """
CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE FOREIGN DATA WRAPPER w;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER w;
CREATE FOREIGN TABLE far (a int) SERVER elsewhere;
CREATE VIEW over_far AS SELECT * FROM far;
CREATE TABLE heir (b int) INHERITS (far);
INSERT INTO heir VALUES (1, 2);
CREATE TABLE p (a int PRIMARY KEY) PARTITION BY LIST (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO p VALUES (1), (2);
"""
ROWS = (
    "SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM p1), (SELECT count(*) FROM p2), (SELECT sum(b) FROM heir)"
)


def test_a_run_goes_through(platform: Platform) -> None:
    platform.source.psql(
        SOURCE + "CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION et();"
        "SELECT format('ALTER DATABASE %I SET work_mem = ''7MB''', current_database()) \\gexec"
    )
    with session(platform.source.url) as reader, session(platform.source.url) as detaching, reader.cursor() as read:
        read.execute("BEGIN; SELECT * FROM public.p")
        with detaching.cursor() as cursor, ThreadPoolExecutor() as pool:
            begun = pool.submit(cursor.execute, "ALTER TABLE public.p DETACH PARTITION public.p1 CONCURRENTLY")
            while platform.source.psql("SELECT inhdetachpending FROM pg_inherits WHERE inhdetachpending") != "t":
                assert not begun.done()
            detaching.cancel()
            with pytest.raises(psycopg2.errors.QueryCanceled):
                begun.result()
    for _ in range(2):
        done = platform.migrate_directly()
        assert done.failures == ()
        assert platform.target.psql(ROWS) == platform.source.psql(ROWS) == "1|1|1|2"
        told = "\n".join(done.notes)
        assert 'inheritance public.p1 from "public"."p": DETACH PARTITION ... CONCURRENTLY was begun' in told
        assert "event trigger e: it belongs to the whole database" in told
        assert "setting work_mem: what is said of the database itself is not copied" in told
