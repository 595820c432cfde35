"""The checks of the asset ``replication``: is it sound, is it near to the source, is the old server silent?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from pg_migration.orchestration.assets.replication import figures
from pg_migration.orchestration.location.names import REPLICATION
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import Figure
from pg_migration.orchestration.runs.failures import as_step_failure
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.postgres.figures import duration, listed, size
from pg_migration.postgres.migration.live.release import still_written
from pg_migration.postgres.migration.live.watch import Watched, watch
from pg_migration.postgres.replication.state import TAKEN_OVER, UNDER_WAY, Phase, Replication

SOUND = "replication_sound"
LAG = "replication_lag"
SILENT = "old_source_silent"
STEP = "replication_checks"

MAX_TOLD = 20

NOTHING = "nothing is replicated into the target"


@dataclass(frozen=True)
class Judgement:
    """What one of the checks finds."""

    check: str
    passed: bool
    text: str
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    metadata: Mapping[str, Figure] | None = None

    def evaluation(self, asset: dg.AssetKey) -> dg.AssetCheckEvaluation:
        """For whoever is no step of the check."""
        return dg.AssetCheckEvaluation(asset_key=asset, blocking=self.check == SOUND, **self._told)

    def result(self, asset: dg.AssetKey) -> dg.AssetCheckResult:
        """For the step of the check."""
        return dg.AssetCheckResult(asset_key=asset, **self._told)

    @property
    def _told(self) -> dict[str, Any]:
        return {
            "check_name": self.check,
            "passed": self.passed,
            "severity": self.severity,
            "description": self.text,
            "metadata": dict(self.metadata or {}),
        }


def build_replication_checks(relations: Relations) -> dg.AssetChecksDefinition:
    """The three checks, to be made by hand: else the sensor `replication_watch` and the runs that follow make them.

    No job has them: a run that does not follow would plan checks that it can't make.
    """
    pair, asset = relations.pair, relations.key(REPLICATION)
    specs = [
        dg.AssetCheckSpec(
            SOUND,
            asset=asset,
            blocking=True,
            description="The subscription is on and met no error, the slot is there, every table is replicated, and "
            "the structure of the source is what it was when it was copied.",
        ),
        dg.AssetCheckSpec(
            LAG, asset=asset, description="The target is not further behind the source than `max_lag_seconds`."
        ),
        dg.AssetCheckSpec(
            SILENT,
            asset=asset,
            description="After a cutover: nobody writes to the old server any more. What is written there is not on "
            "the new one.",
        ),
    ]

    @dg.multi_asset_check(name=pair.named(STEP), specs=specs, can_subset=True, required_resource_keys={pair.resource})
    def replication_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        run = migration_of(context, pair)
        wanted = {key.name for key in context.selected_asset_check_keys}
        with as_step_failure(run, context):
            watched = watch(run.migration)
            found = [*of_watched(watched)]
            if SILENT in wanted:
                found.append(of_old_source(watched.replication, lambda: still_written(run.migration)))
        for judgement in found:
            if judgement.check in wanted:
                yield judgement.result(asset)

    return replication_checks


def of_watched(watched: Watched) -> Iterator[Judgement]:
    """Whether it is sound, and near enough."""
    replication, lag = watched.replication, watched.lag
    if replication is None:
        yield from (Judgement(check, True, NOTHING) for check in (SOUND, LAG))
        return
    phase, told = replication.phase, [*watched.problems, *watched.warnings]
    if phase not in UNDER_WAY:
        lost = phase is Phase.LOST
        text = f"{phase.value}: {replication.reason}" if replication.reason else phase.value
        yield Judgement(SOUND, not (lost or watched.problems), listed([text, *told], MAX_TOLD, "; "))
        yield Judgement(LAG, True, text)
        return
    yield Judgement(
        SOUND,
        not told,
        listed(told, MAX_TOLD, "; ") if told else "nothing wrong",
        dg.AssetCheckSeverity.WARN if told and not watched.problems else dg.AssetCheckSeverity.ERROR,
        figures(watched),
    )
    if phase not in (Phase.FOLLOWING, Phase.FENCED):
        yield Judgement(LAG, True, "the target is copied, and follows after that")
    elif lag is None or lag.lag_seconds is None:
        yield Judgement(LAG, False, "nobody can tell how far the target is behind", dg.AssetCheckSeverity.WARN)
    else:
        behind = f"{duration(lag.lag_seconds)} and {size(lag.lag_bytes)} behind the source"
        near = lag.lag_seconds <= replication.max_lag_seconds
        yield Judgement(LAG, near, behind, dg.AssetCheckSeverity.WARN, figures(watched))


def of_old_source(replication: Replication | None, look: Callable[[], Sequence[str]]) -> Judgement:
    """Whether nobody writes to the old server.

    Args:
        look: asks it; only called where the target has taken over.
    """
    if replication is None or replication.phase not in TAKEN_OVER:
        return Judgement(SILENT, True, "the target has not taken over")
    found = look()
    if not found:
        return Judgement(SILENT, True, "nobody writes to the old server")
    return Judgement(SILENT, False, listed(found, MAX_TOLD, "; "))
