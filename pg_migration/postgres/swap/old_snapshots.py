"""Wait for transactions that began before the load: in what is swapped in they would see no rows, and get no error."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import listed
from pg_migration.postgres.sql_files import sql_file

BETWEEN_LOOKS = 0.2
MAX_NAMED = 20
# A transaction of its own, so that it comes after all of the load.
_NOW = "SELECT txid_current(), clock_timestamp()"


@dataclass(frozen=True)
class Waited:
    """For which sessions a swap has waited, and how long; ``left`` are those that were there at its end."""

    sessions: Collection[str]
    seconds: float
    left: Collection[str]


class OldSnapshots(MigrationError):
    """Sessions did not end a transaction in which they would see a copy without rows."""


def wait_for_old_snapshots(
    connection: Connection,
    own: Collection[int],
    seconds: float,
    anyway: bool,
    tell: Callable[[str], object],
) -> Waited:
    """Wait until nobody looks at the database any more as it was before now.

    Args:
        own: the processes of the run's own sessions.
        seconds: how long at most.
        anyway: whether to go on after that.
        tell: takes what people should know meanwhile.

    Raises:
        OldSnapshots: some are still there.
    """
    ((transaction, moment),) = fetch(connection, _NOW)
    parameters = {"own": list(own), "transaction": str(transaction % 2**32), "moment": moment}
    begun, met = time.monotonic(), dict[str, None]()
    while True:
        found = [_told(*row) for row in fetch(connection, sql_file("swap/old_snapshots.sql"), parameters)]
        if new := [session for session in found if session not in met]:
            tell(f"the swap waits for sessions whose transactions began before it: {listed(new, MAX_NAMED)}")
        met |= dict.fromkeys(found)
        waited = time.monotonic() - begun
        if not found or (anyway and waited >= seconds):
            return Waited(list(met), round(waited, 3) if met else 0.0, found)
        if waited >= seconds:
            raise OldSnapshots(
                f"not swapped: after {seconds:g} s there are sessions of the target whose transactions began before "
                f"the load ended, and would see empty tables after a swap: {listed(found, MAX_NAMED)}. Nothing has "
                f"changed for readers. End them, wait longer (swap_wait_seconds), or swap all the same (swap_anyway)"
            )
        time.sleep(min(BETWEEN_LOOKS, max(0.0, seconds - waited)))


def _told(pid: int, role: str, application: str) -> str:
    return f"pid {pid} ({role or 'unknown role'}{f', {application}' if application else ''})"
