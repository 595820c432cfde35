"""Whether there is room: connections on both servers, disk space on the target."""

import shutil
from collections import Counter
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.connection.free_connections import MIN_CONNECTIONS, SPARE_CONNECTIONS, connections_left
from pg_migration.postgres.figures import size
from pg_migration.postgres.preflight.ends import Ends, Intent, ask, names_in_target
from pg_migration.postgres.preflight.finding import Finding, error, passed, warning
from pg_migration.postgres.snapshot.readers import OTHER_READERS, room_for_locks

CONNECTIONS = {side: f"free connections on the {side.value}" for side in Side}
ALL_CONNECTIONS = "free connections on both sides"
DISK_SPACE = "disk space on the target"
LOCKS = "room for locks on the source"
TARGET_LOCKS = "room for locks on the target"
# The table, its TOAST table with its index, and an index.
LOCKS_OF_PARTITION = 4


def connections(ends: Ends, intent: Intent) -> list[Finding]:
    """That both servers have sessions left for the workers."""
    wanted = intent.workers + SPARE_CONNECTIONS
    left = {side: connections_left(end) for side, end in ((Side.SOURCE, ends.source), (Side.TARGET, ends.target))}
    if all(MIN_CONNECTIONS <= free < wanted for free, _ in left.values()):
        told = " and ".join(f"the {side.value} has {free} free connections" for side, (free, _) in left.items())
        limits = "; ".join(f"{side.value}: {limit}" for side, (_, limit) in left.items())
        return [_too_few(ALL_CONNECTIONS, told, wanted, limits)]
    return [_connections(side, free, limits, wanted) for side, (free, limits) in left.items()]


def _connections(side: Side, free: int, limits: str, wanted: int) -> Finding:
    if free < MIN_CONNECTIONS:
        return error(
            CONNECTIONS[side],
            f"the {side.value} has {max(0, free)} free connections for this role, a migration needs "
            f"{MIN_CONNECTIONS} more than it has ({limits})",
            "End sessions that nobody needs, or raise these limits",
        )
    if free < wanted:
        return _too_few(CONNECTIONS[side], f"the {side.value} has {free} free connections", wanted, limits)
    return passed(CONNECTIONS[side], f"{free}, {wanted} are wanted")


def _too_few(check: str, free: str, wanted: int, limits: str) -> Finding:
    return warning(
        check,
        f"{free}, {wanted} are wanted: fewer workers will copy ({limits})",
        "End sessions that nobody needs, raise these limits, or set fewer workers",
    )


def locks(ends: Ends, catalog: Catalog, intent: Intent) -> Finding:
    """That the source can remember the locks of every session that reads it, one for each table."""
    tables = len(catalog.tables)
    room, wanted = room_for_locks(ends.source), tables * (intent.workers + OTHER_READERS)
    if tables * (OTHER_READERS + 1) > 2 * room:
        return error(
            LOCKS,
            f"the source has room for about {2 * room:,} more locks, and {tables:,} tables take "
            f"{tables * (OTHER_READERS + 1):,} at least: one for each of three sessions",
            "Raise max_locks_per_transaction there (this takes a restart), or migrate fewer tables at once",
        )
    if wanted > room:
        able = max(1, room // max(1, tables) - OTHER_READERS)
        return passed(
            LOCKS,
            f"for {able} of {intent.workers} workers to lock all {tables:,} tables on the source; the others lock one "
            f"table at a time, and leave those that somebody is about to empty to them",
        )
    return passed(LOCKS, f"for every worker to lock all {tables:,} tables on the source")


def locks_of_target(ends: Ends, catalog: Catalog) -> Finding:
    """That the target can lock a partitioned table with all below it: some changes are of all partitions at once.

    Such are a foreign key, a trigger and DROP TABLE. What is made of single tables takes few locks at a time, and where
    it takes too many, fewer are made at once.
    """
    below = Counter(table.root for table in catalog.tables if table.root is not None)
    if not below:
        return passed(TARGET_LOCKS, "no table is partitioned")
    (root, partitions), *_ = below.most_common(1)
    room, wanted = room_for_locks(ends.target), partitions * LOCKS_OF_PARTITION
    name = f"{'.'.join(root or ())} with its {partitions:,} partitions"
    if wanted > room:
        return warning(
            TARGET_LOCKS,
            f"the target has room for about {room:,} more locks, and {name} may take {wanted:,} at once",
            "Raise max_locks_per_transaction there (this takes a restart)",
        )
    return passed(TARGET_LOCKS, f"for {name}, and {room - wanted:,} more locks")


def disk_space(ends: Ends, catalog: Catalog) -> Finding:
    """What rows, indexes and large objects take on the target, against what is free there where that can be known.

    Never an error: the source's files may be bloated, and the copy then takes less.
    """
    ((tables, indexes, large_objects),) = ask(ends.source, "sizes", tables=[table.oid for table in catalog.tables])
    ((present,),) = ask(ends.target, "present_sizes", **names_in_target(catalog))
    parts = f"{size(tables)} rows, {size(indexes)} indexes"
    if catalog.large_objects is not None:
        parts += f", {size(large_objects)} large objects"
        tables += large_objects
    need = f"up to {size(tables + indexes)} on the target ({parts})"
    if present:
        need += f", of which it holds {size(present)} now"
    folder = data_folder(ends.target)
    if folder is None:
        return passed(DISK_SPACE, f"{need}; how much is free there can't be seen from here")
    free = shutil.disk_usage(folder).free
    # A table that is filled again keeps its old rows until the new ones are committed.
    if free + present < tables + indexes or free < max((table.bytes for table in catalog.tables), default=0):
        return warning(
            DISK_SPACE,
            f"{need}; {size(free)} are free in {folder}",
            "Make room there before the migration, unless the source's tables are mostly empty space",
        )
    return passed(DISK_SPACE, f"{need}; {size(free)} are free in {folder}")


def data_folder(target: Connection) -> Path | None:
    """The folder of the target's database, when this process sees the very files that the server has; else None.

    The connection must not be in a transaction.
    """
    try:
        ((folder, proof, length, modified, changed),) = ask(target, "data_directory")
    except psycopg2.Error:
        return None  # takes rights that a migration does not need
    try:
        here = Path(proof).stat()
    except OSError:
        return None
    same = (here.st_size, int(here.st_mtime), int(here.st_ctime)) == (length, modified, changed)
    return Path(folder) if same else None
