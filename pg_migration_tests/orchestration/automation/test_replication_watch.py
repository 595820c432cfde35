"""The sensor that looks after a replication: when it looks, what it records, remembers and tells. Looks are made up."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pg_migration.orchestration import environment
from pg_migration.orchestration.automation import replication_watch
from pg_migration.orchestration.build import build
from pg_migration.orchestration.location.code_location import Location
from pg_migration.orchestration.notifications import notify
from pg_migration.postgres.errors import ConnectionFailed
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.migration.live.watch import Watched
from pg_migration.postgres.replication.lag import Lag
from pg_migration.postgres.replication.state import Phase, Replication
from pg_migration_tests.orchestration.location.described import SCHEMAS, TABLES
from pg_migration_tests.orchestration.location.projects import forget_all

END = Identity(None, 18, 1, "shop", ())
NAME = "pg_migration_0123456789ab"
NOW = 1_800_000_000.0
FOLLOWING = Replication(
    NAME, Phase.FOLLOWING, "run", END, END, (), (), 1 << 30, changed_at=datetime.fromtimestamp(NOW, timezone.utc)
)
NEAR = Lag(1000, 0.5, 5000, 42.0, 0, {}, 3, 3, True, "reserved", None)
NOTHING = Watched(None, None, (), (), ())


def following(lag: Lag = NEAR, phase: Phase = Phase.FOLLOWING, **told: Any) -> Watched:
    parts = {"problems": (), "warnings": (), "done": (), **told}
    return Watched(replace(FOLLOWING, phase=phase), lag, **parts)


@dataclass
class Sensor:
    """The sensor over its ticks, with a clock and a pair of databases that are made up."""

    instance: dg.DagsterInstance
    monkeypatch: pytest.MonkeyPatch
    found: Watched | Exception = NOTHING
    last: Replication | Exception | None = FOLLOWING
    old: list[str] | Exception = field(default_factory=list)
    now: float = NOW
    cursor: str | None = None
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        def answer(what: str, given: Callable[[], Any]) -> Callable[..., Any]:
            def look(*arguments: Any) -> Any:
                assert arguments
                self.asked.append(what)
                if isinstance(found := given(), Exception):
                    raise found
                return found

            return look

        for name, given in (
            ("watch", lambda: self.found),
            ("last_of", lambda: self.last),
            ("still_written", lambda: self.old),
        ):
            self.monkeypatch.setattr(replication_watch, name, answer(name, given))
        self.monkeypatch.setattr(replication_watch.time, "time", lambda: self.now)
        self.monkeypatch.setattr(notify, "send", lambda message, *_: self.told.append(message.text))
        self.repository = build(Location(environment.pair(), SCHEMAS, TABLES)).get_repository_def()

    def tick(self, seconds: float = 30) -> tuple[str, list[Any]]:
        """What it says, and the events that it records; as the daemon evaluates it."""
        self.now += seconds
        self.asked.clear()
        self.told.clear()
        with dg.build_sensor_context(
            self.instance, self.cursor, repository_def=self.repository, sensor_name="replication_watch"
        ) as context:
            ticked: Any = self.repository.get_sensor_def("replication_watch").evaluate_tick(context)
        self.cursor = ticked.cursor or self.cursor
        return ticked.skip_message, list(ticked.asset_events)


@pytest.fixture
def sensor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sensor]:
    for name in ("DAGSTER_HOME", "PG_MIGRATION_SLACK_WEBHOOK_URL", "PG_MIGRATION_SMTP_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PG_MIGRATION_SOURCE_URL", "postgresql://reader@old/shop")
    monkeypatch.setenv("PG_MIGRATION_TARGET_URL", "postgresql://mig@new/shop")
    forget_all()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Sensor(instance, monkeypatch)


def test_it_is_on_and_asks_nobody_where_nothing_follows(sensor: Sensor) -> None:
    """The target once in ten minutes; the source never."""
    definition = sensor.repository.get_sensor_def("replication_watch")
    assert definition.default_status is dg.DefaultSensorStatus.RUNNING
    assert definition.minimum_interval_seconds == 30
    sensor.last = None
    assert sensor.tick() == ("nothing is replicated into the target", [])
    assert sensor.asked == ["last_of"]
    for _ in range(19):
        assert sensor.tick() == ("nothing is replicated into the target", [])
        assert sensor.asked == []
    sensor.tick()
    assert sensor.asked == ["last_of"], "another Dagster instance may have begun something"


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE])
def test_a_run_has_it_look(sensor: Sensor, status: dg.DagsterRunStatus) -> None:
    """One that goes on, that died and is still taken to go on, or that has just ended."""
    sensor.now, sensor.last = datetime.now(timezone.utc).timestamp() - 300, None
    sensor.tick()
    sensor.instance.add_run(dg.DagsterRun(job_name="migrate", status=status))
    sensor.instance.add_run(dg.DagsterRun(job_name="validate", status=status))
    sensor.tick()
    assert sensor.asked == ["last_of"]
    ended = status is dg.DagsterRunStatus.FAILURE
    sensor.tick(600)
    sensor.tick()
    assert sensor.asked == ([] if ended else ["last_of"])


def test_what_it_records_while_the_target_follows(sensor: Sensor) -> None:
    sensor.found = following()
    _, (observed, *evaluations) = sensor.tick()
    assert observed.asset_key == dg.AssetKey("replication")
    plotted = {name: value.value for name, value in observed.metadata.items()}
    assert (
        plotted.items()
        >= {
            "lag_bytes": 1000,
            "lag_seconds": 0.5,
            "retained_wal_bytes": 5000,
            "applied_bytes_per_second": 42.0,
            "apply_errors": 0,
            "conflicts": 0,
            "tables_ready": 3,
            "phase": "following",
        }.items()
    )
    assert {(e.check_name, e.passed) for e in evaluations} == {("replication_sound", True), ("replication_lag", True)}
    # The same again is observed, so that it is plotted, and no new verdict.
    _, events = sensor.tick()
    assert [type(event) for event in events] == [dg.AssetObservation]
    sensor.found = following(replace(NEAR, lag_seconds=61.0))
    said, (_, evaluation) = sensor.tick()
    assert (evaluation.check_name, evaluation.passed) == ("replication_lag", False)
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    assert "1 min 01 s" in said
    _, events = sensor.tick(3600)
    assert len(events) == 3, "a verdict that stays is recorded once in an hour"


def test_each_problem_is_told_once(sensor: Sensor) -> None:
    sensor.found = following(problems=("3 tables are not replicated",), warnings=("it keeps 26.0 GiB of 50 GiB",))
    _, (_, sound, _) = sensor.tick()
    assert sensor.told == ["3 tables are not replicated\nit keeps 26.0 GiB of 50 GiB"]
    assert (sound.passed, sound.severity, sound.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    sensor.found = following(problems=("2 tables are not replicated",), warnings=("it keeps 27.5 GiB of 50 GiB",))
    sensor.tick()
    assert sensor.told == [], "only the figures are others"
    sensor.found = following(warnings=("it keeps 27.5 GiB of 50 GiB",))
    _, (_, sound) = sensor.tick()
    assert (sound.passed, sound.severity) == (False, dg.AssetCheckSeverity.WARN)
    sensor.found = following(problems=("2 tables are not replicated",))
    sensor.tick()
    assert sensor.told == ["2 tables are not replicated"], "it had passed"


def test_the_end_is_told_and_then_it_is_quiet(sensor: Sensor) -> None:
    sensor.found = following()
    sensor.tick()
    gone = following(phase=Phase.ABANDONED, done=("slot pg_migration_1",), problems=("gone",))
    sensor.found = replace(gone, replication=replace(gone.replication, reason="it kept 51 GiB"))
    said, events = sensor.tick()
    assert sensor.told == ["taken away: slot pg_migration_1\ngone"]
    assert "abandoned: it kept 51 GiB" in said
    assert [e.passed for e in events if isinstance(e, dg.AssetCheckEvaluation)] == [False, True]
    sensor.tick()
    assert sensor.asked == []


def test_a_target_that_is_down(sensor: Sensor) -> None:
    """Where it follows, the source is asked each time, and what comes of that is told once."""
    sensor.found = following()
    sensor.tick()
    sensor.found = ConnectionFailed("can't connect to the target; the source keeps 1.5 MiB", transient=True)
    said, events = sensor.tick()
    assert (said, events) == ("can't connect to the target; the source keeps 1.5 MiB", [])
    assert (sensor.asked, sensor.told) == (["watch"], [said])
    sensor.found = ConnectionFailed("can't connect to the target; the source keeps 2 MiB", transient=True)
    sensor.tick()
    assert (sensor.asked, sensor.told) == (["watch"], [])
    sensor.found = ConnectionFailed("can't connect to the target; the slot was dropped", transient=True)
    said, _ = sensor.tick()
    assert sensor.told == [said]
    # Where nothing follows, a target that is down is nobody's business here, and no reason to ask the source.
    sensor.cursor, sensor.last = None, ConnectionFailed("can't connect to the target", transient=True)
    assert sensor.tick() == ("can't connect to the target", [])
    assert (sensor.asked, sensor.told) == (["last_of"], [])


def test_who_still_writes_to_the_old_server(sensor: Sensor) -> None:
    sensor.found = following(phase=Phase.MOVED)
    sensor.old = ["session 17 of app wrote"]
    _, events = sensor.tick()
    verdicts = {e.check_name: e.passed for e in events if isinstance(e, dg.AssetCheckEvaluation)}
    assert verdicts == {"replication_sound": True, "replication_lag": True, "old_source_silent": False}
    sensor.last = sensor.found.replication
    sensor.tick()
    assert sensor.asked == []
    sensor.old = []
    _, (evaluation,) = sensor.tick(300)
    assert (evaluation.check_name, evaluation.passed) == ("old_source_silent", True)
    sensor.old = ConnectionFailed("it is switched off", transient=True)
    assert sensor.tick(300)[1] == []
    sensor.last = sensor.found.replication
    sensor.tick(8 * 86400)
    assert sensor.asked == ["last_of"], "the old server is not asked for ever"


def test_the_way_back_is_looked_after_all_the_time(sensor: Sensor) -> None:
    sensor.found = following(phase=Phase.MOVED)
    sensor.found = replace(sensor.found, replication=replace(sensor.found.replication, way_back="pg_migration_1"))
    for _ in range(2):
        _, (observed, *_) = sensor.tick()
        assert observed.metadata["phase"].value == "moved"
    sensor.tick(8 * 86400)
    assert "watch" in sensor.asked
    sensor.found = replace(sensor.found, problems=("the source has no subscription",))
    _, (_, sound, *_) = sensor.tick(300)
    assert (sound.check_name, sound.passed) == ("replication_sound", False)
    assert sound.description == "moved; the source has no subscription"


@pytest.mark.parametrize("cursor", ["", "nonsense", '{"of": "another version"}', "[]"])
def test_a_cursor_of_somebody_else(sensor: Sensor, cursor: str) -> None:
    sensor.cursor, sensor.found = cursor, following()
    assert len(sensor.tick()[1]) == 3


def test_urls_that_can_not_be_used(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_MIGRATION_TARGET_URL", "nonsense")
    assert "PG_MIGRATION_TARGET_URL" in sensor.tick()[0]
    assert sensor.asked == []


def test_the_limits_are_those_of_the_run_that_has_begun_it(sensor: Sensor) -> None:
    """Whatever the defaults of the pair say."""
    for limit, near in ((1, True), (0, False)):
        found = following()
        sensor.found = replace(found, replication=replace(FOLLOWING, max_lag_seconds=limit))
        _, events = sensor.tick()
        (judged,) = [e for e in events if isinstance(e, dg.AssetCheckEvaluation) and e.check_name == "replication_lag"]
        assert judged.passed is near
