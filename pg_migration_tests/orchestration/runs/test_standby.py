"""Hot standbys: as a source, what works as elsewhere, what is said otherwise, and what is refused; as a target."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import psycopg2
import pytest

from pg_migration.postgres.migration import Result, validate
from pg_migration_tests.conftest import SHOP, PostgresServer
from pg_migration_tests.orchestration.conftest import serve
from pg_migration_tests.orchestration.harness import Database, Platform, Role
from pg_migration_tests.standbys import standby_of


@pytest.fixture(scope="module")
def standby(postgres16: PostgresServer, servers_folder: Path) -> Iterator[PostgresServer]:
    """A server that repeats what `postgres16` does."""
    with standby_of(postgres16, servers_folder) as made:
        yield made


@dataclass(frozen=True)
class Mirrored:
    """A platform whose source is the standby, and the primary of that."""

    primary: Database
    platform: Platform
    first: Result | None = None

    def write(self, text: str) -> None:
        """Write to the primary, and wait until the standby has it."""
        self.primary.psql(f"SET synchronous_commit = on; {text}")
        replayed = f"SELECT pg_last_wal_replay_lsn() >= '{self.primary.psql('SELECT pg_current_wal_lsn()')}'"
        standby, deadline = self.platform.source.server, time.monotonic() + 60
        while standby.psql(standby.url(), replayed) != "t\n":
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def mirrored(
    postgres16: PostgresServer,
    postgres18: PostgresServer,
    standby: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mirrored]:
    """The shop on the primary, copied from the standby to 18, while a transaction was open on the primary."""
    primary, target = (Database(server, server.create_database()) for server in (postgres16, postgres18))
    source = Database(standby, standby.url(primary.url.rpartition("/")[2]))
    with pytest.MonkeyPatch.context() as monkeypatch:
        for platform in serve(source, target, monkeypatch, tmp_path_factory.mktemp("home")):
            made = Mirrored(primary, platform)
            made.write(SHOP)
            with closing(psycopg2.connect(primary.url)) as writer, writer.cursor() as cursor:
                cursor.execute("UPDATE orders SET placed = '2020-01-01' WHERE id = 7")
                made.write("UPDATE customers SET balance = 1 WHERE id = 1")
                done = platform.migrate_directly()
                writer.commit()
            assert done.failures == ()
            assert platform.target.psql("SELECT placed FROM orders WHERE id = 7") == "2024-01-08"
            yield replace(made, first=done)
    for database in (primary, target):
        database.server.drop_database(database.url)


def test_that_its_recovery_may_end_sessions_is_noted(mirrored: Mirrored) -> None:
    assert mirrored.first is not None
    summary = "\n".join(mirrored.first.notes)
    assert "the source is a standby whose recovery may cancel the long queries" in summary
    assert "hot_standby_feedback = on" in summary


def test_it_is_no_target(mirrored: Mirrored) -> None:
    shop = mirrored.platform
    shop.set(SOURCE_URL=mirrored.primary.url, TARGET_URL=shop.source.url)
    (refused,) = shop.migrate_directly().failures
    shop.set(SOURCE_URL=shop.source.url, TARGET_URL=shop.target.url)
    assert "is a standby in recovery. Give its primary instead" in refused


def test_what_changed_since_the_copy_and_what_can_not_be_known(mirrored: Mirrored) -> None:
    def told() -> str:
        failures = validate(mirrored.platform.migration()).failures
        return next(failure for failure in failures if failure.startswith("public.orders: "))

    mirrored.write("SELECT txid_current()")
    assert "the source changed since the copy of" in told()
    mirrored.platform.target.psql("UPDATE orders SET placed = '2020-01-01' WHERE id = 7")
    mirrored.write("DELETE FROM orders WHERE id = 8")
    found = told()
    assert "that does not explain 1 row of them" in found
    assert "rows that were deleted since are not known, as a standby does not count them" in found
    assert "did not change" not in found


def test_who_watches_for_changes_says_that_there_is_nothing_to_see(mirrored: Mirrored) -> None:
    shop = mirrored.platform
    repository = shop.definitions.get_repository_def()
    name = "source_rows_changed"
    with dg.build_sensor_context(shop.instance, repository_def=repository, sensor_name=name) as context:
        found = repository.get_sensor_def(name).evaluate_tick(context)
    assert "the source is a standby, whose statistics do not count" in (found.skip_message or "")


def test_unlogged_tables_are_refused_before_the_target_is_touched(mirrored: Mirrored) -> None:
    shop = mirrored.platform
    mirrored.write("CREATE UNLOGGED TABLE cache (id serial)")
    before = shop.target.dump()
    try:
        (refused,) = shop.migrate_directly().failures
        assert "what is UNLOGGED can't be read: public.cache, public.cache_id_seq" in refused
        assert shop.target.dump() == before
        assert shop.migrate_directly(exclude_tables=["cache"]).succeeded
    finally:
        mirrored.write("DROP TABLE cache")


def test_its_own_primary_is_no_target(mirrored: Mirrored) -> None:
    """What is emptied in the primary is soon empty in the standby."""
    shop, clerk = mirrored.platform, Role("clerk", "sesame")
    mirrored.write(f"CREATE ROLE clerk LOGIN PASSWORD '{clerk.password}'")
    shop.set(TARGET_URL=mirrored.primary.url)
    try:
        (refused,) = shop.migrate_directly().failures
        assert "the source is a standby of the target, and the same schema public" in refused
        assert (
            mirrored.primary.psql("SELECT to_regnamespace('_pg_migration') IS NULL, count(*) > 0 FROM orders") == "t|t"
        )
        mirrored.write("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public")
        shop.set(SOURCE_URL=clerk.url(shop.source))
        (refused,) = shop.migrate_directly().failures
        assert "the roles may not ask whether it is one of the target" in refused
    finally:
        shop.set(SOURCE_URL=shop.source.url, TARGET_URL=shop.target.url)
        mirrored.write("GRANT EXECUTE ON FUNCTION pg_control_system() TO public; DROP ROLE clerk")
