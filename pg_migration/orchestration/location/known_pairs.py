"""The pairs of this process's code location, for what a location has once however many pairs there are."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import dagster as dg

from pg_migration.orchestration.dagster_internals.running import IMPLICIT_ASSET_JOB_NAME
from pg_migration.orchestration.location.code_location import Location
from pg_migration.orchestration.location.names import JOBS
from pg_migration.orchestration.pair import Pair, shared_target
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import ConfigurationError


@dataclass(frozen=True)
class KnownPair:
    """A pair that has definitions in this process: its assets, and where in the target its tables are.

    ``target`` is None where nobody knows the database.
    """

    pair: Pair
    assets: frozenset[dg.AssetKey]
    target: str | None
    schemas: frozenset[str]

    def has_run(self, run: dg.DagsterRun) -> bool:
        """Whether a run is one of this pair's jobs, or of a selection that has assets of the pair."""
        if run.job_name in map(self.pair.named, JOBS):
            return True
        return not self.assets.isdisjoint(_chosen(run))

    def is_only_of_this(self, run: dg.DagsterRun) -> bool:
        """Whether a run without a job of its own is about nothing but assets of the pair."""
        if run.job_name != IMPLICIT_ASSET_JOB_NAME:
            return False
        chosen = _chosen(run)
        return chosen <= self.assets if chosen else not self.pair.name


def _chosen(run: dg.DagsterRun) -> set[dg.AssetKey]:
    """The assets that a run makes or checks, where somebody has chosen some."""
    return {*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())}


_known: dict[str, KnownPair] = {}


def known_pairs() -> Collection[KnownPair]:
    """All of them."""
    return tuple(_known.values())


def pair_of(run: dg.DagsterRun) -> Pair | None:
    """Whose run it is. Any that is nobody's counts as that of the pair without a name, where there is one."""
    for known in _known.values():
        if known.has_run(run):
            return known.pair
    return _known[""].pair if "" in _known else None


def remember(location: Location, assets: Iterable[dg.AssetKey]) -> None:
    """Count a pair among those of this process, in the place of one of its name.

    Raises:
        ConfigurationError: another one writes into the same schema of the same database.
    """
    pair, end = location.pair, location.pair.known_endpoint(Side.TARGET)
    made = KnownPair(
        pair, frozenset(assets), end.place if end is not None else None, frozenset(location.schemas.values())
    )
    for other in _known.values():
        shared = sorted(made.schemas & other.schemas)
        if other.pair.name != pair.name and shared and made.target is not None and made.target == other.target:
            raise ConfigurationError(shared_target(pair, other.pair, made.target, shared))
    _known[pair.name] = made
