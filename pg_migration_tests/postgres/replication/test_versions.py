"""Following from and to other versions of PostgreSQL, each with what only some of them have."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pg_migration.devtools import servers
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.migration import Migration, Options, abandon, migrate, preflight
from pg_migration.postgres.migration.live.watch import watch
from pg_migration.postgres.preflight import Severity
from pg_migration.postgres.replication.lag import position, wait_until_applied
from pg_migration.postgres.replication.record import last_replication
from pg_migration.postgres.replication.state import Phase
from pg_migration_tests.conftest import POSTGRES_19, SETTINGS, SETTINGS_18, PostgresServer, is_there
from pg_migration_tests.postgres.replication.harness import Two, two
from pg_migration_tests.postgres.replication.live import SHOP as MOVED_SHOP
from pg_migration_tests.postgres.replication.live import WITHOUT_RELOADS, shop
from pg_migration_tests.postgres.replication.writers import EVERYTHING, SHOP, asked, missing_or_doubled, writing

pytestmark = pytest.mark.longer
needs_19 = pytest.mark.skipif(not is_there(POSTGRES_19), reason=f"no PostgreSQL 19 in {POSTGRES_19.bindir}")

VERSIONS = [
    (12, 18),
    (13, 16),
    (13, 18),
    (14, 18),
    (15, 16),
    (15, 18),
    (16, 16),
    (17, 18),
    (18, 18),
    (18, 19),
    (19, 18),
    (19, 19),
]


def migration(pair: Two, **options: object) -> Migration:
    chosen = Options.model_validate({"workers": 2, "follow": True, **options})
    return Migration.between(*pair.urls, schemas='"Sh.op"', options=chosen)


@pytest.fixture(params=VERSIONS, ids=lambda pair: f"{pair[0]} to {pair[1]}")
def pair(request: pytest.FixtureRequest) -> Iterator[Two]:
    source, target = (request.getfixturevalue(f"postgres{version}") for version in request.param)
    with two(source, target, SHOP) as made:
        yield made


def same_in_the_end(pair: Two) -> None:
    deadline = time.monotonic() + 60
    source = asked(pair.urls[0], EVERYTHING)
    while (target := asked(pair.urls[1], EVERYTHING)) != source:
        assert time.monotonic() < deadline, (source, target)
        time.sleep(0.05)


def test_what_an_application_writes_meanwhile_is_there_once(pair: Two) -> None:
    with writing(pair.urls[0]) as writers:
        assert migrate(migration(pair)).failures == ()
        pair.in_source('TRUNCATE "Sh.op".derived; INSERT INTO "Sh.op".derived VALUES (1000, \'new\')')
        time.sleep(0.5)
    assert [writer.errors for writer in writers] == [[], []]
    same_in_the_end(pair)
    assert missing_or_doubled(pair.urls[1], writers) == []
    found = watch(migration(pair))
    assert found.problems == ()
    assert found.lag is not None
    assert found.lag.tables_ready == found.lag.tables == 7
    name = pair.in_target(
        "SELECT subname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid WHERE datname = current_database()"
    )
    said = pair.in_target(f"SELECT to_jsonb(s) - 'subconninfo' FROM pg_subscription s WHERE subname = '{name}'")
    if pair.source.version >= 14:
        assert '"substream": "t"' in said or '"substream": true' in said
    assert '"subdisableonerr": true' in said
    roots = pair.in_source("SELECT prrelid::regclass FROM pg_publication_rel")
    assert ('"Sh.op".visits_1' in roots) is (pair.source.version < 13)
    assert abandon(migration(pair)).failures == ()
    assert pair.left_in_source() == '"Sh.op".journal f'


def test_what_an_older_target_tries_again_and_again_is_told(
    postgres18: PostgresServer, postgres14: PostgresServer
) -> None:
    with two(postgres18, postgres14, SHOP) as pair:
        assert migrate(migration(pair)).failures == ()
        pair.in_target('INSERT INTO "Sh.op".base VALUES (777777)')
        pair.in_source('INSERT INTO "Sh.op".base VALUES (777777)')
        with pair.sessions() as (source, target, _):
            followed = last_replication(target)
            assert followed is not None

            def wait(seconds: float) -> None:
                until = time.monotonic() + seconds
                wait_until_applied(target, followed, position(source), until, threading.Event())

            with pytest.raises(MigrationError, match="the log of its server says whether one does"):
                wait(2)
            pair.in_target('DELETE FROM "Sh.op".base WHERE id = 777777')
            wait(60)
        same_in_the_end(pair)
        assert abandon(migration(pair)).failures == ()


def test_a_slot_goes_on_at_a_standby_from_17_on(postgres18: PostgresServer) -> None:
    postgres18.psql(postgres18.url(), "SELECT pg_create_physical_replication_slot('of_a_standby')")
    try:
        with two(postgres18, postgres18, SHOP) as pair:
            assert migrate(migration(pair)).failures == ()
            own = "WHERE database = current_database()"
            assert pair.in_source(f"SELECT failover FROM pg_replication_slots {own}") == "t"
            assert pair.in_target("SELECT subfailover FROM pg_subscription ORDER BY oid DESC LIMIT 1") == "t"
            pair.in_source('UPDATE "Sh.op".base SET t = 1')
            same_in_the_end(pair)
            assert abandon(migration(pair)).failures == ()
    finally:
        postgres18.psql(postgres18.url(), "SELECT pg_drop_replication_slot('of_a_standby')")


@contextmanager
def told_nothing(
    folder: Path, name: str, installation: servers.Installation, **settings: str
) -> Iterator[PostgresServer]:
    """A server of its own with the wal_level that servers have by themselves."""
    account = servers.server_account()
    usable = servers.usable(installation, account, folder)
    newer = SETTINGS_18 if usable.version >= 18 else {}
    made = servers.Server(usable, folder / name, account, {**SETTINGS, **newer, "wal_level": "replica", **settings})
    made.start()
    try:
        yield PostgresServer(made)
    finally:
        made.stop("immediate")
        servers.demolish(made.folder)


@needs_19
def test_a_19_that_writes_no_more_than_it_must_is_refused(servers_folder: Path) -> None:
    least = {"wal_level": "minimal", "max_wal_senders": "0"}
    with told_nothing(servers_folder, "source19", POSTGRES_19, **least) as server, two(server, server, SHOP) as pair:
        refused = [found.verdict for found in preflight(migration(pair)) if found.severity is Severity.ERROR]
        assert "wal_level of the source is minimal, and following needs logical" in refused


@needs_19
def test_a_19_decodes_there_and_back_without_being_told_at_its_start(servers_folder: Path) -> None:
    with ExitStack() as stack:
        source, target = (
            stack.enter_context(told_nothing(servers_folder, name, POSTGRES_19)) for name in ("source19", "target19")
        )
        with shop(source, target, MOVED_SHOP + WITHOUT_RELOADS) as made:

            def levels() -> tuple[str, str]:
                return made.two.in_source("SHOW effective_wal_level"), made.two.in_target("SHOW effective_wal_level")

            def until(wanted: tuple[str, str]) -> None:
                deadline = time.monotonic() + 60  # the checkpointer lowers it
                while levels() != wanted:
                    assert time.monotonic() < deadline, levels()
                    time.sleep(0.05)

            assert levels() == ("replica", "replica")
            assert migrate(made.migration(follow=True)).failures == ()
            assert levels() == ("logical", "replica")
            assert abandon(made.migration()).failures == ()
            until(("replica", "replica"))
            assert migrate(made.migration(follow=True)).failures == ()
            assert made.cutover(way_back=True, check="content").failures == ()
            until(("replica", "logical"))
            made.two.in_target('INSERT INTO "Sh.op"."or%ders" (writer, n) VALUES (1, 1)')
            assert made.go_back(check="content").failures == ()
            assert len(set(made.contents())) == 1
            assert made.written_by(1, target=False) == [1]
            assert made.left() == ""
            until(("replica", "replica"))


def test_an_older_one_has_to_be_told_before_a_way_back(servers_folder: Path, postgres16: PostgresServer) -> None:
    with ExitStack() as stack:
        target = stack.enter_context(told_nothing(servers_folder, "target16", servers.embedded(16)))
        made = stack.enter_context(shop(postgres16, target, MOVED_SHOP + WITHOUT_RELOADS))
        made.follow()
        refused = made.cutover(way_back=True)
        assert refused.failures[0].startswith("a way back needs wal_level = logical on the target, which has replica")
        assert (made.state().phase, made.source_is_read_only()) == (Phase.FOLLOWING, False)
        assert made.cutover().failures == ()
