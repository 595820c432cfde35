"""Rows of many megabytes: found while planning, and not read by all workers at once."""

import threading

from pg_migration.postgres.planning.options import LoadSettings
from pg_migration.postgres.planning.row_width import NARROW_BYTES
from pg_migration.postgres.transfer.streams.row_memory import MAX_BYTES, RowMemory
from pg_migration_tests.postgres.transfer.harness import Pair

MEGABYTE = 2**20
WIDE = """
CREATE TABLE documents (id int PRIMARY KEY, body text, scan bytea, note varchar);
INSERT INTO documents SELECT i, repeat('x', 2 * 1024 * 1024), NULL, 'n' FROM generate_series(1, 3) AS i;
UPDATE documents SET scan = convert_to(repeat('y', 1024 * 1024), 'UTF8') WHERE id = 2;
CREATE TABLE as_text (LIKE documents, type regtype); INSERT INTO as_text SELECT * FROM documents;
CREATE TABLE narrow (id int PRIMARY KEY, body text);
INSERT INTO narrow SELECT i, repeat('z', 50) FROM generate_series(1, 1000) AS i;
"""


def test_planned_by_their_widest_row(pair: Pair) -> None:
    """Those of a table with a type's name travel as text, in which a byte of bytea takes two."""
    pair.source.psql(WIDE)
    plans = pair.load_all(LoadSettings(workers=2)).plans
    assert {name: plan.row_bytes for name, plan in plans.items()} == {
        "documents": 3 * MEGABYTE + 1,
        "as_text": 4 * MEGABYTE + 1,
        "narrow": 0,
    }


def test_memory_is_shared_out() -> None:
    memory = RowMemory(lambda: False)
    begun, order = threading.Event(), []

    def second() -> None:
        begun.set()
        with memory.reserve(MAX_BYTES) as wide:
            order.append(("second", wide))

    with memory.reserve(NARROW_BYTES + 1) as wide, memory.reserve(NARROW_BYTES) as narrow:
        assert (wide, narrow) == (True, False)
        thread = threading.Thread(target=second)
        thread.start()
        assert begun.wait(timeout=60)
        order.append(("first", wide))
    thread.join(timeout=60)
    assert order == [("first", True), ("second", True)]


def test_nobody_waits_in_a_load_that_stops() -> None:
    memory = RowMemory(lambda: True)
    with memory.reserve(MAX_BYTES), memory.reserve(MAX_BYTES) as wide:
        assert wide
