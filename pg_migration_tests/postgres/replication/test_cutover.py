"""The target takes over while applications write, or nothing has happened."""

from collections.abc import Iterator

import pytest

from pg_migration.postgres.replication.state import Phase
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.live import Shop, Writer, shop


@pytest.fixture
def made(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Shop]:
    with shop(postgres16, postgres18) as found:
        yield found


def test_nothing_is_lost_or_doubled_when_the_target_takes_over(made: Shop) -> None:
    made.follow()
    writers = [Writer(made.two.urls, number) for number in (1, 2)]
    made.two.in_source("INSERT INTO \"Sh.op\".log VALUES ('late'); SELECT nextval('\"Sh.op\".numbers')")
    result = made.cutover()
    for writer in writers:
        writer.stop()
    assert result.failures == ()
    state = made.state()
    assert (state.phase, made.left(), made.source_is_read_only()) == (Phase.MOVED, "", True)
    for writer in writers:
        found = made.written_by(writer.number)
        assert set(found) >= set(writer.acknowledged)
        assert len(found) == len(set(found))
