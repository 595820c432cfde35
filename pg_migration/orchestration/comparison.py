"""What every comparison of a run needs: both sides."""

from collections.abc import Iterator
from contextlib import contextmanager

from pg_migration.orchestration.run import MigrationRun
from pg_migration.postgres.comparing import BothSides
from pg_migration.postgres.endpoint import Side
from pg_migration.postgres.snapshot import Snapshot


@contextmanager
def both_sides(run: MigrationRun) -> Iterator[BothSides]:
    """Both sides at one point in time each: the source in the run's snapshot, in a run that only compares as it is now.

    Raises:
        MigrationError: when a side can't be reached.
    """
    taken = {Side.TARGET: run.call(lambda: Snapshot.take(run.connections, run.target))}
    if run.snapshot is None:
        taken[Side.SOURCE] = run.call(lambda: Snapshot.take(run.connections, run.source))
    snapshots = {**taken, **({Side.SOURCE: run.snapshot} if run.snapshot is not None else {})}
    ends = (run.source_connection, run.target_connection)
    same_encoding = len({end.info.parameter_status("server_encoding") for end in ends}) == 1
    try:
        yield BothSides(
            run.connections, run.source, run.target, run.schemas, snapshots, run.catalog.settings, same_encoding
        )
    finally:
        for snapshot in taken.values():
            snapshot.holder.close()
