"""Whether a target can follow its source, looked at before anything is made."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import Catalog
from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.ledger.own_rows import Databases
from pg_migration.postgres.preflight import Finding, error, passed
from pg_migration.postgres.preflight.ends import Ends
from pg_migration.postgres.replication.coverage import Coverage

FOLLOW = "follow"

_KEEP_SIZE = """
SELECT s.setting::pg_catalog.int8 * 1024 * 1024 FROM pg_catalog.pg_settings s
 WHERE s.name = 'max_slot_wal_keep_size' AND s.setting <> '-1'
"""


@dataclass(frozen=True)
class Following:
    """What is to be followed, and how. ``url`` is how the target reaches the source, with its password."""

    ends: Ends
    connections: Connections
    source: Endpoint
    databases: Databases
    catalog: Catalog
    coverage: Coverage
    no_identity: str
    max_retained_wal: int
    url: str = field(repr=False)
    is_other_way: bool = False


@dataclass(frozen=True)
class WalLimit:
    """How much WAL the source may keep for a slot, in bytes, and what that was lowered by, if anything.

    ``free`` is what is free on its disk, where that can be seen; ``kept_by_server`` is max_slot_wal_keep_size, beyond
    which a slot is lost.
    """

    bytes: int
    lowered_by: str = ""
    free: int | None = None
    kept_by_server: int | None = None


def wal_limit(source: Connection, wanted: int, folder: Path | None = None) -> WalLimit:
    """How much WAL the source may keep: what is wanted, but no more than half of what is free.

    Args:
        folder: the source's data, where this program sees the same files.
    """
    rows = fetch(source, _KEEP_SIZE)
    by_server = int(rows[0][0]) if rows else None
    free = shutil.disk_usage(folder).free if folder is not None else None
    limits = {wanted: ""}
    if free is not None:
        limits[free // 2] = f"half of what is free in {folder}"
    if by_server is not None:
        limits[by_server] = "max_slot_wal_keep_size of the source"
    least = min(limits)
    return WalLimit(least, limits[least], free, by_server)


def look_at_replication(following: Following) -> Iterator[Finding]:
    """Whether the target can follow, one finding for each thing; those of the tables come last."""
    refused = following.coverage.refused
    for table in refused:
        yield error(FOLLOW, f"table {'.'.join(table.name)} of the source can't be replicated: {table.reason}", "")
    if not refused:
        yield passed(FOLLOW, f"{len(following.coverage.tables):,} tables can be replicated")
