"""``use_unlogged_tables``: the tables are as persistent as in the source afterwards, whatever happened."""

from pg_migration.postgres.planning.options import LoadSettings
from pg_migration_tests.postgres.transfer.harness import Pair

TABLES = """
CREATE TABLE kept (id int PRIMARY KEY, v text);
CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY);
CREATE TABLE referring (id int PRIMARY KEY, kept int REFERENCES kept);
CREATE TABLE parted (id int) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE TABLE broken (id int PRIMARY KEY CHECK (fine(id)));
INSERT INTO kept SELECT i, 'v' FROM generate_series(1, 1500) i;
INSERT INTO fleeting SELECT generate_series(1, 1500);
INSERT INTO referring SELECT i, i FROM generate_series(1, 1500) i;
INSERT INTO parted SELECT generate_series(1, 1500);
INSERT INTO broken SELECT generate_series(1, 1500);
"""
BREAK = "CREATE OR REPLACE FUNCTION fine(int) RETURNS bool LANGUAGE sql AS 'SELECT $1 <> 1321';"
PERSISTENCE = """
SELECT relname::text, relpersistence::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') ORDER BY 1
"""
# SET UNLOGGED rewrites a table, and so does SET LOGGED.
WATCH = """
CREATE SCHEMA watch;
CREATE TABLE watch.rewritten (name text);
CREATE FUNCTION watch.note() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
    INSERT INTO watch.rewritten SELECT relname FROM pg_class WHERE oid = pg_event_trigger_table_rewrite_oid();
END$$;
CREATE EVENT TRIGGER watch ON table_rewrite EXECUTE FUNCTION watch.note();
-- A run leaves those of extensions alone.
ALTER EXTENSION plpgsql ADD EVENT TRIGGER watch;
"""
UNLOGGED = LoadSettings(use_unlogged_tables=True, chunk_size=500, partition_threshold=1000, max_partitions=3)


def test_logged_again(pair: Pair) -> None:
    """Also where a killed run has left them, and the next run does not use UNLOGGED tables itself."""
    pair.source.psql(TABLES)
    for _ in range(2):
        pair.load_all(UNLOGGED)
        assert pair.target.rows(PERSISTENCE) == pair.source.rows(PERSISTENCE)
    pair.target.psql("ALTER TABLE referring DROP CONSTRAINT referring_kept_fkey; ALTER TABLE kept SET UNLOGGED")
    pair.load_all()
    assert pair.target.rows(PERSISTENCE) == pair.source.rows(PERSISTENCE)


def test_through_the_whole_job(pair: Pair) -> None:
    pair.source.psql(TABLES)
    pair.target.psql(WATCH)
    assert pair.migrate(use_unlogged_tables=True).succeeded
    pair.check_equal()
    rewritten = pair.target.rows("SELECT name, count(*) FROM watch.rewritten GROUP BY name ORDER BY name")
    assert rewritten == [(name, 2) for name in ("broken", "kept", "part", "referring")]
    assert pair.target.rows(PERSISTENCE) == pair.source.rows(PERSISTENCE)


def test_logged_again_after_a_failure(pair: Pair) -> None:
    """A table whose load failed is not left UNLOGGED: a crash of the server would empty it behind everybody's back."""
    pair.source.psql(TABLES + BREAK)
    loaded = pair.load(UNLOGGED)
    assert set(loaded.failed) == {"broken"}
    unlogged = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relpersistence = 'u'"
    assert pair.target.rows(unlogged) == pair.source.rows(unlogged) == [("fleeting",)]
