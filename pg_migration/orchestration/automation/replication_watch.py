"""The sensor that looks after a replication, and above all after the disk of its source."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone

import dagster as dg
import psycopg2

from pg_migration.orchestration.assets.replication import figures
from pg_migration.orchestration.automation.following import last_of
from pg_migration.orchestration.automation.source_rows import message_of
from pg_migration.orchestration.checks.replication import NOTHING, Judgement, of_old_source, of_watched
from pg_migration.orchestration.location.names import MIGRATE, REPLICATION, REPLICATION_WATCH
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.notifications.notify import tell
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.run_tags import UNFINISHED
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import listed
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.live.release import still_written
from pg_migration.postgres.migration.live.watch import Watched, watch
from pg_migration.postgres.replication.state import TAKEN_OVER, UNDER_WAY, Phase, Replication

INTERVAL_SECONDS = 30
# Of a target that follows nothing: it is asked again for what a run in another Dagster instance began. One that sleeps
# while nobody asks it is let sleep until then.
QUIET_SECONDS = 600
# What is still written to an old server is told, so often; after so many days nobody is asked about what has ended.
SILENT_SECONDS = 300
OVER_SECONDS = 7 * 86400
# A verdict that stays what it was is recorded again after this time.
REPEAT_SECONDS = 3600

_FIGURES = re.compile(r"\d[\d.,:]*")

Warn = Callable[[str], object]


@dataclass(frozen=True)
class Memory:
    """What the sensor remembers from tick to tick; times are seconds of the clock.

    Args:
        looked: when the servers were looked at last.
        next_look: when they are looked at again, unless a run asks for it.
        follows: whether a replication is under way, in one direction or the other. Then the source is asked also while
            the target is down, as a slot has to go that keeps too much.
        phase: what the last look found.
        told: the problems that somebody was told of, less their figures.
        verdicts: what was recorded last of each check, and when.
    """

    looked: float = 0.0
    next_look: float = 0.0
    follows: bool = False
    phase: str = ""
    told: Sequence[str] = ()
    verdicts: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    @classmethod
    def parse(cls, cursor: str | None) -> "Memory":
        """What `text` wrote; nothing at the first tick, or of what another version wrote."""
        try:
            return cls(**json.loads(cursor)) if cursor else cls()
        except (ValueError, TypeError):
            return cls()

    def text(self) -> str:
        """For the cursor."""
        return json.dumps(asdict(self))


def build_replication_watch(relations: Relations) -> dg.SensorDefinition:
    """The sensor. It is on from the start, since a slot that nobody looks after fills a disk that is not ours."""
    pair = relations.pair

    @dg.sensor(
        name=pair.named(REPLICATION_WATCH),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="While the target follows the source: tells how far behind it is, warns of what is wrong, drops "
        "the slot when it costs the source more than `max_retained_wal`, and clears away what a dead run left there. "
        "It starts nothing, and asks no server where nothing follows and no migration runs.",
    )
    def replication_watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        memory, now = Memory.parse(context.cursor), time.time()
        if now < memory.next_look and not _has_run(context.instance, pair, memory):
            return dg.SkipReason(memory.phase or NOTHING)
        try:
            migration = pair.migration(pair.options)
        except MigrationError as error:
            return dg.SkipReason(str(error))
        try:
            if not memory.follows and _is_over(last_of(pair), now):
                return _quiet(now)
            watched = watch(migration)
        except (MigrationError, psycopg2.Error) as error:
            return _not_seen(pair, memory, message_of(error), context.log.warning)
        return _told(relations, migration, watched, memory, now, context.log.warning)

    return replication_watch


def _has_run(instance: dg.DagsterInstance, pair: Pair, memory: Memory) -> bool:
    """Whether a run that may follow goes on, has died in the middle, or has ended since the last look."""
    job, since = pair.named(MIGRATE), datetime.fromtimestamp(memory.looked, timezone.utc)
    unfinished = dg.RunsFilter(job_name=job, statuses=UNFINISHED)
    changed = dg.RunsFilter(job_name=job, updated_after=since)
    return any(instance.get_run_records(wanted, limit=1) for wanted in (unfinished, changed))


def _told(
    relations: Relations, migration: Migration, watched: Watched, memory: Memory, now: float, warn: Warn
) -> dg.SensorResult:
    """What the tick records and remembers of a look."""
    pair, replication, asset = relations.pair, watched.replication, relations.key(REPLICATION)
    problems = [*watched.problems, *watched.warnings]
    done = [f"taken away: {listed(watched.done)}"] if watched.done else []
    _notify(pair, [*done, *_new(problems, memory)], warn)
    if replication is None:
        return _quiet(now)
    follows = replication.phase in UNDER_WAY or _goes_back(replication)
    taken_over = replication.phase in TAKEN_OVER
    judgements = [*of_watched(watched)]
    if taken_over:
        judgements += _old_source(migration, watched)
    events: list[dg.AssetObservation | dg.AssetCheckEvaluation] = []
    if follows or replication.phase.value != memory.phase or watched.done:
        events.append(dg.AssetObservation(asset, metadata=dict(figures(watched))))
    due = [judgement for judgement in judgements if _is_due(judgement, memory, now)]
    events += [judgement.evaluation(asset) for judgement in due]
    next_memory = Memory(
        looked=now,
        next_look=now if follows else now + (SILENT_SECONDS if taken_over else QUIET_SECONDS),
        follows=follows,
        phase=replication.phase.value,
        told=[_without_figures(line) for line in problems],
        verdicts={**memory.verdicts, **{judgement.check: (_verdict(judgement), now) for judgement in due}},
    )
    said = "; ".join(dict.fromkeys([replication.phase.value, *done, *(judged.text for judged in judgements)]))
    return dg.SensorResult(skip_reason=said, cursor=next_memory.text(), asset_events=events)


def _is_over(replication: Replication | None, now: float) -> bool:
    """Whether nothing is left to be looked after."""
    if replication is None:
        return True
    if replication.phase in UNDER_WAY or _goes_back(replication) or replication.changed_at is None:
        return False
    return now - replication.changed_at.timestamp() > OVER_SECONDS


def _goes_back(replication: Replication) -> bool:
    """Whether the target has a slot for the old server, which may fill its disk."""
    return replication.way_back is not None and replication.phase in TAKEN_OVER - {Phase.ENDED}


def _old_source(migration: Migration, watched: Watched) -> Iterator[Judgement]:
    """Nothing where the old server can't be asked: it may be switched off, which is as silent as can be."""
    try:
        yield of_old_source(watched.replication, lambda: still_written(migration))
    except (MigrationError, psycopg2.Error):
        return


def _is_due(judgement: Judgement, memory: Memory, now: float) -> bool:
    verdict, at = memory.verdicts.get(judgement.check, ("", 0.0))
    return verdict != _verdict(judgement) or now - at >= REPEAT_SECONDS


def _verdict(judgement: Judgement) -> str:
    return f"{judgement.passed} {_without_figures(judgement.text)}"


def _quiet(now: float) -> dg.SensorResult:
    memory = Memory(looked=now, next_look=now + QUIET_SECONDS)
    return dg.SensorResult(skip_reason=NOTHING, cursor=memory.text())


def _not_seen(pair: Pair, memory: Memory, problem: str, warn: Warn) -> dg.SensorResult:
    """A server could not be asked. Where the target follows, that is told once."""
    if memory.follows:
        _notify(pair, _new([problem], memory), warn)
    told = sorted({*memory.told, _without_figures(problem)})
    return dg.SensorResult(skip_reason=problem, cursor=replace(memory, told=told).text())


def _new(problems: Iterable[str], memory: Memory) -> list[str]:
    """What nobody was told of yet. One that passes and comes again is told again."""
    return [line for line in problems if _without_figures(line) not in memory.told]


def _without_figures(text: str) -> str:
    """A message as it is from tick to tick, while its figures change."""
    return _FIGURES.sub("0", text)


def _notify(pair: Pair, lines: Sequence[str], warn: Warn) -> None:
    if lines:
        tell(f"the replication into {pair.place(Side.TARGET)}", lines, warn)
