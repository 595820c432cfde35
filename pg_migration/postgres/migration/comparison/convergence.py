"""Compare rows that go on being written: the target follows the source, so both never are the same at one moment.

What differs is read again until it is clear whether it was on its way, or is wrong.
"""

import time
from functools import cached_property

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.hashing.digests import Digest, Hashing
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.replication.lag import position, wait_until_applied
from pg_migration.postgres.replication.read_only import write_anyway
from pg_migration.postgres.replication.record import record_validation
from pg_migration.postgres.replication.state import Replication
from pg_migration.postgres.verification.both_sides import Answers, BothSides
from pg_migration.postgres.verification.moving_rows import Settled, settle

# How long the target may take to have what the source had when it was asked.
CATCH_UP_SECONDS = 300.0


class Convergence:
    """Tells the rows that are wrong from those that are on their way, table by table."""

    def __init__(self, run: MigrationRun, sides: BothSides, replication: Replication) -> None:
        self._run, self._sides, self._replication = run, sides, replication
        self._published = {table.name for table in replication.tables}
        self._settled: dict[TableName, Settled] = {}

    def settled(self, found: Answers[Digest], hashing: Hashing) -> Settled:
        """What became of the rows of a table whose digests differ. Never raises a `MigrationError`."""
        name = found.table.key
        if found.taken_from:
            done = sum((self._settled.get(origin, Settled()) for origin in found.taken_from), Settled())
        elif found.table.kind == "r" and name not in self._published:
            done = Settled(later=True)
        else:
            try:
                done = self._run.call(lambda: settle(self._ends, self._sides, found, hashing, self._catch_up))
            except MigrationError as refusal:
                done = Settled(unknown=f"which rows are wrong can't be told: {refusal}")
        self._settled[name] = done
        return done

    @cached_property
    def _ends(self) -> tuple[Connection, Connection]:
        run = self._run
        return run.connections.open(run.sides.source), run.connections.open(run.sides.target)

    def _catch_up(self) -> None:
        source, target = self._ends
        write_anyway(source)
        stopped = self._run.connections.stopped()
        wait_until_applied(target, self._replication, position(source), time.monotonic() + CATCH_UP_SECONDS, stopped)


def note_validation(run: MigrationRun, replication: Replication | None) -> None:
    """Write down that all rows were shown to be the same."""
    if replication is not None:
        record_validation(run.sides.target_connection, replication.name)
