"""What every comparison of a run needs: both sides."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2

from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.snapshot.snapshot import Snapshot
from pg_migration.postgres.verification.both_sides import BothSides


@contextmanager
def both_sides(run: MigrationRun, readers: int | None = None) -> Iterator[BothSides]:
    """Both sides at one point in time each: the source in the run's snapshot, in a run that only compares as it is now.

    Args:
        readers: how many sessions will read the source at once; by default as many as the run has workers.

    Raises:
        MigrationError: when a side can't be reached.
    """
    source = run.snapshot or run.call(lambda: run.protected_snapshot(readers or run.workers()))
    target = None
    try:
        target = run.call(lambda: Snapshot.take(run.connections, run.target))
        snapshots = {Side.SOURCE: source, Side.TARGET: target}
        ends = (run.source_connection, run.target_connection)
        same_encoding = len({end.info.parameter_status("server_encoding") for end in ends}) == 1
        yield BothSides(run.connections, run.schemas, snapshots, run.catalog.settings, same_encoding)
    finally:
        if target is not None:
            target.release()
        if run.snapshot is None:
            source.release()
            with suppress(psycopg2.Error):  # a lost connection says so at its next use
                execute(run.source_connection, "ROLLBACK")
