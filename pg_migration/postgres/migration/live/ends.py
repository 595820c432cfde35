"""Both ends of a replication, for whoever changes something about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.errors import ConfigurationError
from pg_migration.postgres.ledger.lock import TargetLock
from pg_migration.postgres.ledger.runs import session_name
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.replication.read_only import write_anyway
from pg_migration.postgres.replication.record import last_replication
from pg_migration.postgres.replication.state import TAKEN_OVER, Phase, Replication

# How long a step may wait for somebody: nothing that these sessions do is stopped otherwise.
LOCK_SECONDS = 30


@dataclass(frozen=True)
class Ends:
    """Sessions of both ends that write whatever new sessions may do, and the right to write to the target.

    They are not among the run's: what stops the run's work leaves these alone, so that it can be undone.
    """

    connections: Connections
    source: Connection
    target: Connection
    lock: TargetLock


@contextmanager
def both_ends(run: MigrationRun) -> Iterator[Ends]:
    """Both ends, with the target's lock in hand.

    Raises:
        ConnectionFailed: one can't be reached.
        AnotherRunActive: the target is being written.
    """
    run.call(run.sides.connect)
    with Connections(session_name(run.run_id)) as connections:
        source = run.call(lambda: connections.open(run.sides.source))
        target = run.call(lambda: connections.open(run.sides.target))
        lock = run.call(lambda: TargetLock(connections, run.sides.target, run.run_id))
        for connection in (source, target):
            write_anyway(connection)
            execute(connection, f"SET lock_timeout = '{LOCK_SECONDS}s'")
        run.call(lock.acquire)
        yield Ends(connections, source, target, lock)


def followed(run: MigrationRun, ends: Ends) -> Replication:
    """The last replication from this source into the target.

    Raises:
        ConfigurationError: there was none, or it was from another database.
    """
    found = last_replication(ends.target)
    if found is None:
        raise ConfigurationError(
            f"nothing has followed into the target {run.sides.target.description}: begin with pg_migration follow"
        )
    if (difference := Identity.of(ends.source, run.sides.source).differs_from(found.source)) is not None:
        raise ConfigurationError(
            f"the target {run.sides.target.description} followed another database than the source that is configured, "
            f"which is {difference}"
        )
    return found


def not_following(run: MigrationRun, replication: Replication) -> ConfigurationError:
    """That nothing follows any more that could be gone on with."""
    if replication.phase in TAKEN_OVER:
        why = "it has taken over from the source already"
    elif replication.phase is Phase.BACK:
        why = "the source has taken over again (pg_migration release allows the next pg_migration follow)"
    else:
        reason = f" ({replication.reason})" if replication.reason else ""
        why = f"the last replication is {replication.phase.value}{reason}; pg_migration follow begins another"
    return ConfigurationError(f"nothing follows into the target {run.sides.target.description} now: {why}")
