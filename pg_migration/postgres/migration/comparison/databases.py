"""Compare the structure of two databases; and what every comparison of rows needs: both sides."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import psycopg2

from pg_migration.postgres.catalog import Catalog, discover, read_surroundings
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.statements import execute
from pg_migration.postgres.ddl import Difference, attainable, differences
from pg_migration.postgres.ledger.schema import version as ledger_version
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.schemas import map_schemas
from pg_migration.postgres.roles.reach import reach_of
from pg_migration.postgres.snapshot.snapshot import Snapshot
from pg_migration.postgres.verification.both_sides import BothSides
from pg_migration.postgres.verification.comparison_progress import ComparisonProgress


@contextmanager
def both_sides(run: MigrationRun, readers: int | None = None) -> Iterator[BothSides]:
    """Both sides at one point in time each: the source in the run's snapshot, in a run that only compares as it is now.

    Args:
        readers: how many sessions will read the source at once; by default as many as the run has workers.

    Raises:
        MigrationError: when a side can't be reached.
    """
    if run.sides.snapshot is None:
        run.call(run.demand_same_transform)
    held = run.sides.snapshot or run.held_snapshot
    source = held or run.call(lambda: run.protected_snapshot(readers or run.workers()))
    snapshots = _Snapshots(source, lambda: Snapshot.take(run.connections, run.sides.target, shared=readers != 1))
    try:
        progress = ComparisonProgress(run.workload, run.tell)
        yield BothSides(
            run.connections, run.schemas, snapshots, run.catalog.settings, run.sides.same_encoding, progress
        )
    finally:
        snapshots.release_target()
        if held is None:
            source.release()
            with suppress(psycopg2.Error):  # a lost connection says so at its next use
                execute(run.sides.source_connection, "ROLLBACK")


class _Snapshots(Mapping[Side, Snapshot]):
    """One of each side. That of the target is taken when it is first needed: a load may have hashed all rows there."""

    def __init__(self, source: Snapshot, take_target: Callable[[], Snapshot]) -> None:
        self._taken = {Side.SOURCE: source}
        self._take_target = take_target
        self._lock = threading.Lock()

    def __getitem__(self, side: Side) -> Snapshot:
        with self._lock:
            if side not in self._taken:
                self._taken[side] = self._take_target()
            return self._taken[side]

    def __iter__(self) -> Iterator[Side]:
        return iter(Side)

    def __len__(self) -> int:
        return len(Side)

    def release_target(self) -> None:
        """Let go of the target's, if there is one."""
        if (target := self._taken.get(Side.TARGET)) is not None:
            target.release()


def structural_differences(migration: Migration) -> tuple[Catalog, list[Difference]]:
    """Discover both databases, and compare their structure; nothing is written.

    Returns:
        The source's catalog, and the differences.

    Raises:
        MigrationError: when a server can't be reached or a schema does not exist.
    """
    migration.check()
    owners, privileges = bool(migration.options.owners), migration.options.privileges
    with Connections("pg_migration compare") as connections:
        source, target = connections.open(migration.source), connections.open(migration.target)
        ledger_version(target)  # refuses one that this program can't read
        schemas = map_schemas(migration.source_schemas, migration.target_schemas, source)
        reach = reach_of(target)
        around = read_surroundings(target, migration.is_whole)
        ours = discover(
            source,
            schemas,
            migration.options.exclude_tables,
            target_version=target.server_version,
            target_extensions=around.extensions,
            surroundings=around,
            ownership=owners,
            privileges=privileges,
            maker=reach.role,
            readable=False,
            whole=migration.is_whole,
        )
        same = {name: name for name in schemas.values()}
        theirs = discover(
            target,
            same,
            ownership=owners,
            privileges=privileges,
            readable=False,
            with_large_objects=False,
            whole=migration.is_whole,
        )
        ours = attainable(ours, target, reach, schemas.values(), lambda: theirs)
        return ours, differences(ours, theirs)
