"""What can go wrong, said for people: which object, on which side, and what to do about it.

Every message is safe to show: no password is ever part of one.
"""

import psycopg2
from psycopg2.extensions import TransactionRollbackError


class MigrationError(Exception):
    """Base of every error that a user can do something about. ``str()`` of it is the whole message.

    ``transient`` says that the same work, begun anew, may well succeed: a server was restarted, a connection was cut.
    """

    transient = False


class ConfigurationError(MigrationError):
    """What was asked for can't be done as it was asked: a setting, URL or partition key is missing, malformed or out of
    range, or there is nothing that it could be done with. Nothing was touched."""


class ConnectionFailed(MigrationError):
    """A server could not be reached, or refused the role, the password or the database.

    ``full`` says that it has no connection left: who has one may go on.
    """

    def __init__(self, message: str, transient: bool = True, full: bool = False) -> None:
        super().__init__(message)
        self.transient = transient
        self.full = full


class NotPermitted(MigrationError):
    """A role lacks a privilege that the migration needs."""


class LedgerTooNew(MigrationError):
    """The bookkeeping in the target was written by a newer version of this program. Nothing was touched."""


class StructureConflict(MigrationError):
    """What exists in the target differs from the source, and nobody said that it may be replaced."""


class CopyMismatch(MigrationError):
    """The source sent a different number of rows than the target stored; the chunk was rolled back."""


class SnapshotLost(MigrationError):
    """The transaction that holds the exported snapshot is gone, so the run can't go on at the same point in time."""

    transient = True


class SourceChanged(MigrationError):
    """A table of the source was changed or dropped in the moment between snapshot and lock. Nothing was written."""


class SourceUnprotected(MigrationError):
    """The source's tables can't be locked against commands that would empty the snapshot. Nothing was written."""

    transient = True


class AnotherRunActive(MigrationError):
    """A second run works on the same target; its advisory lock names it."""


class LockLost(MigrationError):
    """The session that holds the target's lock is gone: its server restarted, and may have lost what it confirmed."""

    transient = True


class CopyFailed(MigrationError):
    """A server refused or lost a COPY; its chunk was rolled back. ``__cause__`` is psycopg2's error."""


# Where a server finds that two sessions have changed one row of a catalog at once, which has no error code of its own.
_CATALOG_COLLISIONS = frozenset({"simple_heap_update", "simple_heap_delete"})


def collided(error: BaseException | None) -> bool:
    """Whether a server undid a statement for what another session did at that moment: tried again, it may well succeed.

    Deadlocks and serialization failures (PostgreSQL docs: "Serialization Failure Handling"), and catalogs that somebody
    else, autovacuum for example, changed at the same time.
    """
    if isinstance(error, CopyFailed):
        error = error.__cause__
    return isinstance(error, TransactionRollbackError) or (
        isinstance(error, psycopg2.Error) and error.diag.source_function in _CATALOG_COLLISIONS
    )


def server_message(error: BaseException) -> str:
    """What a server said, in one line: the message, its detail and where it happened (for COPY, the line)."""
    if not isinstance(error, psycopg2.Error) or not error.diag.message_primary:
        return " ".join(str(error).split()) or type(error).__name__
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.context)
    return "; ".join(" ".join(part.split()) for part in parts if part)
