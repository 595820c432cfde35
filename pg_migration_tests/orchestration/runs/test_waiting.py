"""A run that waits for somebody says for whom, and goes on by itself when that one is gone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

import psycopg2
import pytest

from pg_migration.postgres.connection import lock_waits
from pg_migration.postgres.connection.lock_waits import Blocker, Watch, shown_statement
from pg_migration.postgres.ledger.lock import LOCK_KEY
from pg_migration.postgres.migration import Result
from pg_migration_tests.orchestration.harness import Database, Migrated, Platform, Role, Run

End = Callable[[], None]
Ended = TypeVar("Ended", Run, Result)


@pytest.fixture(scope="module")
def migration(migrate_once: Callable[..., Migrated]) -> Migrated:
    return migrate_once()


@contextmanager
def blocking(url: str, statements: str, end: str) -> Iterator[End]:
    """A session that does something and leaves its transaction open; what ends it."""
    with closing(psycopg2.connect(url, application_name="their report")) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        for statement in statements.split("; "):
            cursor.execute(statement)
        yield lambda: cursor.execute(end)


def run_until_told(monkeypatch: pytest.MonkeyPatch, start: Callable[[], Ended], end: End) -> Ended:
    """Start a run, and end what it waits for when it has said so."""
    told = threading.Event()
    consider = Watch._consider

    def consider_and_tell(watch: Watch, blocker: Blocker, wanted: list[str], now: float) -> None:
        consider(watch, blocker, wanted, now)
        told.set()

    monkeypatch.setattr(lock_waits, "TELL_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(lock_waits, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(Watch, "_consider", consider_and_tell)

    def end_it() -> None:
        seen = told.wait(timeout=100)
        end()  # in any case, or the run would wait for ever
        assert seen

    thread = threading.Thread(target=end_it)
    thread.start()
    try:
        return start()
    finally:
        thread.join()


def first_wait(caplog: pytest.LogCaptureFixture) -> str:
    """What the library said first of what it waits for."""
    return next(line for line in caplog.messages if line.startswith("waiting on"))


@pytest.mark.parametrize(
    ("side", "table"),
    [
        ("target", "orders"),
        pytest.param("source", "orders", marks=pytest.mark.longer),
        pytest.param("source", "customers", marks=pytest.mark.longer),
    ],
)
def test_a_session_that_has_a_lock(
    migrated: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, side: str, table: str
) -> None:
    with blocking(getattr(migrated, side).url, f"LOCK TABLE {table} /* 'secret' */", "ROLLBACK") as end:
        run = run_until_told(monkeypatch, migrated.migrate_directly, end)
    assert run.succeeded, run.failures
    said = first_wait(caplog)
    assert said.startswith(f"waiting on the {side}, for a lock (Access")
    assert f" on public.{table}: pid " in said
    assert "role postgres, their report, idle in transaction, since 2" in said
    assert f"is ahead, with the statement LOCK TABLE {table} /* '...' */. End it: SELECT pg_terminate_backend(" in said


@pytest.mark.parametrize("side", [pytest.param("source", marks=pytest.mark.longer), "target"])
def test_a_prepared_transaction(
    migrated: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, side: str
) -> None:
    end: Database = getattr(migrated, side)
    monkeypatch.setattr("pg_migration.postgres.migration.prerequisites.LOCK_TIMEOUT", "100ms")
    end.psql("BEGIN; LOCK TABLE orders; PREPARE TRANSACTION 'it''s forgotten'")

    def finish() -> None:
        end.psql("ROLLBACK PREPARED 'it''s forgotten'")

    try:
        found = migrated.run(migrated.definitions.resolve_job_def("preflight"), {}) if side == "target" else None
        run = run_until_told(monkeypatch, migrated.migrate_directly, finish)
    except BaseException:
        finish()
        raise
    assert run.succeeded, run.failures
    said = first_wait(caplog)
    assert said.startswith(f"waiting on the {side}, for a lock (Access")
    assert "on public.orders: prepared transaction 'it's forgotten', of 2" in said
    assert "End it: ROLLBACK PREPARED 'it''s forgotten' or COMMIT PREPARED 'it''s forgotten'" in said
    if found is not None:
        listed = [line for line in "\n".join(found.log).splitlines() if "it''s forgotten" in line]
        assert any("has locks on public.orders: the migration waits until it ends" in line for line in listed)
        assert any("ROLLBACK PREPARED 'it''s forgotten';" in line for line in listed)


def test_another_migration(migrated: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was started for some tables waits for the target; it says for which run."""
    with blocking(migrated.target.url, f"SELECT pg_advisory_xact_lock({LOCK_KEY})", "ROLLBACK") as end:
        run = run_until_told(monkeypatch, lambda: migrated.materialize("public/orders"), end)
    assert run.success, run.failures
    assert any(
        line.startswith("waiting on the target, for the lock that only one migration into a database has: pid ")
        for line in run.warnings
    )


@pytest.mark.longer
def test_what_is_hidden_from_a_role(
    migrated: Platform, clerk: Role, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without pg_read_all_stats: the pid at least, and nothing that is None."""
    migrated.source.psql(
        f"GRANT USAGE ON SCHEMA public TO {clerk.name}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {clerk.name};"
        f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {clerk.name}"
    )
    migrated.set(SOURCE_URL=clerk.url(migrated.source))
    with blocking(migrated.source.url, "LOCK TABLE orders", "ROLLBACK") as end:
        run = run_until_told(monkeypatch, migrated.migrate_directly, end)
    assert run.succeeded, run.failures
    said = first_wait(caplog)
    assert "on public.orders: pid " in said
    assert "(role postgres, their report) is ahead" in said
    assert "None" not in said


def test_the_target_is_locked_by_a_role_of_which_nothing_is_known(shop: Platform, clerk: Role) -> None:
    shop.target.psql(
        f"SELECT format('GRANT ALL ON DATABASE %I TO {clerk.name}', current_database()) \\gexec\n"
        f"GRANT ALL ON SCHEMA public TO {clerk.name}"
    )
    shop.set(TARGET_URL=clerk.url(shop.target))
    shop.monkeypatch.setattr("pg_migration.postgres.ledger.lock.LEAVING_SECONDS", 0.0)
    with blocking(shop.target.url, f"SELECT pg_advisory_lock({LOCK_KEY})", "ROLLBACK"):
        (told,) = shop.migrate_directly(owners=False, privileges=False).failures
    assert "the target database is being written by their report. Wait until it has ended" in told


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT 1", "SELECT 1"),
        (None, ""),
        ("ALTER ROLE a  PASSWORD\n'it''s s3cret'", "ALTER ROLE a PASSWORD '...'"),
        ("ALTER ROLE a PASSWORD 's3cret that was cut o", "ALTER ROLE a PASSWORD '...'"),
        ("SELECT $x$s3cret$x$, $$s3cret$$ FROM t", "SELECT '...', '...' FROM t"),
        ("SELECT $$s3cret", "SELECT '...'"),
        ("SELECT E's3c\\'ret'", "SELECT E'...'"),
        ("SELECT " + "x" * 200, "SELECT " + "x" * 90 + "..."),
    ],
)
def test_statements_of_others_are_shown_without_what_may_be_secret(statement: str | None, shown: str) -> None:
    assert shown_statement(statement) == shown
