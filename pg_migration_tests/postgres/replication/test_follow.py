"""A target that follows its source while an application writes; judged by that application and by plain queries."""

import threading
import time
from collections.abc import Iterator

import pytest

from pg_migration.postgres.migration import Migration, Options, migrate
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.harness import Two, two
from pg_migration_tests.postgres.replication.writers import EVERYTHING, SHOP, asked, missing_or_doubled, writing

SCHEMAS = '"Sh.op"'


@pytest.fixture
def pair(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Two]:
    with two(postgres16, postgres18, SHOP) as made:
        yield made


def migration(pair: Two, **options: object) -> Migration:
    return Migration.between(*pair.urls, schemas=SCHEMAS, options=Options.model_validate({"workers": 2, **options}))


def same_in_the_end(pair: Two, query: str = EVERYTHING) -> None:
    """Nobody writes any more: soon both have the same."""
    deadline = time.monotonic() + 60
    source = asked(pair.urls[0], query)
    while (target := asked(pair.urls[1], query)) != source:
        assert time.monotonic() < deadline, (source, target)
        time.sleep(0.05)


def test_what_an_application_writes_meanwhile_is_there_once(pair: Two) -> None:
    with writing(pair.urls[0]) as writers:
        result = migrate(migration(pair, follow=True))
        assert result.failures == ()
        time.sleep(0.5)
    assert [writer.errors for writer in writers] == [[], []]
    assert all(len(writer.journal) > 20 for writer in writers)
    same_in_the_end(pair)
    assert missing_or_doubled(pair.urls[1], writers) == []
    assert asked(pair.urls[1], 'SELECT sum(doubled) = 2 * sum(n) FROM "Sh.op"."or""der%s"') == [(True,)]
    assert pair.in_target("SELECT pubname FROM pg_publication") == ""
    refused = migrate(migration(pair))
    assert "pg_migration abandon" in refused.failures[0]
    refused = migrate(migration(pair, follow=True))
    assert "pg_migration abandon" in refused.failures[0]
    same_in_the_end(pair)


LOCKED = """
    SELECT FROM pg_locks WHERE mode = 'AccessShareLock' AND granted AND relation = '"Sh.op".base'::regclass
"""


def test_who_empties_a_table_waits_for_the_copy_and_not_for_ever(pair: Two) -> None:
    emptying = threading.Event()

    def empty() -> None:
        while not asked(pair.urls[0], LOCKED):
            time.sleep(0.01)
        emptying.set()
        pair.in_source('SET statement_timeout = \'30s\'; TRUNCATE "Sh.op".base; INSERT INTO "Sh.op".base VALUES (7)')

    emptier = threading.Thread(target=empty)
    emptier.start()
    assert migrate(migration(pair, follow=True)).failures == ()
    assert emptying.is_set()
    emptier.join()
    same_in_the_end(pair)
    assert pair.in_target('SELECT id FROM ONLY "Sh.op".base') == "7"
