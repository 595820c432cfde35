"""A comparison while the target follows tells rows that are wrong from rows that are on their way."""

import threading
from collections.abc import Iterator

import pytest

from pg_migration.postgres.migration import validate
from pg_migration.postgres.verification.moving_rows import Version, judged
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.live import Shop, Writer, shop

A, B, C = (1, "100"), (2, "200"), (1, "300")

# What the source had before, what the target had after it had passed that, what the source had then, what the target
# had before: and what that means.
Versions = tuple[Version, ...]
CASES: dict[str, tuple[Versions, Versions, Versions, Versions | None, str | None]] = {
    "the same": ((A,), ((1, "7"),), (A,), None, ""),
    "was changed, and the target has it already": ((A,), ((2, "7"),), (B,), None, ""),
    "was changed, and the target has something between": ((A,), ((9, "7"),), (B,), None, None),
    "was written with the same values": ((A,), ((9, "7"),), (C,), None, None),
    "nobody has written it": ((A,), ((9, "7"),), (A,), None, "different"),
    "is not there": ((A,), (), (A,), None, "missing"),
    "was deleted, and the target has not done that yet": ((A,), ((1, "7"),), (), None, ""),
    "was never in the source, as far as is known": ((), ((1, "7"),), (), None, None),
    "may have come and gone": ((), ((1, "8"),), (), ((1, "7"),), None),
    "was there before, too": ((), ((1, "7"),), (), ((1, "7"),), "extra"),
    "one of two without a key": ((A, A), ((1, "7"),), (A, A), None, "missing"),
    "three of two without a key": ((A, A), ((1, "7"),) * 3, (A, A), ((1, "7"),) * 3, "extra"),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case)
def test_what_a_row_is(case: str) -> None:
    before, there, now, last, expected = CASES[case]
    assert judged(before, there, now, last) == expected


@pytest.fixture
def made(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Shop]:
    with shop(postgres16, postgres18) as found:
        found.follow()
        yield found


def test_rows_in_motion_are_no_difference_and_wrong_ones_are(made: Shop) -> None:
    before = made.state().validated_at
    writers = [Writer(made.two.urls, number) for number in (1, 2)]
    stop = threading.Event()

    def heat() -> None:
        with made.two.session() as session, session.cursor() as cursor:
            while not stop.wait(0.001):
                cursor.execute('UPDATE "Sh.op"."or%ders" SET n = n + 1 WHERE id IN (1, 2)')

    hot = threading.Thread(target=heat)
    hot.start()
    try:
        result = validate(made.migration())
        assert result.failures == ()
        assert before is not None
        after = made.state().validated_at
        assert after is not None
        assert after > before
        made.two.in_target("""
            SET session_replication_role = replica;
            UPDATE "Sh.op"."or%ders" SET what = 'wrong' WHERE id = 7;
            DELETE FROM "Sh.op"."or%ders" WHERE id = 8;
            INSERT INTO "Sh.op"."or%ders" (id, writer) VALUES (-1, 0)
        """)
        result = validate(made.migration())
    finally:
        stop.set()
        hot.join()
        for writer in writers:
            writer.stop()
    (failure,) = result.failures
    assert "3 rows differ" in failure
    shown = {(row.kind, row.row, row.columns) for row in result.outcomes.differences[("Sh.op", "or%ders")]}
    assert shown == {("different", "(7)", ("what",)), ("missing", "(8)", ()), ("extra", "(-1)", ())}
    assert made.state().validated_at == after
