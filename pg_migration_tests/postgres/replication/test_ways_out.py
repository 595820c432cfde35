"""Every way out of a replication leaves the source as it was: failures, kills, limits, a lost ledger, and people."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg2
import pytest

from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import ConnectionFailed, MigrationError
from pg_migration.postgres.migration import (
    CutoverOptions,
    Migration,
    Options,
    abandon,
    cutover,
    migrate,
    rehearse,
    repair,
    validate,
)
from pg_migration.postgres.migration.live import begin, undo
from pg_migration.postgres.migration.live import watch as watching
from pg_migration.postgres.migration.live.watch import Watched, watch
from pg_migration.postgres.replication import slot
from pg_migration.postgres.replication.slot import SlotSnapshot
from pg_migration.postgres.replication.state import Phase, new_name
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.replication.harness import Log, Two, two
from pg_migration_tests.postgres.replication.writers import asked

SHOP = """
    CREATE TABLE "or""ders" (id integer PRIMARY KEY, n integer);
    CREATE TABLE "No.key" (a integer NOT NULL UNIQUE, b text);
    INSERT INTO "or""ders" SELECT n, n FROM generate_series(1, 1000) AS n;
    INSERT INTO "No.key" SELECT n, 'x' FROM generate_series(1, 100) AS n;
"""
ROWS = 'SELECT count(*), sum(n) FROM "or""ders" UNION ALL SELECT count(*), sum(a) FROM "No.key" ORDER BY 1'
UPDATE = """UPDATE "or""ders" SET n = n + 1; UPDATE "No.key" SET b = b || '.'"""
# On disk when it is answered.
WAL = (
    "SET synchronous_commit = on; "
    "SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000)) FROM generate_series(1, 4)"
)

LONGER = pytest.mark.longer


@pytest.fixture
def pair(postgres16: PostgresServer, postgres18: PostgresServer) -> Iterator[Two]:
    with two(postgres16, postgres18, SHOP) as made:
        yield made


def migration(pair: Two, **options: object) -> Migration:
    chosen = {"workers": 1, "follow": True, "no_identity": "full", **options}
    return Migration.between(*pair.urls, options=Options.model_validate(chosen))


def following(pair: Two, **options: object) -> str:
    """The name of the replication that the target follows by now."""
    assert migrate(migration(pair, **options)).failures == ()
    return pair.in_source("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")


def clean(pair: Two) -> None:
    """Nothing is left, and the application's updates are taken."""
    assert pair.left_in_source() == ""
    assert (
        pair.in_target(
            "SELECT subname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid "
            "WHERE datname = current_database()"
        )
        == ""
    )
    pair.in_source(UPDATE)


def phase(pair: Two) -> tuple[str, str]:
    ((found, reason),) = asked(
        pair.urls[1], "SELECT phase, reason FROM _pg_migration.replication ORDER BY begun_at DESC LIMIT 1"
    )
    return str(found), str(reason)


def until(pair: Two, ready: Callable[[Watched], bool]) -> Watched:
    deadline = time.monotonic() + 60
    while not ready(found := watch(migration(pair))):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def asked_until(pair: Two, query: str) -> bool:
    """Whether a query of the target says yes before long."""
    deadline = time.monotonic() + 60
    while pair.in_target(query) != "t":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_look_tells_how_it_stands(pair: Two) -> None:
    name = following(pair)
    found = until(pair, lambda watched: watched.lag is not None and watched.lag.lag_seconds == 0)
    assert (found.problems, found.warnings, found.done) == ((), (), ())
    assert found.lag is not None
    assert (found.lag.tables_ready, found.lag.tables, found.lag.slot_active) == (2, 2, True)
    pair.in_source('ALTER TABLE "No.key" ADD c integer')
    pair.in_source('INSERT INTO "No.key" VALUES (101, NULL, 1)')
    found = until(pair, lambda watched: any("disabled" in problem for problem in watched.problems))
    assert any("No.key" in problem and "c is new" in problem for problem in found.problems)
    pair.in_target('ALTER TABLE "No.key" ADD c integer')
    pair.in_target(f"ALTER SUBSCRIPTION {name} ENABLE")
    until(pair, lambda _: asked(pair.urls[1], ROWS) == asked(pair.urls[0], ROWS))
    given_up = abandon(migration(pair))
    assert given_up.failures == ()
    assert set(given_up.outcomes.servers) == {Side.SOURCE, Side.TARGET}  # the report names them
    clean(pair)


def test_a_lost_connection_does_not_end_it(pair: Two) -> None:
    name = following(pair)
    until(pair, lambda watched: watched.lag is not None and watched.lag.slot_active)
    ended = f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{name}'"
    assert pair.in_source(ended) == "t"
    disabled = asked_until(pair, f"SELECT NOT subenabled FROM pg_subscription WHERE subname = '{name}'")
    pair.in_source('INSERT INTO "No.key" VALUES (101)')
    found = watch(migration(pair))
    assert disabled
    assert found.problems == ()
    assert "was enabled again" in found.warnings[0]
    until(pair, lambda _: asked(pair.urls[1], ROWS) == asked(pair.urls[0], ROWS))


@pytest.mark.parametrize("target_is_down", [pytest.param(False, marks=LONGER), True], ids=["target up", "target down"])
def test_a_slot_that_keeps_too_much_goes(pair: Two, target_is_down: bool) -> None:
    name = following(pair, max_retained_wal="3MB")
    pair.in_target(f"ALTER SUBSCRIPTION {name} DISABLE")
    database = pair.urls[1].rpartition("/")[2]
    allow = f"ALTER DATABASE {database} ALLOW_CONNECTIONS"
    if target_is_down:
        pair.target.psql(pair.target.url(), f"{allow} false")
    pair.in_source(WAL)
    if target_is_down:
        with pytest.raises(ConnectionFailed, match="the slot was dropped"):
            watch(migration(pair))
        assert pair.in_source("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()") == ""
        pair.target.psql(pair.target.url(), f"{allow} true")
    found = watch(migration(pair))
    assert "max_retained_wal is 3.0 MiB" in found.problems[0]
    assert found.replication is not None
    assert (found.replication.phase, phase(pair)[0]) == (Phase.ABANDONED, "abandoned")
    clean(pair)
    assert watch(migration(pair)).problems == ()
    following(pair)


@pytest.mark.longer
def test_half_of_the_limit_is_a_warning(pair: Two) -> None:
    name = following(pair, max_retained_wal="6MB")
    pair.in_target(f"ALTER SUBSCRIPTION {name} DISABLE")
    pair.in_source(WAL)
    assert any("max_retained_wal" in warning for warning in watch(migration(pair)).warnings)
    assert phase(pair)[0] == "following"


def test_a_run_that_would_fill_the_sources_disk_ends(pair: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks by itself, whether anybody else does or not."""
    monkeypatch.setattr(begin, "LOOK_SECONDS", 0.0)
    adopted = SlotSnapshot.close

    def close(self: SlotSnapshot) -> None:
        pair.in_source(WAL)
        adopted(self)

    monkeypatch.setattr(SlotSnapshot, "close", close)
    result = migrate(migration(pair, max_retained_wal="3MB"))
    assert "the slot was dropped" in result.failures[0]
    clean(pair)
    assert "the slot was dropped" in phase(pair)[1]


@pytest.mark.longer
def test_a_slot_that_somebody_dropped_is_lost(pair: Two) -> None:
    name = following(pair)
    pair.in_target(f"ALTER SUBSCRIPTION {name} DISABLE")
    pair.in_source(
        f"SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE active_pid > 0; "
        f"SELECT pg_drop_replication_slot('{name}')"
    )
    found = watch(migration(pair))
    assert found.replication is not None
    assert found.replication.phase is Phase.LOST
    assert "somebody has dropped it" in found.problems[0]
    clean(pair)


def test_a_failure_before_the_target_follows_leaves_nothing(pair: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MigrationError("no")

    monkeypatch.setattr("pg_migration.postgres.migration.live.follow.subscribe", fail)
    assert migrate(migration(pair)).failures == ("no",)
    clean(pair)
    assert phase(pair) == ("abandoned", "no")
    monkeypatch.undo()
    following(pair)


@pytest.mark.longer
def test_others_are_refused_and_told_how_to_go_on(pair: Two) -> None:
    following(pair)
    for refused in (migrate(migration(pair, follow=False)), migrate(migration(pair)), repair(migration(pair))):
        assert "pg_migration abandon" in refused.failures[0]
    pair.in_target("UPDATE _pg_migration.replication SET phase = 'moved'")
    for refused in (migrate(migration(pair, follow=False)), migrate(migration(pair)), repair(migration(pair))):
        assert "pg_migration release" in refused.failures[0]
    assert "taken over" in abandon(migration(pair)).failures[0]
    pair.in_target("UPDATE _pg_migration.replication SET phase = 'following'")
    assert abandon(migration(pair)).failures == ()
    clean(pair)
    assert migrate(migration(pair, follow=False)).failures == ()


KILLED = """
import os, signal, sys
from pg_migration.postgres.migration import Migration, Options, migrate, use_cases
from pg_migration.postgres.migration.live import begin, follow, of_run
from pg_migration.postgres.snapshot import snapshot
step, before = sys.argv[3], sys.argv[4] == "before"
owner = {"subscribe": follow, "start_replication": use_cases, "of_slot": snapshot.Snapshot,
         "begin_replication": of_run}.get(step, begin)
real = getattr(owner, step)
def killed(*a, **k):
    if not before:
        real(*a, **k)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, step, killed)
migrate(Migration.between(*sys.argv[1:3], options=Options(workers=1, follow=True, no_identity="full")))
"""


def by_watch(pair: Two) -> None:
    assert watch(migration(pair)).done


def by_run(pair: Two) -> None:
    assert migrate(migration(pair, follow=False)).failures == ()


def by_follow(pair: Two) -> None:
    name = following(pair)
    assert pair.in_source("SELECT pubname FROM pg_publication") == name
    assert abandon(migration(pair)).failures == ()


def by_abandon(pair: Two) -> None:
    assert abandon(migration(pair)).failures == ()


@pytest.mark.parametrize(
    ("step", "when", "cleaner"),
    [
        ("make_slot", "after", by_watch),
        pytest.param("make_publication", "before", by_abandon, marks=LONGER),
        pytest.param("make_publication", "after", by_watch, marks=LONGER),
        pytest.param("set_identity", "after", by_run, marks=LONGER),
        pytest.param("publish", "before", by_watch, marks=LONGER),
        pytest.param("publish", "after", by_abandon, marks=LONGER),
        pytest.param("make_slot", "before", by_follow, marks=LONGER),
        pytest.param("of_slot", "after", by_follow, marks=LONGER),
        pytest.param("begin_replication", "after", by_run, marks=LONGER),
        pytest.param("start_replication", "before", by_abandon, marks=LONGER),
        pytest.param("start_replication", "before", by_follow, marks=LONGER),
    ],
)
def test_a_killed_run_leaves_nothing_for_long(pair: Two, step: str, when: str, cleaner: Callable[[Two], None]) -> None:
    killed(pair, step, when)
    assert pair.in_source(UPDATE) == ""
    cleaner(pair)
    clean(pair)


def killed(pair: Two, step: str, when: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, *pair.urls, step, when], check=False)
    assert done.returncode == -9
    deadline = time.monotonic() + 30
    while pair.in_target("SELECT pid FROM pg_locks WHERE locktype = 'advisory'"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.longer
def test_what_a_lost_ledger_told_is_told_by_the_source(pair: Two) -> None:
    killed(pair, "make_slot", "after")
    pair.in_target("DROP SCHEMA _pg_migration CASCADE")
    assert len(watch(migration(pair)).done) == 3
    clean(pair)


@pytest.mark.longer
def test_a_run_that_was_killed_when_everything_was_proved_is_gone_on_with(pair: Two) -> None:
    killed(pair, "subscribe", "before")
    pair.in_source(UPDATE)
    until(pair, lambda _: asked(pair.urls[1], ROWS) == asked(pair.urls[0], ROWS))
    assert watch(migration(pair)).problems == ()


@pytest.mark.longer
def test_a_replication_whose_ledger_is_lost_is_given_up_by_name_or_all(pair: Two) -> None:
    """It goes on, so that a look leaves it alone; a person takes it away, and nothing of others."""
    name, other = following(pair, max_retained_wal="3MB"), new_name()
    pair.in_source(f"CREATE PUBLICATION {other}")
    pair.in_target("DROP SCHEMA _pg_migration CASCADE")
    assert f"has a subscription {name}" in migrate(migration(pair, follow=False)).failures[0]
    found = watch(migration(pair))
    assert (found.done, found.replication) == ((), None)
    assert "the source keeps" in found.problems[0]
    assert name in pair.left_in_source()
    pair.in_target(f"ALTER SUBSCRIPTION {name} DISABLE")
    pair.in_source(WAL)
    (problem,) = watch(migration(pair)).problems
    assert "the slot was dropped" in problem
    assert pair.in_source("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()") == ""
    result = abandon(migration(pair))
    assert result.failures == ()
    assert any(f"abandon --slot {other}" in note for note in result.notes)
    assert pair.left_in_source() == other
    assert "neither a slot" in abandon(migration(pair), slot=new_name()).failures[0]
    assert "not the name" in abandon(migration(pair), slot="others").failures[0]
    assert abandon(migration(pair), slot=other).failures == ()
    clean(pair)


@pytest.mark.longer
def test_what_other_targets_follow_is_left_alone(pair: Two) -> None:
    name = following(pair)
    other = pair.target.create_database()
    try:
        elsewhere = Migration.between(pair.urls[0], other, options=migration(pair).options)
        assert watch(elsewhere).done == ()
        assert abandon(elsewhere).failures == ()
        assert name in pair.left_in_source()
        assert migrate(elsewhere).failures == ()
        assert abandon(elsewhere).failures == ()
        assert name in pair.left_in_source()
        assert watch(migration(pair)).problems == ()
    finally:
        pair.target.drop_database(other)


@pytest.mark.longer
@pytest.mark.parametrize("end", ["abandon", "cutover"])
def test_an_identity_stays_as_long_as_another_target_needs_it(pair: Two, end: str) -> None:
    """Else the application could not update the table any more."""
    following(pair)
    other = pair.target.create_database()
    elsewhere = Migration.between(pair.urls[0], other, options=migration(pair).options)
    assert migrate(elsewhere).failures == ()
    if end == "abandon":
        result = abandon(migration(pair))
        assert "all but the replica identity of public.No.key" in result.notes[-1]
    else:
        result = cutover(migration(pair), CutoverOptions())
        assert "others follow this source as well" in result.notes[0]
        assert any("read only by default" in warning for warning in watch(elsewhere).warnings)
    assert result.failures == ()
    pair.in_source(f"SET default_transaction_read_only = off; {UPDATE}")
    assert watch(elsewhere).problems == ()
    assert abandon(elsewhere).failures == ()
    pair.in_source('SET default_transaction_read_only = off; DELETE FROM "or""ders" WHERE id = 1')
    assert pair.left_in_source() == ""
    pair.target.drop_database(other)


@pytest.mark.longer
def test_one_of_two_that_begin_to_follow_at_once_is_refused(pair: Two) -> None:
    """Also where the target had no ledger when the other looked."""
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: migrate(migration(pair)), range(2)))
    (failure,) = (failure for result in results for failure in result.failures)
    assert "follows a source" in failure or "is being written by" in failure
    assert len(pair.in_source("SELECT pubname FROM pg_publication").split()) == 1
    assert watch(migration(pair)).problems == ()
    assert abandon(migration(pair)).failures == ()
    clean(pair)


def meanwhile(monkeypatch: pytest.MonkeyPatch, pair: Two, statement: str) -> None:
    """Have something done just after the slot was made, before any table is locked."""
    adopted, once = SlotSnapshot.close, [statement]

    def close(self: SlotSnapshot) -> None:
        if once:
            with psycopg2.connect(pair.urls[0]) as session, session.cursor() as cursor:
                session.commit()
            session.autocommit = True
            with session.cursor() as cursor:
                cursor.execute(once.pop())
            session.close()
        adopted(self)

    monkeypatch.setattr(SlotSnapshot, "close", close)


@pytest.mark.parametrize(
    "statement",
    [
        'TRUNCATE "or""ders"',
        pytest.param('VACUUM FULL "or""ders"', marks=LONGER),
        pytest.param('UPDATE "or""ders" SET n = 0', marks=LONGER),
    ],
    ids=["emptied", "rewritten", "written"],
)
def test_what_is_emptied_before_it_is_locked_is_emptied_in_the_copy(
    pair: Two, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    meanwhile(monkeypatch, pair, statement)
    result = migrate(migration(pair))
    assert result.failures == ()
    assert any('or"ders was emptied or rewritten' in note for note in result.notes) is ("UPDATE" not in statement)
    pair.in_source('INSERT INTO "or""ders" VALUES (5000, 1)')
    until(pair, lambda _: asked(pair.urls[1], ROWS) == asked(pair.urls[0], ROWS))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ('ALTER TABLE "or""ders" ALTER n TYPE integer USING n + 1', 'altered meanwhile: public.or"ders'),
        pytest.param('ALTER TABLE "or""ders" ADD c integer', 'altered meanwhile: public.or"ders', marks=LONGER),
        pytest.param('ALTER TABLE "or""ders" RENAME TO other', "renamed meanwhile", marks=LONGER),
        pytest.param("CREATE TABLE new (a integer)", "dropped or renamed meanwhile: public.new", marks=LONGER),
        pytest.param('DROP TABLE "or""ders"', "dropped or renamed meanwhile", marks=LONGER),
    ],
)
def test_what_is_altered_before_it_is_locked_stops_the_run(
    pair: Two, monkeypatch: pytest.MonkeyPatch, statement: str, told: str
) -> None:
    meanwhile(monkeypatch, pair, statement)
    assert told in migrate(migration(pair)).failures[0]
    assert pair.left_in_source() == ""


@pytest.mark.longer
def test_what_was_replicated_is_copied_anew_after_it_was_given_up(pair: Two) -> None:
    """The copy that the ledger tells of is not what the target has any more, even where the source is as it was."""
    following(pair)
    pair.in_source('INSERT INTO "or""ders" VALUES (5000, 1)')
    until(pair, lambda _: asked(pair.urls[1], ROWS) == asked(pair.urls[0], ROWS))
    assert abandon(migration(pair)).failures == ()
    pair.in_source('DELETE FROM "or""ders" WHERE id = 5000')
    assert migrate(migration(pair, follow=False)).failures == ()
    assert asked(pair.urls[1], ROWS) == asked(pair.urls[0], ROWS)


def test_an_identity_goes_back_only_when_the_table_is_not_published(pair: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else updates were refused for as long as the publication stays."""

    def fail(*_: object) -> None:
        raise MigrationError("no")

    following(pair)
    monkeypatch.setattr(undo, "drop_publication", fail)
    assert abandon(migration(pair)).failures == ("no",)
    pair.in_source(UPDATE)
    monkeypatch.undo()
    assert watch(migration(pair)).done
    clean(pair)


@pytest.mark.longer
def test_what_a_replication_has_is_not_copied_with_a_whole_database(pair: Two) -> None:
    wanted = replace(migration(pair), source_schemas="*")
    assert migrate(wanted).failures == ()
    assert pair.in_target("SELECT pubname FROM pg_publication") == ""
    pair.in_source('INSERT INTO "or""ders" VALUES (5000, 1)')
    until(pair, lambda _: asked(pair.urls[1], ROWS) == asked(pair.urls[0], ROWS))
    assert validate(replace(wanted, options=Options())).failures == ()
    assert abandon(wanted).failures == ()
    clean(pair)


@pytest.mark.longer
def test_a_look_undoes_nothing_that_came_to_an_end_meanwhile(pair: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cutover may take place between the look at the ledger and the look at the slot."""
    name, lag = following(pair), watching.lag

    def moved(*arguments: Any) -> Any:
        pair.in_target("UPDATE _pg_migration.replication SET phase = 'moved'")
        pair.in_target(f"ALTER SUBSCRIPTION {name} DISABLE")
        pair.in_source(
            f"SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE active_pid > 0; "
            f"SELECT pg_drop_replication_slot('{name}')"
        )
        return lag(*arguments)

    monkeypatch.setattr(watching, "lag", moved)
    found = watch(migration(pair))
    assert found.replication is not None
    assert (found.replication.phase, found.problems) == (Phase.MOVED, ())
    assert phase(pair)[0] == "moved"


def test_a_run_says_whom_its_slot_waits_for_and_gives_up_in_the_end(pair: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "LOCK_SECONDS", 0.3)
    monkeypatch.setattr(slot, "PATIENCE_SECONDS", 2.0)
    log = Log()
    with pair.session(autocommit=False) as writer, writer.cursor() as cursor:
        cursor.execute('INSERT INTO "or""ders" VALUES (5000, 1)')
        waited_for = f"pid {writer.info.backend_pid} "
        assert waited_for in migrate(migration(pair), log).failures[0]
        assert any(waited_for in line for line in log.lines)
        assert pair.left_in_source() == ""
        assert waited_for in phase(pair)[1]
    following(pair)


@pytest.mark.longer
@pytest.mark.parametrize("look", [True, False], ids=["by a look", "by a run"])
def test_what_could_not_be_taken_away_at_the_end_goes_later(
    pair: Two, monkeypatch: pytest.MonkeyPatch, look: bool
) -> None:
    def fail(*_: object) -> None:
        raise MigrationError("no")

    following(pair)
    monkeypatch.setattr(undo, "unsubscribe", fail)
    assert abandon(migration(pair)).failures == ("no",)
    monkeypatch.undo()
    if look:
        assert watch(migration(pair)).done
    else:
        by_run(pair)
        assert pair.in_target("SELECT subname FROM pg_subscription") == ""
    watch(migration(pair))
    clean(pair)


# What somebody may do by hand: on which side, what is told, and how it is taken back.
BY_HAND = {
    "what is published": (
        "source",
        "ALTER PUBLICATION {name} SET (publish = 'insert')",
        "does not publish update and delete and truncate any more",
        "ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate')",
    ),
    "rows": (
        "source",
        'ALTER PUBLICATION {name} SET TABLE "or""ders" WHERE (id > 100), "No.key"',
        'of public.or"ders it publishes some rows or columns only',
        'ALTER PUBLICATION {name} SET TABLE "or""ders", "No.key"',
    ),
    "columns": (
        "source",
        'ALTER PUBLICATION {name} SET TABLE "or""ders" (id), "No.key"',
        'of public.or"ders it publishes some rows or columns only',
        'ALTER PUBLICATION {name} SET TABLE "or""ders", "No.key"',
    ),
    "roots": (
        "source",
        "ALTER PUBLICATION {name} SET (publish_via_partition_root = true)",
        "publish_via_partition_root is on",
        "ALTER PUBLICATION {name} SET (publish_via_partition_root = false)",
    ),
    "a table": (
        "source",
        'ALTER PUBLICATION {name} DROP TABLE "or""ders"',
        'table public.or"ders is not in the publication any more',
        'ALTER PUBLICATION {name} ADD TABLE "or""ders"',
    ),
    "the publication": (
        "source",
        "ALTER PUBLICATION {name} RENAME TO other",
        "publication {name} is gone",
        "ALTER PUBLICATION other RENAME TO {name}",
    ),
    "the subscription's publication": (
        "target",
        "ALTER SUBSCRIPTION {name} SET PUBLICATION other WITH (refresh = false)",
        "it reads publication other instead of {name}",
        "ALTER SUBSCRIPTION {name} SET PUBLICATION {name} WITH (refresh = false)",
    ),
    "disabled": (
        "target",
        "ALTER SUBSCRIPTION {name} DISABLE",
        "is disabled: somebody has disabled it: ALTER SUBSCRIPTION {name} ENABLE",
        "ALTER SUBSCRIPTION {name} ENABLE",
    ),
    "no slot": (
        "target",
        "ALTER SUBSCRIPTION {name} DISABLE; ALTER SUBSCRIPTION {name} SET (slot_name = NONE)",
        "has no slot any more: ALTER SUBSCRIPTION {name} SET (slot_name = '{name}')",
        "ALTER SUBSCRIPTION {name} SET (slot_name = '{name}'); ALTER SUBSCRIPTION {name} ENABLE",
    ),
    "another reader": (
        "target",
        "CREATE SUBSCRIPTION other CONNECTION '' PUBLICATION {name} WITH (connect = false, slot_name = '{name}')",
        "is read by subscription other as well",
        "ALTER SUBSCRIPTION other SET (slot_name = NONE); DROP SUBSCRIPTION other",
    ),
    "another name": (
        "target",
        "ALTER SUBSCRIPTION {name} RENAME TO other",
        "somebody has dropped or renamed it",
        "ALTER SUBSCRIPTION other RENAME TO {name}",
    ),
    "tables of the subscription": (
        "target",
        "ALTER SUBSCRIPTION {name} SET PUBLICATION empty",
        "lacks 2 tables that it had",
        "ALTER SUBSCRIPTION {name} SET PUBLICATION {name} WITH (copy_data = false)",
    ),
}


@pytest.mark.parametrize(
    "cases", [["what is published"], pytest.param([*BY_HAND][1:], marks=LONGER)], ids=["one", "every other"]
)
def test_what_somebody_has_altered_is_told_and_rows_have_to_be_compared_again(pair: Two, cases: list[str]) -> None:
    """Changes may be missing since, also where it was taken back."""
    name = following(pair)
    pair.in_source("CREATE PUBLICATION empty")
    validated = "SELECT validated_at IS NOT NULL FROM _pg_migration.replication"
    for case in cases:
        side, statement, told, back = (text.format(name=name) for text in BY_HAND[case])
        run = pair.in_source if side == "source" else pair.in_target
        assert pair.in_target(validated) == "t"
        for one in statement.split("; "):
            run(one)
        assert any(told in problem for problem in watch(migration(pair)).problems), case
        problems = rehearse(migration(pair), CutoverOptions(check="content")).problems
        assert any(told in problem for problem in problems) or "has no subscription" in problems[0], case
        for one in back.split("; "):
            run(one)
        assert pair.in_target(validated) == "f"
        found = until(pair, lambda watched: watched.problems == ())
        assert found.replication is not None
        assert any("pg_migration validate" in p for p in rehearse(migration(pair), CutoverOptions()).problems)
        assert validate(migration(pair, follow=False)).failures == ()
    pair.in_source("DROP PUBLICATION empty")
    assert abandon(migration(pair)).failures == ()
    clean(pair)


@pytest.mark.longer
def test_a_publication_that_says_something_else_is_cut_over_and_let_go(pair: Two) -> None:
    """What is needed of it is in the ledger as well."""
    name = following(pair)
    pair.in_source(f"COMMENT ON PUBLICATION {name} IS 'mine'")
    assert watch(migration(pair)).problems == ()
    pair.in_target('DELETE FROM "No.key" WHERE a = 7')
    assert "go on, and so does replication" in cutover(migration(pair), CutoverOptions()).failures[-1]
    assert pair.in_source("SHOW default_transaction_read_only") == "off"
    pair.in_source(f"COMMENT ON PUBLICATION {name} IS 'mine'")
    assert abandon(migration(pair)).failures == ()
    clean(pair)
