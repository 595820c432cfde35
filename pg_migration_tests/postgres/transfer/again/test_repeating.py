"""The same run again, and a run that was killed: the same result, nothing lost, nothing doubled."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration_tests.postgres.transfer.harness import Database, Pair

PATIENCE_SECONDS = 600
SHOP = """
CREATE TABLE region (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE customer (id serial PRIMARY KEY, region int REFERENCES region, email text UNIQUE,
    referrer int REFERENCES customer);
CREATE TABLE purchase (id bigint PRIMARY KEY, customer int NOT NULL REFERENCES customer ON DELETE CASCADE,
    total numeric, note text);
CREATE INDEX ON purchase (customer);
CREATE INDEX ON purchase (lower(note)) WHERE total > 10;
CREATE TABLE visit (at timestamptz, page text);
CREATE TABLE event (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE event_new PARTITION OF event FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
CREATE VIEW spent AS SELECT customer, sum(total) FROM purchase GROUP BY customer;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.note := 'touched'; RETURN NEW; END$$;
CREATE TRIGGER touch BEFORE INSERT ON purchase FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE purchase DISABLE TRIGGER touch;
INSERT INTO region SELECT i, 'r' || i FROM generate_series(1, 10) i;
INSERT INTO customer (region, email, referrer) SELECT i % 10 + 1, i || '@example.org', nullif(i / 2, 0)
    FROM generate_series(1, 2000) i;
INSERT INTO purchase SELECT i, i % 2000 + 1, i / 7.0, 'note ' || i FROM generate_series(1, {rows}) i;
INSERT INTO visit SELECT '2024-01-01'::timestamptz + i * interval '1 s', 'p' || i % 5 FROM generate_series(1, {rows}) i;
INSERT INTO event SELECT i, '2023-06-01'::date + i % 400 FROM generate_series(1, 2000) i;
ALTER TABLE purchase ENABLE TRIGGER touch;
ANALYZE;
"""

# Takes a second in a migration, and no time in the source.
SLOW_INDEX = """
CREATE FUNCTION dawdle(bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$BEGIN
    IF $1 = 1 AND current_setting('application_name') LIKE 'pg_migration%' THEN PERFORM pg_sleep(1); END IF;
    RETURN $1;
END$$;
CREATE INDEX ON purchase (dawdle(id));
"""

CONSTRAINTS = """
SELECT conname, convalidated FROM pg_constraint
WHERE contype IN ('p', 'f', 'u') AND connamespace = 'public'::regnamespace
UNION ALL SELECT tgname, tgenabled = 'O' FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1
"""
# A partitioned table has no rows of its own, and so no chunk that is kept.
CHUNKS = "SELECT table_name, range_key, chunk, target_xid FROM _pg_migration.chunk WHERE table_name <> 'event'"
CONFIG = {"chunk_size": 400, "partition_threshold": 1000, "max_partitions": 4, "workers": 2}
BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pg_migration%'"
LOCAL = pytest.mark.skipif(os.name != "posix", reason="signals")


def structure(end: Database) -> str:
    """What pg_dump says."""
    return end.server.dump_schema(end.url, "public")


IN_THE_TARGET_ONLY = """
CREATE TABLE target_only (id int, purchase bigint REFERENCES purchase, region int REFERENCES region);
INSERT INTO target_only SELECT i, i, i % 10 + 1 FROM generate_series(1, 10) i;
CREATE VIEW target_view AS SELECT c.*, p.total FROM customer c JOIN purchase p ON p.customer = c.id;
CREATE MATERIALIZED VIEW target_matview AS SELECT count(*) FROM visit;
"""


def test_again(pair18: Pair) -> None:
    """Over kept tables, where the target has more than the source, and over dropped ones."""
    pair18.source.psql(SHOP.format(rows=1200))
    assert pair18.migrate(**CONFIG).succeeded
    first = pair18.check_equal()
    before = structure(pair18.source)
    assert structure(pair18.target) == before
    pair18.target.psql(IN_THE_TARGET_ONLY)
    pair18.source.psql("DELETE FROM purchase WHERE id % 11 = 0; INSERT INTO region VALUES (11, 'new')")
    assert pair18.migrate(**CONFIG).succeeded
    pair18.check_target_has_source()
    kept = pair18.source.hashes()
    assert pair18.target.rows("SELECT count(*) FROM target_only") == [(10,)]
    assert pair18.target.rows("SELECT count(*) FROM target_view") == [(kept["purchase"][0],)]
    assert pair18.target.rows(
        "SELECT count(*) FROM pg_constraint WHERE conrelid = 'target_only'::regclass AND contype = 'f' AND convalidated"
    ) == [(2,)]
    pair18.target.psql("DROP MATERIALIZED VIEW target_matview; DROP VIEW target_view; DROP TABLE target_only")
    assert structure(pair18.target) == before
    pair18.source.psql("DELETE FROM purchase WHERE id % 12 = 0; INSERT INTO region VALUES (12, 'new')")
    assert pair18.migrate(**CONFIG, drop_existing_tables=True).succeeded
    again = pair18.check_equal()
    assert first["visit"] == kept["visit"] == again["visit"]
    assert first["purchase"][0] > kept["purchase"][0] > again["purchase"][0]
    assert structure(pair18.target) == before
    assert pair18.target.rows("SELECT * FROM _pg_migration.suspended") == []


def copying(target: Any) -> bool:
    """Some chunk is in the target, and not all are."""
    if fetch(target, "SELECT to_regclass('_pg_migration.chunk')") == [(None,)]:
        return False
    return bool(fetch(target, "SELECT FROM _pg_migration.chunk HAVING count(*) > 3"))


def indexing(target: Any) -> bool:
    return bool(fetch(target, "SELECT FROM pg_stat_activity WHERE query ~* '^(CREATE|ALTER).*(INDEX|PRIMARY KEY)'"))


@LOCAL
@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.longer)], ids=["SIGKILL", "SIGINT"]
)
def test_killed(pair: Pair, tmp_path: Path, programs: Path, how: signal.Signals) -> None:
    """A run that ends while it copies, one that ends while it builds indexes, and one that is let be."""
    pair.source.psql(SHOP.format(rows=1600) + SLOW_INDEX)
    there: set[tuple[Any, ...]] = set()
    for moment in (copying, indexing):
        # A signal that can be handled is handled by Dagster first.
        by_dagster = how is signal.SIGINT and moment is copying
        start = partial(pair.start_job, programs / "dagster") if by_dagster else pair.start_library
        kill(pair, start(tmp_path, **CONFIG), moment, how)
        counted = pair.target.rows("SELECT count(*) FROM purchase")
        noted = "SELECT coalesce(sum(row_count), 0)::bigint FROM _pg_migration.chunk WHERE table_name = 'purchase'"
        assert counted == pair.target.rows(noted)
        before, there = there, set(pair.target.rows(CHUNKS))
        assert before <= there, "chunks that were there were copied again"
    assert pair.migrate(**CONFIG).succeeded
    pair.check_equal()
    assert pair.target.rows(CONSTRAINTS) == pair.source.rows(CONSTRAINTS)
    assert there <= set(pair.target.rows(CHUNKS)), "chunks that were there were copied again"


def kill(pair: Pair, process: "subprocess.Popen[str]", moment: Callable[[Any], bool], how: signal.Signals) -> None:
    """End a run at a moment; no session of it is left."""
    with pair.target.connection() as watcher:
        while not moment(watcher):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(random.uniform(0, 0.02))
        # However slow this test is just now, the run does not end before the signal.
        execute(watcher, "BEGIN; LOCK TABLE _pg_migration.run IN SHARE MODE")
        process.send_signal(how)
        time.sleep(random.uniform(0, 0.05))
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode != 0
    for database in (pair.source, pair.target):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while database.rows(BACKENDS) != [(0,)]:
            assert time.monotonic() < deadline, "orphan backends"
            time.sleep(0.1)
