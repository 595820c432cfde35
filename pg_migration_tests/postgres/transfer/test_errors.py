"""What goes wrong with one table costs that table, is told in the server's words, and leaves no half chunk."""

import pytest

from pg_migration.postgres.ddl.changes import suspend
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration_tests.postgres.transfer.harness import Pair

# The rows of "bad" are older than its function: such a check holds for the source, which never looks again.
TABLES = """
CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE TABLE good (id int PRIMARY KEY, v text);
CREATE TABLE bad (id int PRIMARY KEY, v text CONSTRAINT is_fine CHECK (fine(id)));
CREATE TABLE also_good (id int PRIMARY KEY, good int REFERENCES good, bad int REFERENCES bad);
INSERT INTO good SELECT i, 'v' FROM generate_series(1, 5000) i;
INSERT INTO bad SELECT i, 'v' || i FROM generate_series(1, 5000) i;
INSERT INTO also_good SELECT i, i, i FROM generate_series(1, 5000) i;
CREATE OR REPLACE FUNCTION fine(int) RETURNS bool LANGUAGE sql AS 'SELECT $1 <> 4321';
"""
CUT = LoadSettings(chunk_size=500, partition_threshold=1000, max_partitions=3)


def check_whole_chunks(pair: Pair, table: str) -> int:
    """What is in a table is what the ledger says; how much that is."""
    ((rows,),) = pair.target.rows(f"SELECT count(*) FROM {table}")
    ((recorded,),) = pair.target.rows(
        "SELECT coalesce(sum(row_count), 0)::bigint FROM _pg_migration.chunk WHERE table_name = %s", (table,)
    )
    assert rows == recorded
    return int(rows)


def test_row_that_the_target_rejects(pair: Pair) -> None:
    pair.source.psql(TABLES)
    loaded = pair.load(CUT)
    assert set(loaded.failed) == {"bad"}
    message = loaded.failed["bad"]
    assert message.startswith("on the target: ")
    assert 'violates check constraint "is_fine"' in message
    assert "(4321, v4321)" in message
    assert check_whole_chunks(pair, "bad") < 5000
    ours, theirs = pair.source.hashes(), pair.target.hashes()
    assert {n: theirs[n] for n in ("good", "also_good")} == {n: ours[n] for n in ("good", "also_good")}


def test_migration_with_a_row_that_the_target_rejects(pair: Pair) -> None:
    pair.source.psql(TABLES)
    result = pair.migrate(chunk_size=500)
    assert not result.succeeded
    assert 'public.bad: on the target: new row for relation "bad" violates check constraint' in "".join(result.failures)
    ours, theirs = pair.source.hashes(), pair.target.hashes()
    assert {n: theirs[n] for n in ("good", "also_good")} == {n: ours[n] for n in ("good", "also_good")}
    keys = "SELECT tablename::text FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    assert pair.target.rows(keys) == [("also_good",), ("good",)]
    pair.source.psql("CREATE OR REPLACE FUNCTION fine(int) RETURNS bool LANGUAGE sql AS 'SELECT true';")
    assert pair.migrate(chunk_size=500).succeeded
    pair.check_equal()


def test_rows_lost_on_the_way(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer rows stored than sent is an error, whatever took them away."""
    pair.source.psql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5000);")
    pair.load_all()
    pair.target.psql(
        """CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN IF NEW.id = 2345 THEN RETURN NULL; END IF; RETURN NEW; END$$;
        CREATE TRIGGER skip BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION skip();"""
    )
    monkeypatch.setattr(suspend, "suspend", lambda *_, **__: ())
    loaded = pair.load(tables=["t"])
    assert loaded.failed == {"t": "the source sent 5000 rows, the target stored 4999"}
    assert pair.target.rows("SELECT count(*) FROM t") == [(5000,)]
