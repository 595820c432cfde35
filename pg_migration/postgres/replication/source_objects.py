"""What a replication has in the database that it reads: a publication and a slot of one name, and nothing else.

Everything here works on an autocommit connection, sets what it needs for itself, ends within a bounded time and may be
repeated. PostgreSQL docs: CREATE PUBLICATION; "Replication Slots".
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.connection.lock_waits import Wanted, who_is_ahead
from pg_migration.postgres.connection.session_settings import select, set_configs
from pg_migration.postgres.connection.statements import execute, fetch, transaction
from pg_migration.postgres.errors import MigrationError, server_message
from pg_migration.postgres.ledger.source_identity import Identity
from pg_migration.postgres.replication.record import changed_identities
from pg_migration.postgres.replication.state import PATTERN, ChangedIdentity, Replication
from pg_migration.postgres.sql_files import sql_file

# Who waits for a lock keeps those waiting who come later and need one that conflicts: so each wait is short where that
# is everybody, and there are several. A publication keeps no rows from being read or written, and the server ends an
# autovacuum only for who has waited for longer than deadlock_timeout.
LOCK_SECONDS, LOCK_SECONDS_OF_PUBLICATIONS = 1.0, 10.0
STATEMENT_SECONDS = 60.0
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.5
POLL_SECONDS = 0.05
# How long whoever reads a slot may take to end.
READER_SECONDS = 30.0

ROOTS_SINCE = 130000  # a partitioned table can be published

_PUBLICATION = "SELECT FROM pg_catalog.pg_publication WHERE pubname = %s"
_MEMBERS = """
SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_publication_rel r
  JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
  JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE p.pubname = %s
"""
_OIDS = """
SELECT c.oid::pg_catalog.int8 FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE (n.nspname, c.relname) IN
       (SELECT * FROM ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[])))
"""
# Each standby that takes over begins another one.
_TIMELINE = "SELECT pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8)"
_SLOT = """
SELECT active_pid FROM pg_catalog.pg_replication_slots
 WHERE slot_name = %s AND database = pg_catalog.current_database()
"""


@dataclass(frozen=True)
class Found:
    """A publication or a slot by one of our names, or both.

    ``note`` is what the publication says of itself, nothing where it is gone or somebody else's words. ``owned``:
    whether the publication belongs to the role that asks. ``retained`` is in bytes; None where the slot is gone or
    lost.
    """

    name: str
    publication: bool
    note: Mapping[str, Any]
    owned: bool
    slot: bool
    active_pid: int | None
    retained: int | None

    @property
    def target(self) -> Identity | None:
        """The database that it was made for."""
        return Identity.recorded(self.note["target"]) if self.note else None

    @property
    def run_id(self) -> str | None:
        """The run that made it."""
        return str(self.note["run"]) if self.note else None

    @property
    def max_retained_wal(self) -> int | None:
        """How much WAL its slot may keep, in bytes."""
        return int(self.note["max_retained_wal"]) if self.note else None

    @property
    def ended(self) -> str | None:
        """Why its slot was taken away, where that was done without the target."""
        return str(self.note["ended"]) if "ended" in self.note else None

    @property
    def timeline(self) -> str | None:
        """The timeline of the source when it was last looked at; None where that is not known."""
        return str(self.note["timeline"]) if self.note.get("timeline") else None

    @property
    def fence(self) -> "AnnouncedFence | None":
        """The cutover that has new sessions read only, or is about to; None where another role may have written it."""
        told = self.note.get("fence") if self.owned else None
        return AnnouncedFence(str(told["by"]), told["before"], bool(told["decided"])) if told else None

    @property
    def identities(self) -> Sequence[ChangedIdentity]:
        """What was to be changed for it; nothing where another role may have written it."""
        return changed_identities(self.note["identities"]) if self.note and self.owned else ()


@dataclass(frozen=True)
class AnnouncedFence:
    """What a publication says of a cutover that has begun: of which run, and what the database said of new sessions
    ``before``. ``decided``: the target may have taken over by now, which only its ledger tells."""

    by: str
    before: str | None
    decided: bool


def note_of(replication: Replication) -> Mapping[str, object]:
    """All that is needed to undo a replication in its source without the ledger."""
    return {
        "made by": "pg_migration",
        "run": replication.run_id,
        "max_retained_wal": replication.max_retained_wal,
        "target": replication.target.as_record(),
        "identities": [asdict(changed) for changed in replication.identities],
    }


def ours(source: Connection) -> Sequence[Found]:
    """What is there by our names, also of other targets."""
    rows = fetch(source, sql_file("replication/queries/ours.sql"), {"pattern": PATTERN})
    return [
        Found(name, publication, _note(note), owned, slot, pid, retained)
        for name, publication, note, owned, slot, pid, retained in rows
    ]


def by_name(source: Connection, name: str) -> Found | None:
    """What is there by one of our names; None where nothing is."""
    return next((found for found in ours(source) if found.name == name), None)


_NOTED = ("made by", "run", "target", "identities", "max_retained_wal", "ended", "fence", "timeline")


def _note(text: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(text or "")
        Identity.recorded(found["target"])
        changed_identities(found["identities"])
        int(found["max_retained_wal"])
        if (fence := found.get("fence")) is not None:
            _ = fence["by"], fence["before"], fence["decided"]
        return {name: found[name] for name in _NOTED if name in found}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def make_publication(source: Connection, name: str, tables: Sequence[TableName], note: Mapping[str, object]) -> None:
    """Publish every change of some tables, of a partitioned one those of all its partitions.

    Args:
        note: kept beside it, for whoever finds it without a ledger.

    Raises:
        MigrationError: the source refused, or somebody kept a table locked all the time.
    """
    what = f"publication {name} can't be made"
    insist_on_tables(source, what, tables, lambda: create_publication(source, name, tables, note))


def create_publication(source: Connection, name: str, tables: Sequence[TableName], note: Mapping[str, object]) -> None:
    """Do once what `make_publication` insists on; nothing where it is there."""
    if fetch(source, _PUBLICATION, (name,)):
        return
    options = ["publish = 'insert, update, delete, truncate'"]
    if source.server_version >= ROOTS_SINCE:
        options.append("publish_via_partition_root = false")
    members = sql.SQL(" FOR TABLE {}").format(_tables(tables)) if tables else sql.SQL("")
    statement = sql.SQL("CREATE PUBLICATION {}{} WITH ({})")
    execute(source, statement.format(sql.Identifier(name), members, sql.SQL(", ".join(options))))
    _note_beside(source, name, note)


def _note_beside(source: Connection, name: str, note: Mapping[str, object]) -> None:
    comment = sql.SQL("COMMENT ON PUBLICATION {} IS {}")
    execute(source, comment.format(sql.Identifier(name), sql.Literal(json.dumps(note))))


def publish(source: Connection, name: str, tables: Sequence[TableName]) -> None:
    """Add tables to a publication.

    Raises:
        MigrationError: as `make_publication`.
    """
    if tables:
        statement = sql.SQL("ALTER PUBLICATION {} ADD TABLE {}").format(sql.Identifier(name), _tables(tables))
        what = f"publication {name} can't be made"
        insist_on_tables(source, what, tables, lambda: execute(source, statement))


def unpublish(source: Connection, name: str) -> None:
    """Take all tables out of a publication, which stays.

    Raises:
        MigrationError: as `make_publication`.
    """

    def take_out() -> None:
        if members := fetch(source, _MEMBERS, (name,)):
            statement = sql.SQL("ALTER PUBLICATION {} DROP TABLE {}")
            execute(source, statement.format(sql.Identifier(name), _tables([(s, t) for s, t in members])))

    insist_on_tables(source, f"publication {name} can't be dropped", (), take_out)


def end_note(source: Connection, found: Found, reason: str) -> None:
    """Add to the note of a publication why its slot was taken away, for whoever comes when the target can be asked.

    Raises:
        MigrationError: as `make_publication`.
    """
    _add_to_note(source, found, {"ended": reason})


def note_timeline(source: Connection, found: Found, timeline: str) -> None:
    """Write beside a publication that its database is on another timeline, so that this is told once.

    Raises:
        MigrationError: as `make_publication`.
    """
    _add_to_note(source, found, {"timeline": timeline})


def _add_to_note(source: Connection, found: Found, told: Mapping[str, object]) -> None:
    note, what = {**found.note, **told}, f"publication {found.name} can't be changed"
    insist_on_tables(source, what, (), lambda: _note_beside(source, found.name, note))


def timeline_of(source: Connection) -> str | None:
    """The timeline that a server writes to, as the names of its WAL's files begin; None where it does not tell."""
    try:
        ((timeline,),) = fetch(source, _TIMELINE)
    except psycopg2.Error:
        if source.closed:
            raise
        return None
    return str(timeline)


def announce(source: Connection, found: Found, fence: AnnouncedFence | None) -> None:
    """Say beside a publication how a cutover stands, or that there is none; in the transaction that is open, if any."""
    note = {name: told for name, told in found.note.items() if name != "fence"}
    if fence is not None:
        note["fence"] = asdict(fence)
    _note_beside(source, found.name, note)


def hand_over(source: Connection, found: Found, changed: Sequence[ChangedIdentity]) -> None:
    """Have whoever takes a replication away undo what another one has changed, which it needs as well.

    Raises:
        MigrationError: as `make_publication`.
    """
    known = {one.oid for one in found.identities}
    more = [asdict(one) for one in changed if one.oid not in known]
    if more:
        _add_to_note(source, found, {"identities": [*found.note["identities"], *more]})


def drop_publication(source: Connection, name: str) -> None:
    """Drop a publication; does nothing where it is gone.

    Raises:
        MigrationError: as `make_publication`.
    """
    statement = sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(name))
    insist_on_tables(source, f"publication {name} can't be dropped", (), lambda: execute(source, statement))


def drop_slot(source: Connection, name: str) -> bool:
    """Drop a slot of this database, ending whoever reads it.

    Returns:
        Whether there was one.

    Raises:
        MigrationError: its reader does not end, or the server refused.
    """
    deadline = time.monotonic() + READER_SECONDS
    try:
        with writing(source):
            while slots := fetch(source, _SLOT, (name,)):
                ((pid,),) = slots
                if pid is not None:
                    fetch(source, "SELECT pg_catalog.pg_terminate_backend(%s)", (pid,))
                try:
                    fetch(source, "SELECT pg_catalog.pg_drop_replication_slot(%s)", (name,))
                except psycopg2.errors.ObjectInUse:
                    if time.monotonic() > deadline:
                        raise MigrationError(
                            f"replication slot {name} of the source can't be dropped: pid {pid} reads it and does not "
                            f"end. End it (SELECT pg_terminate_backend({pid})), and drop it: "
                            f"SELECT pg_drop_replication_slot('{name}')"
                        ) from None
                    time.sleep(POLL_SECONDS)
                except psycopg2.errors.UndefinedObject:
                    return True
                else:
                    return True
        return False
    except psycopg2.Error as refusal:
        if source.closed:
            raise
        raise MigrationError(
            f"replication slot {name} of the source can't be dropped ({server_message(refusal)}), and keeps WAL there. "
            f"Drop it as a superuser: SELECT pg_drop_replication_slot('{name}')"
        ) from None


@contextmanager
def writing(connection: Connection, lock_seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """What the block does may write, also where sessions are read only by default, and waits for nothing for long."""
    settings = {
        "default_transaction_read_only": "off",
        "lock_timeout": f"{round(lock_seconds * 1000)}ms",
        "statement_timeout": f"{round(STATEMENT_SECONDS * 1000)}ms",
    }
    now = [sql.SQL("pg_catalog.current_setting({})").format(sql.Literal(name)) for name in settings]
    ((*before, _, _, _),) = fetch(connection, select([*now, *set_configs(settings)]))
    try:
        yield
    finally:
        if not connection.closed:
            execute(connection, select(set_configs(dict(zip(settings, before, strict=True)))))


def insist(
    connection: Connection, what: str, tables: Sequence[int], work: Callable[[], object], exclusive: bool = False
) -> None:
    """Do some work in a transaction, again and again while somebody has a lock that it needs, for about a minute.

    Args:
        what: the failure, for people.
        tables: OIDs of those that it locks.
        exclusive: whether it keeps everybody from them, else only who changes them otherwise than by rows.

    Raises:
        MigrationError: the locks were not to be had, or the server refused.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    with writing(connection, LOCK_SECONDS if exclusive else LOCK_SECONDS_OF_PUBLICATIONS):
        while (refusal := _tried(connection, work)) is not None:
            if isinstance(refusal, MigrationError):
                raise MigrationError(f"{what}: {refusal}")
            if time.monotonic() > deadline:
                wanted = Wanted.ACCESS_EXCLUSIVE if exclusive else Wanted.SHARE_UPDATE_EXCLUSIVE
                ahead = who_is_ahead(connection, tables, wanted)
                raise MigrationError(
                    f"{what}: {server_message(refusal)} for {PATIENCE_SECONDS:.0f} s; ahead is {ahead}"
                )
            time.sleep(PAUSE_SECONDS)


def _tried(connection: Connection, work: Callable[[], object]) -> Exception | None:
    """What kept some work from being done: a lock, or what can't be mended by waiting."""
    try:
        with transaction(connection):
            work()
    except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected) as refusal:
        return refusal
    except psycopg2.Error as refusal:
        if connection.closed:
            raise
        return MigrationError(server_message(refusal))
    return None


def insist_on_tables(source: Connection, what: str, tables: Sequence[TableName], work: Callable[[], object]) -> None:
    """`insist` on what locks these tables against who changes them otherwise than by rows."""
    oids = fetch(source, _OIDS, ([schema for schema, _ in tables], [name for _, name in tables])) if tables else []
    insist(source, what, [oid for (oid,) in oids], work)


def _tables(tables: Sequence[TableName]) -> sql.Composable:
    # Without ONLY all children would be meant, whatever schema they are in; partitions are meant in any case.
    return sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(*table)) for table in tables)
