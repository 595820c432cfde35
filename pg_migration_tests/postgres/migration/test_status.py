"""What goes on in a target, as its ledger and its sessions tell it."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timezone

import psycopg2
import pytest
from psycopg2 import extras
from psycopg2.extensions import connection as Connection

from pg_migration.cli.status import STALE_SECONDS, as_data, lines
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.errors import LedgerTooNew, MigrationError, NotPermitted
from pg_migration.postgres.ledger import schema
from pg_migration.postgres.ledger.progress import record_progress
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.migration.status import State, Status, read_status
from pg_migration.postgres.replication.record import record
from pg_migration.postgres.replication.state import Phase, Replication
from pg_migration_tests.cli.test_live_view import COMPARING, COPYING
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import session
from pg_migration_tests.postgres.ledger.old_ledgers import OLD_LEDGERS

RUN = "0a1b2c3d-0000-4000-8000-000000000000"
OTHER = "ffffffff-0000-4000-8000-000000000000"


@pytest.fixture
def target(target_db: str) -> Iterator[Connection]:
    with session(target_db) as connection:
        yield connection


def ledger(target: Connection, *runs: tuple[str, str, str | None, bool | None]) -> None:
    """A ledger with runs: identifier, begin, end, success."""
    schema.create(target)
    for run in runs:
        execute(
            target,
            "INSERT INTO _pg_migration.run (run_id, source, snapshot, snapshot_at, started_at, finished_at, succeeded) "
            "VALUES (%s, 'postgresql://u@old/shop', 's', now(), %s, %s, %s)",
            run,
        )


def told(url: str) -> tuple[Status, str]:
    """What a session of its own is told, as data and for people."""
    end = Endpoint.parse(Side.TARGET, url, "URL")
    with session(url) as connection:
        found = read_status(connection, end)
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            execute(connection, "CREATE TABLE public.by_status ()")
    json.dumps(as_data(found))
    return found, "\n".join(line.plain.rstrip() for line in lines(found, end, 60))


def test_nothing_was_ever_migrated(target_db: str) -> None:
    found, shown = told(target_db)
    assert (found.run, found.is_running) == (None, False)
    assert shown.startswith("nothing was migrated to postgresql://")


@pytest.mark.parametrize("old", OLD_LEDGERS.values(), ids=OLD_LEDGERS.keys())
def test_an_old_ledger(postgres18: PostgresServer, target_db: str, old: str) -> None:
    postgres18.psql(target_db, old)
    found, shown = told(target_db)
    assert found.run is None or found.run.state is State.SUCCEEDED
    assert shown


@pytest.mark.parametrize(
    ("end", "succeeded", "state", "words"),
    [
        ("2026-01-01 10:01:05+00", True, State.SUCCEEDED, "succeeded at 2026-01-01 10:01:05 UTC, after 1 min 05 s"),
        ("2026-01-01 10:01:05+00", False, State.FAILED, "FAILED at 2026-01-01 10:01:05 UTC, after 1 min 05 s"),
        (None, None, State.LOST, "was lost before it ended"),
    ],
)
def test_the_last_run(
    target: Connection, target_db: str, end: str | None, succeeded: bool | None, state: State, words: str
) -> None:
    ledger(target, (OTHER, "2025-01-01", None, None), (RUN, "2026-01-01 10:00:00+00", end, succeeded))
    record_progress(target, RUN, COPYING.as_json())
    found, shown = told(target_db)
    assert found.run is not None
    assert (found.run.run_id, found.run.state, found.is_running) == (RUN, state, False)
    assert found.run.started_at.astimezone(timezone.utc).hour == 10
    assert shown.startswith(f"nothing goes on\nthe last run, {RUN} from postgresql://u@old/shop, ")
    assert words in shown


@pytest.fixture
def holder(target_db: str) -> Iterator[Connection]:
    """The session that holds the lock of a run."""
    with closing(psycopg2.connect(target_db, application_name=f"pg_migration run {RUN}")) as connection:
        yield connection


@pytest.mark.usefixtures("holder")
def test_a_run_that_goes_on(target: Connection, target_db: str) -> None:
    # One that is newer by the clock of its host, and has no session, is not the one that goes on.
    ledger(target, (RUN, "2026-01-01", None, None), (OTHER, "2026-01-02", None, None))
    found, shown = told(target_db)
    assert (found.is_running, found.progress) == (True, None)
    assert "rows are not on their way now" in shown
    for progress in (COPYING, COMPARING):
        record_progress(target, RUN, progress.as_json())
        found, shown = told(target_db)
        assert found.progress == progress
        assert found.told_seconds is not None
        assert found.told_seconds >= 0
    assert shown.startswith(f"run {RUN} from postgresql://u@old/shop, since ")
    record_progress(target, RUN, COPYING.as_json())
    execute(target, "UPDATE _pg_migration.progress SET told_at = clock_timestamp() + interval '1 hour'")
    assert told(target_db)[1].endswith("63 %  about 2 min left")


@pytest.mark.usefixtures("holder")
def test_what_it_does_while_it_tells_nothing(target: Connection, target_db: str) -> None:
    ledger(target, (RUN, "2026-01-01", None, None))
    record_progress(target, RUN, COPYING.as_json())
    execute(target, "UPDATE _pg_migration.progress SET told_at = told_at - %s * interval '1 s'", (STALE_SECONDS + 1,))
    with closing(psycopg2.connect(target_db, application_name=f"pg_migration run {RUN[:8]}", async_=True)) as worker:
        extras.wait_select(worker)
        worker.cursor().execute("SELECT pg_sleep(600), 'a secret'")
        while not (found := told(target_db))[0].sessions:
            assert worker.poll() is not None
    (busy,) = found[0].sessions
    execute(target, "SELECT pg_terminate_backend(%s)", (busy.process,))
    assert busy.statement == "SELECT pg_sleep(600), '...'"
    assert not busy.waits
    assert "that was the last it told" in found[1]
    assert "public.flights" not in found[1]
    assert "SELECT pg_sleep(600), '...'" in found[1]


def test_a_run_that_only_compares(target: Connection, target_db: str) -> None:
    ledger(target, (RUN, "2026-01-01", "2026-01-02", True))
    with closing(psycopg2.connect(target_db, application_name=f"pg_migration run {OTHER[:8]}")):
        found, shown = told(target_db)
    assert found.is_running
    assert found.comparing == ["ffffffff"]
    assert shown.startswith("run ffffffff has just begun, or it only compares")


@pytest.mark.parametrize("phase", Phase)
def test_how_a_replication_stands(target: Connection, target_db: str, phase: Phase) -> None:
    ledger(target, (RUN, "2026-01-01", "2026-01-02", True))
    assert told(target_db)[0].replication is None
    end = Identity(None, 18, 1, "shop", ())
    for name in ("pg_migration_1", "pg_migration_2"):
        record(target, Replication(name, phase, RUN, end, end, (), (), 1, reason="so\nit is"))
    found, shown = told(target_db)
    assert found.replication is not None
    assert (found.replication.name, found.replication.phase) == ("pg_migration_2", phase)
    last = shown.splitlines()[-1]
    assert "UTC: so" in last
    assert last.endswith("it is")
    assert phase.value not in {"moved", "ended"} or "pg_migration release" in last
    assert json.loads(json.dumps(as_data(found)))["replication"]["phase"] == phase.value


def test_what_a_newer_program_has_told(target: Connection, target_db: str, holder: Connection) -> None:
    assert not holder.closed
    ledger(target, (RUN, "2026-01-01", None, None))
    execute(target, "INSERT INTO _pg_migration.progress (run_id, progress) VALUES (%s, '{\"new\": 1}')", (RUN,))
    assert told(target_db)[0].progress is None
    execute(target, "INSERT INTO _pg_migration.version VALUES (99)")
    with pytest.raises(LedgerTooNew):
        told(target_db)


def test_a_role_without_rights(postgres18: PostgresServer, target: Connection, target_db: str) -> None:
    clerk = '"status ""clerk"""'
    postgres18.psql(target_db, f"CREATE ROLE {clerk} LOGIN PASSWORD 'x'")
    url = "postgresql://status%20%22clerk%22:x@" + target_db.rpartition("@")[2]
    try:
        assert told(url)[0].run is None
        ledger(target, (RUN, "2026-01-01", "2026-01-02", True))
        with pytest.raises(NotPermitted, match="GRANT USAGE ON SCHEMA _pg_migration") as refused:
            told(url)
        postgres18.psql(target_db, str(refused.value).partition("run: ")[2])
        found, _ = told(url)
        assert found.run is not None
    finally:
        postgres18.psql(target_db, f"DROP OWNED BY {clerk} CASCADE; DROP ROLE {clerk}")


def test_a_connection_that_is_lost(target: Connection, target_db: str) -> None:
    target.close()
    with pytest.raises(MigrationError, match=r"the target postgresql://.* can't be asked"):
        read_status(target, Endpoint.parse(Side.TARGET, target_db, "URL"))
