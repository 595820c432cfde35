"""A run after one that failed goes on with what is there and unchanged, and loads the rest."""

import itertools
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
import pytest

from pg_migration.postgres.catalog import SchemaObject
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.transfer import worker
from pg_migration.postgres.transfer.streams.copy_stream import Copied
from pg_migration.postgres.transfer.worker import Worker
from pg_migration_tests.postgres.transfer.harness import Database, Loaded, Pair

# ``big`` is cut into ranges of its key, ``heap`` into pages, and ``small`` not at all.
SHOP = """
CREATE TABLE big (id int PRIMARY KEY, v text UNIQUE);
CREATE INDEX big_length ON big (length(v));
CREATE TABLE heap (n int, v text);
CREATE TABLE small (id int PRIMARY KEY, big int REFERENCES big);
CREATE TABLE parted (id int) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
INSERT INTO big SELECT i, 'v' || i FROM generate_series(1, 8000) i;
INSERT INTO heap SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i;
INSERT INTO small SELECT i, i FROM generate_series(1, 100) i;
INSERT INTO parted SELECT generate_series(1, 100);
ANALYZE;
"""
CUT = LoadSettings(chunk_size=500, partition_threshold=4000, max_partitions=4, workers=1)
CASE_CUT = LoadSettings(chunk_size=200, workers=1)


class Killed(BaseException):
    """The process ends in the middle of the load."""


@contextmanager
def killed_after(chunks: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a run end before it copies one chunk more."""
    count, copy = itertools.count(), Worker.copy

    def dying(mine: Worker, *arguments: Any) -> Copied:
        if next(count) == chunks:
            raise Killed
        return copy(mine, *arguments)

    with monkeypatch.context() as patched, suppress(Killed):
        patched.setattr(Worker, "copy", dying)
        yield
        pytest.fail("the run ended before it was killed")


def interrupt(pair: Pair, monkeypatch: pytest.MonkeyPatch, chunks: int = 10) -> None:
    """Begin to load and be killed; the largest table comes first."""
    with killed_after(chunks, monkeypatch):
        pair.load(CUT)
    assert committed(pair) == chunks


def committed(pair: Pair) -> int:
    return int(pair.target.rows("SELECT count(*) FROM _pg_migration.chunk")[0][0])


def structure(end: Database) -> str:
    """What pg_dump says of one side."""
    return end.server.dump_schema(end.url, "public")


def continued(loaded: Loaded) -> dict[str, tuple[int, int]]:
    """Chunks that were there, of how many, by table."""
    tables = {name: event.continued for name, event in loaded.loaded.items()}
    return {name: (len(there.present), there.chunks) for name, there in tables.items() if there}


def test_only_missing_chunks_are_copied(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.source.psql(SHOP)
    interrupt(pair, monkeypatch)
    first = dict(pair.target.rows("SELECT (table_name, range_key, chunk)::text, finished_at FROM _pg_migration.chunk"))
    loaded = pair.load_all(CUT)
    assert continued(loaded) == {"big": (10, 16)}
    assert str(loaded.loaded["big"].continued).startswith("10 of 16 chunks were there since run test ")
    assert loaded.loaded["big"].rows == 8000
    assert loaded.loaded["big"].copied_rows == 3000
    later = dict(pair.target.rows("SELECT (table_name, range_key, chunk)::text, finished_at FROM _pg_migration.chunk"))
    assert {name: later[name] for name in first} == first
    assert pair.target.rows("SELECT count(DISTINCT (run_id, snapshot)) FROM _pg_migration.chunk") == [(1,)]
    assert structure(pair.target) == structure(pair.source)


def test_indexes_half_done(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows are there, and an index whose constraint is not: that is made, and no row is copied."""
    pair.source.psql(SHOP)
    make = Worker.make

    def dying(mine: Worker, item: SchemaObject, statements: Sequence[str], again: bool) -> list[str]:
        if any("small_pkey" in statement for statement in statements):
            raise Killed
        return make(mine, item, statements, again)

    with monkeypatch.context() as patched:
        patched.setattr(Worker, "make", dying)
        with pytest.raises(Killed):
            pair.load(CUT)
    pair.target.psql("CREATE UNIQUE INDEX IF NOT EXISTS small_pkey ON small (id)")
    keys = "SELECT relname::text, relfilenode FROM pg_class WHERE relname ~ '^(big|small)_'"
    there = dict(pair.target.rows(keys))
    with monkeypatch.context() as patched:
        patched.setattr(worker, "stream", lambda *_: pytest.fail("rows were copied"))
        loaded = pair.load(CUT)
    assert continued(loaded) == {"big": (16, 16), "heap": (4, 4), "small": (1, 1), "part": (1, 1)}
    assert not loaded.problems
    pair.check_equal()
    now = dict(pair.target.rows(keys))
    assert {name for name in now if now[name] == there.get(name)} == now.keys() - {"small_pkey"}
    assert structure(pair.target) == structure(pair.source)


# Tables of equal size, each with something done to it between the two runs: on which side, what, and why it is reloaded
# (None: it is continued). Where rows come and go, as many go as come, and in the same chunk: the last one.
SWAP = "DELETE FROM {t} WHERE id = 400; INSERT INTO {t} VALUES (400, 'other');"
IN_SOURCE, IN_TARGET = "its rows were changed in the source", "its rows were changed in the target"
REWRITTEN = "the source's table was truncated, rewritten or made anew"
CASES = {
    "untouched": ("source", "", None),
    "written_elsewhere": ("source", "INSERT INTO last VALUES (-1, 'x');", None),
    "rolled_back": ("source", "BEGIN; " + SWAP + " ROLLBACK;", None),
    "frozen": ("source", "VACUUM FREEZE {t};", None),
    "locked": ("source", "BEGIN; SELECT count(*) FROM (SELECT 1 FROM {t} FOR UPDATE) AS l; COMMIT;", None),
    "indexed": ("source", "CREATE INDEX ON {t} (v);", None),
    "inserted": ("source", "INSERT INTO {t} VALUES (0, 'new');", IN_SOURCE),
    "updated": ("source", "UPDATE {t} SET v = 'other' WHERE id = 400;", IN_SOURCE),
    "deleted": ("source", "DELETE FROM {t} WHERE id = 400;", IN_SOURCE),
    "swapped": ("source", SWAP, IN_SOURCE),
    "swapped_in_savepoint": ("source", "BEGIN; SAVEPOINT a; SAVEPOINT b; " + SWAP + " RELEASE a; COMMIT;", IN_SOURCE),
    "swapped_for_nothing": ("source", "UPDATE {t} SET v = v WHERE id = 400;", IN_SOURCE),
    "truncated": (
        "source",
        "CREATE TEMP TABLE kept AS TABLE {t}; BEGIN; TRUNCATE {t}; INSERT INTO {t} TABLE kept; COMMIT;",
        REWRITTEN,
    ),
    "rewritten": ("source", "VACUUM FULL {t};", REWRITTEN),
    "made_anew": ("source", "ALTER TABLE {t} RENAME TO old; CREATE TABLE {t} AS TABLE old; DROP TABLE old;", REWRITTEN),
    "column_made_anew": (
        "source",
        "ALTER TABLE {t} DROP v, ADD v text DEFAULT 'other';",
        "the source's table was altered",
    ),
    "frozen_in_target": ("target", "VACUUM FREEZE {t};", None),
    "inserted_in_target": ("target", "INSERT INTO {t} VALUES (0, 'new');", IN_TARGET),
    "updated_in_target": ("target", "UPDATE {t} SET v = 'other' WHERE id = 400;", IN_TARGET),
    "deleted_in_target": ("target", "DELETE FROM {t} WHERE id = 400;", IN_TARGET),
    "swapped_in_target": ("target", SWAP, IN_TARGET),
    "rewritten_in_target": ("target", "ALTER TABLE {t} SET UNLOGGED; ALTER TABLE {t} SET LOGGED;", IN_TARGET),
    "column_made_anew_in_target": (
        "target",
        "ALTER TABLE {t} DROP v, ADD v text DEFAULT 'other';",
        "the target's table was altered",
    ),
    # Begun before the first run's snapshot, ended after it.
    "under_way": ("before", SWAP, IN_SOURCE),
    "under_way_in_savepoint": ("before", "SAVEPOINT a; " + SWAP + " RELEASE a;", IN_SOURCE),
}
CASE = """
CREATE TABLE {t} (id int, v text);
INSERT INTO {t} SELECT i, 'v' || i FROM generate_series(1, 400) i;
"""
# What depends on other objects, so that its rows may change without a trace.
OTHER_TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN names AS regclass[];
CREATE TYPE pair AS (a int, b regrole);
CREATE TABLE with_enum (id int, v mood, w mood[], r int4range);
CREATE TABLE with_names (id int, v names);
CREATE TABLE with_pair (id int, v pair);
INSERT INTO with_enum SELECT i, 'sad', '{ok}', '[1,2)' FROM generate_series(1, 400) i;
INSERT INTO with_names SELECT i, '{pg_class}' FROM generate_series(1, 400) i;
INSERT INTO with_pair SELECT i, ROW(i, 'postgres')::pair FROM generate_series(1, 400) i;
"""
LAST = "CREATE TABLE last (id int, v text); INSERT INTO last VALUES (1, 'x'); ANALYZE;"


def test_what_was_done_between_the_runs(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.source.psql(OTHER_TYPES + "".join(CASE.format(t=name) for name in CASES) + LAST)
    with pair.source.connection() as early:
        execute(early, "BEGIN")
        for name, (when, what, _) in CASES.items():
            if when == "before":
                execute(early, what.format(t=name))
        pair.source.psql("SELECT txid_current()")  # a later transaction that ends before the snapshot
        with killed_after((len(CASES) + 3) * 2, monkeypatch):
            pair.load(CASE_CUT)
        execute(early, "COMMIT")
    for when, end in (("source", pair.source), ("target", pair.target)):
        end.psql("\n".join(what.format(t=name) for name, (then, what, _) in CASES.items() if then == when))
    loaded = pair.load(CASE_CUT)
    assert not loaded.failed
    assert not loaded.problems
    pair.check_equal()
    reasons = {name: reason for name, (*_, reason) in CASES.items()}
    assert {name: loaded.reloaded.get(name) for name in CASES} == reasons
    assert loaded.reloaded["with_names"] == "it has columns of type regclass, whose text changes with other objects"
    assert loaded.reloaded["with_pair"] == "it has columns of type regrole, whose text changes with other objects"
    unchanged = {name for name, reason in reasons.items() if reason is None}
    assert continued(loaded) == dict.fromkeys({"with_enum", *unchanged}, (2, 2))


def test_a_change_to_chunks_that_are_missing_is_no_change(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens to ranges that are not there is copied as it is now."""
    pair.source.psql("CREATE TABLE big (id int PRIMARY KEY, v text);")
    pair.source.psql("INSERT INTO big SELECT i, 'v' || i FROM generate_series(1, 8000) i; ANALYZE;")
    interrupt(pair, monkeypatch, chunks=8)
    pair.source.psql("DELETE FROM big WHERE id > 7000; INSERT INTO big VALUES (100000, 'at the end')")
    with killed_after(1, monkeypatch):
        pair.load(CUT)
    assert committed(pair) == 9
    pair.source.psql("INSERT INTO big VALUES (0, 'at the beginning')")
    loaded = pair.load_all(CUT)
    assert loaded.reloaded == {"big": IN_SOURCE}


def test_pages_of_a_table_without_a_key(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are appended are in the last chunk; an update writes one of a chunk that is there to the end."""
    pair.source.psql("CREATE TABLE heap (n int, v text);")
    pair.source.psql("INSERT INTO heap SELECT i, repeat('x', 100) FROM generate_series(1, 4000) i; ANALYZE;")
    interrupt(pair, monkeypatch, chunks=5)
    pair.source.psql("INSERT INTO heap SELECT i, repeat('y', 100) FROM generate_series(1, 1000) i")
    with killed_after(1, monkeypatch):
        pair.load(CUT)
    assert committed(pair) == 6
    pair.source.psql("DELETE FROM heap WHERE v LIKE 'y%'")
    loaded = pair.load_all(CUT)
    assert continued(loaded) == {"heap": (6, 8)}
    assert "5 since run test " in str(loaded.loaded["heap"].continued)
    assert "and 1 since run test " in str(loaded.loaded["heap"].continued)


def test_tables_that_are_cut_otherwise(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.source.psql(CASE.format(t="first") + LAST)
    with killed_after(2, monkeypatch):
        pair.load(CASE_CUT)
    otherwise = CASE_CUT.model_copy(update={"chunk_size": 100})
    assert pair.load_all(otherwise).reloaded == {"first": "what tables are cut by was changed"}


def test_source_that_recovered(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that crashes makes the server recover: commits may be lost, and ids of transactions given out again."""
    pair.source.psql(CASE.format(t="first") + LAST)
    with killed_after(2, monkeypatch):
        pair.load(CASE_CUT)
    with pair.source.connection() as doomed, pair.source.connection() as other:
        os.kill(doomed.info.backend_pid, signal.SIGKILL)
        with pytest.raises(psycopg2.OperationalError):  # which the server ends
            execute(other, "SELECT pg_sleep(120)")
    deadline = time.monotonic() + 120
    while not answers(pair.source):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert pair.load_all(CASE_CUT).reloaded == {"first": "the source's server was restarted"}


def answers(end: Database) -> bool:
    """Whether the server takes connections."""
    try:
        return end.rows("SELECT 1") == [(1,)]
    except psycopg2.OperationalError:
        return False
