"""What nobody may start of itself while a target follows its source, or has taken over from it."""

import dagster as dg
import psycopg2

from pg_migration.orchestration.location.names import REPLICATION_WATCH
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.replication.record import last_replication
from pg_migration.postgres.replication.state import TAKEN_OVER, UNDER_WAY, Phase, Replication

# A run that copies in one of these begins anew, as after any other death.
_BEGINS_ANEW = frozenset({Phase.PREPARING, Phase.COPYING})


def why_not_migrate(pair: Pair) -> str | None:
    """Why `migrate` would be refused; None where it would not, or nobody can tell: then the run says what is wrong."""
    phase = _phase_of(pair)
    if phase in UNDER_WAY - _BEGINS_ANEW:
        return (
            "the target follows the source, so there is nothing to copy: see the asset replication. `cutover` or "
            "`abandon_replication` ends that"
        )
    return _taken_over(phase)


def why_not_validate(pair: Pair) -> str | None:
    """Why a comparison says nothing: the two databases live apart."""
    return _taken_over(_phase_of(pair))


def _taken_over(phase: Phase | None) -> str | None:
    if phase in TAKEN_OVER:
        return (
            "the target has taken over from the source: a migration would overwrite what applications write to now. "
            "`pg_migration release` allows migrations again"
        )
    return None


def _phase_of(pair: Pair) -> Phase | None:
    try:
        last = last_of(pair)
    except (MigrationError, psycopg2.Error):
        return None
    return last.phase if last is not None else None


def last_of(pair: Pair) -> Replication | None:
    """The last replication into the target, as its ledger has it; the source is not asked.

    Raises:
        MigrationError, psycopg2.Error: the target can't be asked.
    """
    with Connections("pg_migration sensors") as connections:
        return last_replication(connections.open(pair.endpoint(Side.TARGET)))


def watched_at(instance: dg.DagsterInstance, pair: Pair) -> float:
    """When the daemon has last run the sensor that looks after the source of a pair, by the clock; 0 where never."""
    name = pair.named(REPLICATION_WATCH)
    found = [state.instigator_data for state in instance.all_instigator_state() if state.name == name]
    ticked = [getattr(data, "last_tick_timestamp", None) for data in found]
    return max((at for at in ticked if at is not None), default=0.0)
