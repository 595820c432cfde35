"""Whether rows differ because the source has moved, or because the copy is wrong."""

from datetime import datetime, timezone

import pytest

from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.ledger import chunks, runs, schema, source_state
from pg_migration.postgres.ledger.chunks import ChunkEntry
from pg_migration.postgres.snapshot.snapshot import Snapshot
from pg_migration.postgres.source_changes import drift
from pg_migration.postgres.verification.row_differences import differences
from pg_migration_tests.postgres.verification.harness import Pair

KEYED = "CREATE TABLE t (id int PRIMARY KEY, v text)"
KEYLESS = "CREATE TABLE t (id int, v text)"
PARTITIONED = (
    "CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
    "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (50); CREATE TABLE high PARTITION OF t DEFAULT"
)
FILL = "; INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i"


def copied(pair: Pair, table: str) -> None:
    """The same rows on both sides, and the bookkeeping of the run that copied them."""
    pair.both(table + FILL)
    record(pair)


def record(pair: Pair) -> None:
    source, target = (pair.links.open(pair.ends[side]) for side in Side)
    snapshot = Snapshot.take(pair.links, pair.ends[Side.SOURCE])
    snapshot.adopt(source)
    schema.create(target)
    runs.open_run(target, "run", pair.ends[Side.SOURCE], snapshot)
    source_state.record(source, target, "run", {pair.table: ("public", "t")})
    entry = ChunkEntry(
        table=("public", "t"),
        range_key="all",
        chunk=1,
        chunks=1,
        run_id="run",
        copied_by="run",
        snapshot=snapshot.name,
        predicate="true",
        started_at=datetime.now(timezone.utc),
    )
    chunks.record(target, entry, 100, 1000, chunks.place(target, entry.table)[0])
    snapshot.holder.close()
    source.close()


def told(pair: Pair) -> drift.Drift | None:
    sides, target = pair.sides, pair.links.open(pair.ends[Side.TARGET])
    rows = differences(sides, pair.answers(), pair.hashing)
    return drift.drift_of(sides, target, pair.table, ("public", "t"), rows, pair.hashing)


@pytest.mark.parametrize("table", [KEYED, KEYLESS, PARTITIONED], ids=["keyed", "keyless", "partitioned"])
@pytest.mark.parametrize(
    ("change", "evidence"),
    [
        ("INSERT INTO t VALUES (101), (102)", "2 rows of the source newer than that snapshot (by xmin)"),
        ("UPDATE t SET v = 'new' WHERE id = 7", "1 row of the source newer than that snapshot (by xmin)"),
        ("DELETE FROM t WHERE id < 4", "its statistics count 3 deleted rows since"),
    ],
    ids=["insert", "update", "delete"],
)
def test_a_source_that_changed(pair: Pair, table: str, change: str, evidence: str) -> None:
    copied(pair, table)
    pair.source(change)
    found = told(pair)
    assert str(found).startswith("the source changed since the copy of 20")
    assert found is not None
    assert evidence in found.evidence


def test_a_source_that_was_emptied(pair: Pair) -> None:
    copied(pair, KEYED)
    pair.source("TRUNCATE t")
    found = told(pair)
    assert found is not None
    assert "it was emptied or rewritten since" in found.evidence


def test_a_source_that_did_not_change(pair: Pair) -> None:
    copied(pair, KEYED)
    pair.source("VACUUM FREEZE t")
    pair.source("BEGIN; UPDATE t SET v = 'x'; ROLLBACK")
    pair.target("UPDATE t SET v = 'broken' WHERE id = 9; DELETE FROM t WHERE id = 10")
    found = told(pair)
    assert found is not None
    assert str(found).startswith("the source did not change since the copy of 20")
    assert str(found).endswith(", so the target did")
    assert found.evidence == (
        "no row of the source is newer than that snapshot (by xmin); its statistics count no deleted rows since"
    )


def test_a_source_that_changed_does_not_excuse_a_wrong_copy(pair: Pair) -> None:
    copied(pair, KEYED)
    pair.source("UPDATE t SET v = 'new' WHERE id = 7")
    pair.target("UPDATE t SET v = 'broken' WHERE id = 9")
    found = told(pair)
    assert found is not None
    assert str(found).endswith(", but that does not explain 1 row of them")
    assert found.evidence.startswith("1 row of the source newer than that snapshot (by xmin)")
    assert found.evidence.endswith("not explained: (9)")


def test_rows_that_the_run_s_snapshot_did_not_see_yet(pair: Pair) -> None:
    """A transaction that began before the snapshot and committed after it has a low number, and is drift."""
    pair.both(KEYED + FILL)
    writer = pair.links.open(pair.ends[Side.SOURCE])
    with writer.cursor() as cursor:
        cursor.execute("BEGIN; UPDATE public.t SET v = 'late' WHERE id = 1")
        pair.source("CREATE TABLE other AS SELECT 1; DROP TABLE other")
        record(pair)
        cursor.execute("COMMIT")
    found = told(pair)
    assert found is not None
    assert "1 row of the source newer than that snapshot" in found.evidence


def test_a_copy_that_nothing_is_known_of(pair: Pair) -> None:
    pair.both(KEYED + FILL)
    pair.source("DELETE FROM t WHERE id = 1")
    assert told(pair) is None
