"""The commands of a live move: what they refuse before there is a run, what they ask, and what `lag` prints."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    SensorType,
)

from pg_migration import Pair
from pg_migration.cli import before_live_moves, jobs, lag
from pg_migration.cli.commands import main
from pg_migration.cli.live_moves import before_follow
from pg_migration.cli.results import Outcome
from pg_migration.orchestration import environment
from pg_migration.orchestration.automation.following import watched_at
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import execute, fetch
from pg_migration.postgres.errors import ConnectionFailed
from pg_migration.postgres.ledger import schema
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.migration.live.watch import Watched
from pg_migration.postgres.replication.lag import Lag
from pg_migration.postgres.replication.record import record
from pg_migration.postgres.replication.state import Phase, Replication
from pg_migration_tests.conftest import PostgresServer
from pg_migration_tests.postgres.ddl.round_trip import session

END = Identity(None, 18, 1, "shop", ())
REPLICATION = Replication(
    *("pg_migration_0123456789ab", Phase.FOLLOWING, "run", END, END, (), (), 1 << 30),
    changed_at=datetime(2026, 1, 2, tzinfo=timezone.utc),
)
NEAR = Lag(3_000_000, 1.5, 5_000_000, 4096.0, 0, {"confl_update_missing": 2}, 3, 3, True, "reserved", None)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source_db: str, target_db: str) -> CliRunner:
    """The command in this process, over two empty databases, with Dagster's records in a new folder."""
    for name in [name for name in os.environ if name.startswith("PG_MIGRATION_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("PG_MIGRATION_REPORTS", "off")
    monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", source_db)
    monkeypatch.setenv("PG_MIGRATION_TARGET_URL", target_db)
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def misused(typed: CliRunner, *arguments: str) -> str:
    ended = typed.invoke(main, arguments)
    assert ended.exit_code == 2, ended.output
    return str(ended.output)


@pytest.mark.parametrize("command", ["adopt", "cutover", "go-back", "end-way-back", "release", "lag"])
def test_what_was_never_begun_is_not_ended(typed: CliRunner, command: str) -> None:
    assert "nothing is replicated into postgresql://" in misused(typed, command)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--refresh", "swap"], "refresh 'swap' gives them others"),
        (["--max-retained-wal", "50"], "max_retained_wal is '50', but must be a number above zero with a unit"),
        (["--max-lag-seconds", "0"], "max_lag_seconds is 0"),
        (["--schema", "a", "--target-schema", "b"], "same names of schemas"),
        ([], "its max_slot_wal_keep_size is -1"),
    ],
)
def test_what_can_not_be_followed(typed: CliRunner, options: list[str], said: str) -> None:
    assert said in misused(typed, "follow", *options)
    assert said in misused(typed, "run", "--follow", *options)


@pytest.mark.parametrize(
    ("phase", "said"),
    [(Phase.FOLLOWING, "the target follows"), (Phase.MOVED, "pg_migration release"), (Phase.BACK, "taken over again")],
)
def test_a_target_is_not_made_to_follow_twice(typed: CliRunner, target_db: str, phase: Phase, said: str) -> None:
    remember(target_db, phase)
    assert said in misused(typed, "follow")


def remember(target: str, phase: Phase, source: str = "", name: str = REPLICATION.name) -> None:
    with session(target) as connection:
        schema.create(connection)
        here = Identity.of(connection, Endpoint.parse(Side.TARGET, target, "URL"))
        known = replace(REPLICATION, name=name, phase=phase, target=here)
        if source:
            with session(source) as there:
                known = replace(known, source=Identity.of(there, Endpoint.parse(Side.SOURCE, source, "URL")))
        record(connection, known)


# What can't be done as it is asked, by the phase of the last replication into the target, if there is one: some that is
# seen before there is a run, and some that the run sees.
MISUSES = [
    (None, "abandon --slot other", "'other' is not the name of a slot of ours"),
    (None, "follow --target {source}", "source and target are the same database"),
    (None, "preflight --follow --max-retained-wal 50", "max_retained_wal is '50'"),
    (Phase.FOLLOWING, "cutover --max-pause 0", "not in the range"),
    (Phase.FOLLOWING, "go-back --max-pause -1", "not in the range"),
    (Phase.FOLLOWING, "cutover --max-pause", "requires an argument"),
    (Phase.FOLLOWING, "cutover --check rows", "not one of 'content', 'count'"),
    (Phase.BACK, "follow", "the source has taken over again"),
]
MORE_MISUSES = [
    (None, "abandon --slot pg_migration_000000000000", "neither a slot nor a publication pg_migration_000000000000"),
    (None, "follow --spread-over 2", "spread_over launches further runs, which needs a run of a deployment"),
    (None, "preflight --follow --target {source}", "source and target are the same database"),
    (None, "preflight --follow --schema a --target-schema b", "same names of schemas"),
    (Phase.FOLLOWING, "run", "the target follows a source"),
    (Phase.FOLLOWING, "repair", "the target follows a source"),
    (Phase.FOLLOWING, "preflight --follow", "the target follows a source"),
    (Phase.FOLLOWING, "go-back", "there is no way back from"),
    (Phase.FOLLOWING, "end-way-back", "there is no way back from"),
    (Phase.FOLLOWING, "release --database {name}", "there is nothing to release"),
    (Phase.FOLLOWING, "cutover --max-pause 0.5", "at least 1 s"),
    (Phase.ABANDONED, "cutover", "nothing follows into the target"),
    (Phase.ABANDONED, "cutover --dry-run", "nothing follows into the target"),
    (Phase.ABANDONED, "adopt", "nothing follows into the target"),
    (Phase.MOVED, "run", "pg_migration release first"),
    (Phase.MOVED, "abandon", "there is nothing to give up"),
    (Phase.MOVED, "release --database another", "is called {name}, not another"),
    (Phase.ENDED, "end-way-back", "there is no way back from"),
    (Phase.ENDED, "go-back", "there is no way back from"),
]


@pytest.mark.parametrize("cases", [MISUSES, pytest.param(MORE_MISUSES, marks=pytest.mark.longer)], ids=["some", "more"])
def test_what_is_asked_for_wrongly_ends_with_status_2_and_a_sentence(
    typed: CliRunner,
    source_db: str,
    target_db: str,
    monkeypatch: pytest.MonkeyPatch,
    cases: Sequence[tuple[Phase | None, str, str]],
) -> None:
    """Whether it is seen before there is a run, or by the run; and nothing is done."""
    monkeypatch.setattr(before_live_moves, "watched_at", lambda *_: time.time())
    names = {"source": source_db, "name": target_db.rpartition("/")[2]}
    with session(source_db) as connection:
        execute(connection, "CREATE TABLE public.t (a integer PRIMARY KEY)")
    last = None
    for phase, command, said in cases:
        if phase is not None and phase is not last:
            remember(target_db, last := phase, source_db)
        told = misused(typed, *command.format(**names).split())
        assert said.format(**names) in told, command
        assert "Traceback" not in told
        assert "report:" not in told or "preflight" in command
    with session(source_db) as connection:
        assert fetch(connection, "SELECT pubname FROM pg_catalog.pg_publication") == []


@pytest.mark.usefixtures("typed")
def test_a_job_fails_with_that_sentence_alone(target_db: str, source_db: str) -> None:
    remember(target_db, Phase.ENDED, source_db)
    result = definitions().resolve_job_def("go_back").execute_in_process(raise_on_error=False)
    (failed,) = result.get_step_failure_events()
    data = failed.step_failure_data
    assert data.user_failure_data.description.startswith("there is no way back from")
    assert data.error.cause is None
    assert data.error.stack == []


@pytest.mark.usefixtures("typed")
def test_each_of_many_pairs_that_is_to_follow_needs_somebody_who_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def run_all(_job: str, pairs: Sequence[Pair], *_: object) -> list[Outcome]:
        ran.extend(pair.name for pair in pairs)
        return [Outcome(pair.name, 0, {}, None, 1.0) for pair in pairs]

    monkeypatch.setattr(jobs, "run_all", run_all)
    pairs = [
        Pair(name=name, source="PG_MIGRATION_SOURCE_URL", target="PG_MIGRATION_TARGET_URL", defaults=defaults)
        for name, defaults in {"plain": {}, "live": {"follow": True}}.items()
    ]
    status = jobs.run_for_all({p.name: p for p in pairs}, "migrate", {}, False, False, before=before_follow)
    assert (status, ran) == (1, ["plain"])
    assert "can't be run" in (told := capsys.readouterr().out)
    assert "nobody would look after the disk" in told


def test_somebody_has_to_look_after_the_source(typed: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it sets no limit itself: a daemon that has run the sensor of this pair within the last minute."""
    ran: list[str] = []
    monkeypatch.setattr("pg_migration.cli.jobs.run_for_one", lambda _pair, job, *_: ran.append(job) or 0)
    with dg.DagsterInstance.get() as instance:
        pair = environment.pair()
        assert watched_at(instance, pair) == 0
        for name, seconds, status in (("other", 1, 2), ("replication_watch", 90, 2), ("replication_watch", 30, 0)):
            instance.add_instigator_state(ticked(name, time.time() - seconds))
            ended = typed.invoke(main, ["follow"])
            assert ended.exit_code == status, ended.output
    assert ran == ["migrate"]
    told = misused_without_daemon(typed, monkeypatch)
    assert "has run the sensor replication_watch in the last minute" in told
    assert "ALTER SYSTEM SET max_slot_wal_keep_size" in told


def test_a_source_that_has_no_limit_to_set(
    typed: CliRunner, monkeypatch: pytest.MonkeyPatch, postgres12: PostgresServer
) -> None:
    monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", url := postgres12.create_database())
    told = misused(typed, "follow")
    assert "before PostgreSQL 13 a server has no max_slot_wal_keep_size, so that a slot may keep WAL" in told
    assert "ALTER SYSTEM" not in told
    postgres12.drop_database(url)


def misused_without_daemon(typed: CliRunner, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(before_live_moves, "watched_at", lambda *_: 0.0)
    return misused(typed, "follow")


def ticked(name: str, at: float) -> InstigatorState:
    location = RegisteredCodeLocationOrigin(f"location {at}")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "repository"), name)
    data = SensorInstigatorData(last_tick_timestamp=at, sensor_type=SensorType.STANDARD)
    return InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE, data)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The run configurations of what commands would run."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "pg_migration.cli.jobs.run_for_one", lambda _p, job, config, *_: found.append({job: config}) or 0
    )
    return found


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("cutover", {"cutover": {}}),
        (
            "cutover --dry-run --max-pause 30 --check content --way-back",
            {
                "cutover": {
                    "ops": {
                        "take_over": {
                            "config": {"dry_run": True, "max_pause_seconds": 30, "check": "content", "way_back": True}
                        }
                    }
                }
            },
        ),
        (
            "go-back --max-pause 5",
            {"go_back": {"ops": {"take_back": {"config": {"max_pause_seconds": 5}}}}},
        ),
        ("abandon", {"abandon_replication": {}}),
        (
            "abandon --slot pg_migration_1",
            {"abandon_replication": {"ops": {"stop_following": {"config": {"slot": "pg_migration_1"}}}}},
        ),
        ("adopt", {"adopt_new_tables": {}}),
        ("end-way-back", {"end_way_back": {}}),
        (
            "release --database shop",
            {"release": {"ops": {"allow_migrations": {"config": {"database": "shop"}}}}},
        ),
    ],
)
def test_options_are_the_configuration_of_the_step(
    typed: CliRunner, target_db: str, runs: list[dict[str, Any]], command: str, expected: dict[str, Any]
) -> None:
    remember(target_db, Phase.FOLLOWING)
    ended = typed.invoke(main, command.split())
    assert (ended.exit_code, runs) == (0, [expected]), ended.output
    (job,) = expected
    # It is what the job takes.
    dg.validate_run_config(definitions().resolve_job_def(job), expected[job])


def definitions() -> dg.Definitions:
    from pg_migration.orchestration.build import build
    from pg_migration.orchestration.location.code_location import Location

    return build(Location(environment.pair(), {}, ()))


def test_the_name_of_what_is_released_is_typed(
    typed: CliRunner, target_db: str, runs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(target_db, Phase.MOVED)
    name = target_db.rpartition("/")[2]
    assert f"give --database {name}" in misused(typed, "release")
    monkeypatch.setattr(before_live_moves, "sys", Terminal)
    ended = typed.invoke(main, ["release"], input="somewhere\n")
    assert "Type the name of that database" in ended.output
    assert runs == [{"release": {"ops": {"allow_migrations": {"config": {"database": "somewhere"}}}}}]


class Stream:
    """Of a terminal."""

    @staticmethod
    def isatty() -> bool:
        return True


class Terminal:
    """In the place of the module sys."""

    stdin = stdout = Stream


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Watched | Exception], None]]:
    """Makes up what a look finds."""

    def found(what: Watched | Exception) -> None:
        def watch(_migration: object) -> Watched:
            if isinstance(what, Exception):
                raise what
            return what

        monkeypatch.setattr(lag, "watch", watch)

    return found


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        (
            Watched(REPLICATION, NEAR, (), (), ()),
            0,
            [
                "the target follows the source",
                "behind the source: 1.50 s, 2.9 MiB of WAL",
                "the source keeps 4.8 MiB of WAL for it, of 1.0 GiB at most",
                "received: 4.0 KiB of WAL a second",
                "3 of 3 tables are replicated, 0 errors, 2 confl_update_missing",
            ],
        ),
        (
            Watched(REPLICATION, NEAR, (), ("it keeps\nhalf",), ("slot x",)),
            0,
            ["warning: it keeps\\nhalf", "done: slot x"],
        ),
        (
            Watched(REPLICATION, replace(NEAR, lag_seconds=None), ("it is lost",), (), ()),
            1,
            ["an unknown", "PROBLEM: it is lost"],
        ),
        (
            Watched(replace(REPLICATION, phase=Phase.ABANDONED, reason="too much"), None, (), (), ()),
            1,
            ["any more", "too much"],
        ),
        (ConnectionFailed("can't connect to the target", transient=True), 1, ["can't connect to the target"]),
        (Watched(None, None, (), (), ()), 2, ["nothing is replicated into"]),
    ],
)
def test_how_far_it_is_behind(
    typed: CliRunner, looks: Callable[[object], None], found: object, status: int, said: list[str]
) -> None:
    looks(found)
    ended = typed.invoke(main, ["lag"])
    assert ended.exit_code == status, ended.output
    for part in said:
        assert part in ended.output
    told = typed.invoke(main, ["lag", "--json"])
    assert told.exit_code == status
    if status != 2:
        data = json.loads(told.stdout)
        assert data["phase"] == (found.replication.phase.value if isinstance(found, Watched) else None)


def test_it_is_watched_until_it_ends(
    typed: CliRunner, monkeypatch: pytest.MonkeyPatch, looks: Callable[[object], None]
) -> None:
    looks(Watched(REPLICATION, NEAR, (), (), ()))

    def later(_seconds: float) -> None:
        looks(Watched(replace(REPLICATION, phase=Phase.MOVED), None, (), (), ()))

    monkeypatch.setattr(lag.time, "sleep", later)
    ended = typed.invoke(main, ["lag", "--watch", "--json"])
    assert [json.loads(line)["phase"] for line in ended.stdout.splitlines()] == ["following", "moved"]
    assert ended.exit_code == 0


def test_the_lag_of_all_pairs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        "shop": Watched(REPLICATION, NEAR, (), (), ()),
        "crm": Watched(None, None, (), (), ()),
        "log": ConnectionFailed("no answer", transient=True),
    }
    told = {
        name: lag.Told(what) if isinstance(what, Watched) else lag.Told(None, str(what)) for name, what in found.items()
    }
    monkeypatch.setattr(lag, "_look", lambda pair: told[pair])
    assert lag.lag_of_all({name: name for name in found}, as_json=False, again=False) == 1  # type: ignore[misc]
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in shown[2:]] == [["shop", "following"], ["crm", "follows"], ["log", "unknown"]]
    del found["log"]
    assert lag.lag_of_all({name: name for name in found}, as_json=True, again=False) == 0  # type: ignore[misc]
    assert [one["phase"] for one in json.loads(capsys.readouterr().out)] == ["following", None]
