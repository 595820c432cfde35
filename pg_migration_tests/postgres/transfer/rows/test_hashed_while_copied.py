"""Rows are hashed while others are copied, once on each side; what is written to them later is found all the same."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.hashing.digests import Digest, Hashing
from pg_migration.postgres.hashing.part import Part
from pg_migration.postgres.hashing.places import FREE_PAGES
from pg_migration.postgres.ledger import chunks
from pg_migration.postgres.ledger.chunks import ChunkEntry, Placed
from pg_migration.postgres.migration import use_cases
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.transfer.events import Event
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.transfer.harness import Pair

ROWS = 5_000
CHUNKS = 5
TABLES = f"""
    CREATE TABLE cut (id int PRIMARY KEY, v text);
    INSERT INTO cut SELECT n, repeat(md5(n::text), 5) FROM generate_series(1, {ROWS}) AS n;
    CREATE TABLE small (id int PRIMARY KEY, v text);
    INSERT INTO small SELECT n, n FROM generate_series(1, 10) AS n;
    CREATE TABLE keyless (v int); INSERT INTO keyless SELECT n % 7 FROM generate_series(1, {ROWS}) AS n;
    CREATE TABLE tree (id int, v int) PARTITION BY RANGE (id);
    CREATE TABLE leaf PARTITION OF tree FOR VALUES FROM (0) TO (100); INSERT INTO tree VALUES (1, 1), (2, 2);
    CREATE TABLE nothing (id int);
    ANALYZE;
"""
OPTIONS = {"chunk_size": ROWS // CHUNKS, "workers": 3}


@pytest.fixture
def shop(pair: Pair) -> Pair:
    pair.source.psql(TABLES)
    return pair


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The server version and the table of each question about rows."""
    questions: list[tuple[str, int]] = []
    answer = Hashing.__call__

    def ask(self: Hashing, connection: Connection, part: Part) -> Digest:
        questions.append((part.table.name, connection.server_version // 10000))
        return answer(self, connection, part)

    monkeypatch.setattr(Hashing, "__call__", ask)
    return questions


def after_the_copy(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Have something happen after a run has copied and before it compares."""
    copy = use_cases.copy_tables

    def copy_and_do(run: MigrationRun) -> Iterator[Event]:
        yield from copy(run)
        do()

    monkeypatch.setattr(use_cases, "copy_tables", copy_and_do)


def test_each_row_is_hashed_once_on_each_side(shop: Pair, asked: list[tuple[str, int]]) -> None:
    result = shop.migrate(**OPTIONS)
    assert result.failures == ()
    assert set(result.outcomes.checks) == {
        ("public", t) for t in ("cut", "small", "keyless", "tree", "leaf", "nothing")
    }
    assert all(check == {"row_count": True, "content": True} for check in result.outcomes.checks.values())
    for version in (16, 18):
        # Rows that came into pages which were free before are looked for again.
        assert CHUNKS <= asked.count(("cut", version)) <= (CHUNKS if version == 16 else 4 * CHUNKS)
        # On a busy machine the target may be read again, where a session that was there has not counted in time.
        times = [asked.count((table, version)) for table in ("small", "leaf", "nothing")]
        assert set(times) <= ({1} if version == 16 else {1, 2})
        assert asked.count(("tree", version)) == 0
    work = [done for done in result.outcomes.work if done.activity == "hash" and done.table[1] == "cut"]
    assert sorted(done.detail for done in work) == sorted(["all, source", "all, target"] * CHUNKS)


CHANGES = {
    "a row more": ("INSERT INTO cut VALUES (0, 'new')", "1 row differs"),
    "a row less": ("DELETE FROM cut WHERE id = 7", "1 row differs"),
    "another value": ("UPDATE cut SET v = 'new' WHERE id = 7", "1 row differs"),
    "a value there and back": ("UPDATE cut SET v = v", None),
    "no rows": ("TRUNCATE cut", f"{ROWS:,} rows in the source, 0 in the target"),
    "no rows, then as many": (
        "CREATE TEMP TABLE kept AS SELECT id, 'new' FROM cut; TRUNCATE cut; INSERT INTO cut SELECT * FROM kept",
        "20 rows or more differ",
    ),
    "another table": ("DROP TABLE cut; CREATE TABLE cut (id int, v text)", "0 in the target"),
    "rows of a partition": ("UPDATE leaf SET v = 3 WHERE id = 1", "public.tree"),
}


SHORT = ("a row less", "another value", "no rows, then as many", "rows of a partition")


@pytest.mark.parametrize(
    "change", [change if change in SHORT else pytest.param(change, marks=pytest.mark.longer) for change in CHANGES]
)
def test_what_is_written_after_that_is_found(shop: Pair, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    statements, told = CHANGES[change]
    after_the_copy(monkeypatch, lambda: shop.target.psql(statements))
    failures = shop.migrate(**OPTIONS).failures
    if told is None:
        assert failures == ()
    else:
        assert any(told in failure for failure in failures), failures


def test_where_rows_are_only_counted_what_comes_later_is_found(shop: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop.migrate(**OPTIONS, check_content=False).failures == ()
    after_the_copy(monkeypatch, lambda: shop.target.psql("DELETE FROM cut WHERE id = 7"))
    (failure,) = shop.migrate(**OPTIONS, check_content=False).failures
    assert failure.startswith("public.cut: 5,000 rows in the source, 4,999 in the target")


def test_the_target_is_read_once_for_all_where_it_does_not_count(shop: Pair, asked: list[tuple[str, int]]) -> None:
    shop.target.psql("DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET track_counts = off', current_database()); END$$")
    assert shop.migrate(**OPTIONS).failures == ()
    assert asked.count(("small", 16)) == 1
    assert asked.count(("small", 18)) == 1


def test_a_run_stops_to_copy_what_is_copied_wrong(shop: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    record = chunks.record

    def record_changed(connection: Connection, entry: ChunkEntry, *arguments: Any) -> Placed:
        if entry.table == ("public", "cut"):
            execute(connection, "UPDATE public.cut SET v = 'wrong' WHERE id % 1000 = 7")
        return record(connection, entry, *arguments)

    monkeypatch.setattr(chunks, "record", record_changed)
    result = shop.migrate(chunk_size=ROWS // CHUNKS, workers=1)
    (failure,) = result.failures
    assert failure == (
        "public.cut: its rows in the range all (chunk 1) differ between the two sides in v after they were "
        "copied. The rest was not copied"
    )
    assert 0 < int(shop.target.psql("SELECT count(*) FROM cut")) < ROWS
    assert {name for _, name in result.outcomes.loaded} == {"small", "keyless", "tree", "leaf", "nothing"}


def test_what_the_target_computes_otherwise(postgres18: PostgresServer, shop: Pair) -> None:
    """By its server, which is a note, or by a function that no migrated schema holds and that is another one there."""
    url = postgres18.create_database(options="LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'")
    shop.target.url = url
    for side, shift in ((shop.source, 1), (shop.target, 2)):
        side.psql(
            "CREATE SCHEMA elsewhere; CREATE FUNCTION elsewhere.f(int) RETURNS int LANGUAGE sql IMMUTABLE "
            f"AS 'SELECT $1 + {shift}'"
        )
    shop.source.psql(
        """
        CREATE FUNCTION louder(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
        ALTER TABLE small ADD loud text GENERATED ALWAYS AS (louder(v || 'é')) STORED,
            ADD louder text GENERATED ALWAYS AS (upper(v || 'ü')) STORED, ADD n int GENERATED ALWAYS AS (id * 2) STORED;
        """
    )
    said = "generated columns loud, louder: the target's PostgreSQL computes other values"
    for _ in range(2):
        result = shop.migrate(**OPTIONS)
        assert result.failures == ()
        assert f"public.small: {said}" in result.notes
        assert result.outcomes.checks["public", "small"] == {"row_count": True, "content": True}
    shop.source.psql("ALTER TABLE cut ADD shifted int GENERATED ALWAYS AS (elsewhere.f(id)) STORED")
    (failure,) = shop.migrate(**OPTIONS, drop_existing_tables=True).failures
    assert failure == (
        "public.cut: generated column shifted: the target computes other values: what the table uses outside the "
        "migrated schemas is something else there. Next: make that the same, then copy the table again"
    )
    assert f"the same rows on both sides, {said}" in [verdict.text for verdict in shop.compare_rows()]
    postgres18.drop_database(url)


def test_rows_are_found_in_pages_that_were_free_before(
    shop: Pair, asked: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session may be given pages that another one has added to a table and left: all are looked through then."""
    record = chunks.record

    def record_elsewhere(*arguments: Any) -> Placed:
        return replace(record(*arguments), first_page=100_000, end_page=100_001)

    monkeypatch.setattr(chunks, "record", record_elsewhere)
    assert shop.migrate(**OPTIONS).failures == ()
    assert asked.count(("cut", 18)) == CHUNKS * (len(FREE_PAGES) + 1)
