"""What nobody may start of itself while a target follows its source, or after one side has taken over."""

import dagster as dg
import psycopg2

from pg_migration.orchestration.location.names import REPLICATION_WATCH, VALIDATE
from pg_migration.orchestration.pair import Pair
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.migration.live.begin import demand_no_replication
from pg_migration.postgres.replication.record import last_replication
from pg_migration.postgres.replication.state import TAKEN_OVER, Phase, Replication


def why_not_migrate(pair: Pair) -> str | None:
    """Why `migrate` would be refused because of a replication.

    None where it would not, or where the target can't be asked: the run itself says what is wrong then.
    """
    try:
        with Connections("pg_migration sensors") as connections:
            end = pair.endpoint(Side.TARGET)
            target = connections.open(end)
            which = Identity.of(target, end)
            try:
                demand_no_replication(target, which)
            except MigrationError as refusal:
                return str(refusal)
    except (MigrationError, psycopg2.Error):
        return None
    return None


def why_not_start(pair: Pair, job: str) -> str | None:
    """Why a job would be refused because of a replication, or find nothing that is worth knowing.

    Args:
        job: ``migrate`` or ``validate``, by its name for the pair.
    """
    return why_not_validate(pair) if job == pair.named(VALIDATE) else why_not_migrate(pair)


def why_not_validate(pair: Pair) -> str | None:
    """Why a comparison says nothing: the two databases live apart. None where they don't, or nobody can tell."""
    try:
        last = last_of(pair)
    except (MigrationError, psycopg2.Error):
        return None
    if last is None or last.phase not in TAKEN_OVER | {Phase.BACK}:
        return None
    side = "source" if last.phase is Phase.BACK else "target"
    return f"the {side} has taken over, and the other side stays as it was: they differ from then on"


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
