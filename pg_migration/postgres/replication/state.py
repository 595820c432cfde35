"""What is known of a replication from the source to the target, and how far it has come."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.ledger.source_identity import Identity

# Of the publication, the slot and the subscription: by it they are known, also where no ledger tells of them.
PREFIX = "pg_migration_"
_RANDOM_BYTES = 6
# What such a name looks like, for a server: nobody else's may be taken for ours.
PATTERN = f"^{PREFIX}[0-9a-f]{{{2 * _RANDOM_BYTES}}}$"


class Phase(str, Enum):
    """How far a replication has come.

    ``PREPARING``: publication and slot are being made. ``COPYING``: the run copies from the slot's snapshot.
    ``FOLLOWING``: the subscription applies what the source writes. ``FENCED``: a cutover keeps writers waiting.
    ``MOVED``: the target has taken over, with a way back or without. ``ENDED``: likewise, and the way back is gone.
    ``RETURNING``: a way back keeps the writers of the target waiting. ``BACK``: the source has taken over again.
    ``ABANDONED``: given up, by a person or because of its WAL. ``LOST``: the slot was lost, and changes are missing.
    """

    PREPARING = "preparing"
    COPYING = "copying"
    FOLLOWING = "following"
    FENCED = "fenced"
    MOVED = "moved"
    RETURNING = "returning"
    BACK = "back"
    ENDED = "ended"
    ABANDONED = "abandoned"
    LOST = "lost"


# Something of it is in the source.
UNDER_WAY = frozenset({Phase.PREPARING, Phase.COPYING, Phase.FOLLOWING, Phase.FENCED})
# The target is what applications write to: nothing may be copied into it.
TAKEN_OVER = frozenset({Phase.MOVED, Phase.RETURNING, Phase.ENDED})


@dataclass(frozen=True)
class PublishedTable:
    """A table whose rows are replicated, as it was in the slot's snapshot: of a partitioned one each leaf.

    ``columns`` are names and types, in their order; ``root`` is what the publication names, of a partition the
    uppermost table.
    """

    oid: int
    name: TableName
    root: TableName
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ChangedIdentity:
    """A table whose replica identity is changed: pg_class.relreplident, and its index if any, before and after."""

    oid: int
    name: TableName
    was: str
    index: str | None
    becomes: str
    by_index: str | None = None


@dataclass(frozen=True)
class Replication:
    """One replication, as the ledger has it. ``max_retained_wal`` is in bytes; positions are as pg_lsn writes them.
    Whoever looks after it goes by these limits, which are those of the run that has begun it.

    ``fence`` and ``fence_transaction`` are the position in the WAL and the next transaction (in 64 bits) of the
    source, both behind the last change that it took before the target took over. ``validated_at`` is when all rows were
    last shown to be the same on both sides. ``read_only_before`` and ``target_read_only_before`` are what the source
    and the target said of new sessions before they were made read only.
    """

    name: str
    phase: Phase
    run_id: str
    source: Identity
    target: Identity
    tables: tuple[PublishedTable, ...]
    reloaded: tuple[TableName, ...]
    max_retained_wal: int
    max_lag_seconds: int = 60
    identities: tuple[ChangedIdentity, ...] = ()
    consistent_point: str | None = None
    fence: str | None = None
    fence_transaction: int | None = None
    validated_at: datetime | None = None
    read_only_before: str | None = None
    target_read_only_before: str | None = None
    way_back: str | None = None
    reason: str | None = None
    begun_at: datetime | None = None
    changed_at: datetime | None = None

    def ended(self, phase: Phase, reason: str) -> "Replication":
        """The same, over."""
        return replace(self, phase=phase, reason=reason)


def new_name() -> str:
    """A name that nobody has."""
    return PREFIX + secrets.token_hex(_RANDOM_BYTES)
