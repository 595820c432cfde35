"""Whether new sessions of a database may write: its own default, and the roles that have another one.

A session that is there already keeps what it has, and any session may say otherwise for itself: only locks keep
everybody from writing (`fence`). PostgreSQL docs: default_transaction_read_only, ALTER DATABASE, ALTER ROLE.

A source must not stay read only where a cutover has died and the target is away, whose ledger says what has become of
it. So the publication says so, too: that a cutover has begun, and, just before the ledger says that the target has
taken over, that this may be so by now. Until then a look at the source alone may let its writers go on: it takes a lock
that the cutover's session has as long as it keeps writers waiting, and takes the announcement away, without which the
cutover does not go on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute, fetch, transaction, undone_on_errors
from pg_migration.postgres.errors import MigrationError, server_message
from pg_migration.postgres.replication.source_objects import (
    AnnouncedFence,
    Found,
    announce,
    by_name,
    note_of,
    ours,
    writing,
)
from pg_migration.postgres.replication.state import Replication

_DEFAULT = """
SELECT pg_catalog.split_part(setting, '=', 2)
  FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase
 CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS setting
 WHERE s.setrole OPERATOR(pg_catalog.=) '0'::pg_catalog.oid
   AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
   AND pg_catalog.split_part(setting, '=', 1) OPERATOR(pg_catalog.=) 'default_transaction_read_only'
"""
# A role's own setting goes before the database's, whatever it is: it holds for new sessions of the role.
_OVERRIDING = """
SELECT r.rolname::pg_catalog.text
  FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) s.setrole
 CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS setting
  LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase
 WHERE coalesce(d.datname, pg_catalog.current_database()) OPERATOR(pg_catalog.=) pg_catalog.current_database()
   AND pg_catalog.split_part(setting, '=', 1) OPERATOR(pg_catalog.=) 'default_transaction_read_only'
   AND NOT pg_catalog.split_part(setting, '=', 2)::pg_catalog.bool
 ORDER BY 1
"""

# One cutover begins at a time in a database: each notes what the other had set, and would leave it.
_BEGINNING = 0x70675F637574  # "pg_cut"
# How long a session of a cutover may take to end that has been told to.
ENDING_SECONDS = 10.0
POLL_SECONDS = 0.05


def read_only_default(connection: Connection) -> str | None:
    """What the database says of new sessions, as it is written there; None where it says nothing."""
    found = fetch(connection, _DEFAULT)
    return str(found[0][0]) if found else None


def overriding_roles(connection: Connection) -> Sequence[str]:
    """The roles whose new sessions write whatever the database says."""
    return [str(role) for (role,) in fetch(connection, _OVERRIDING)]


def make_read_only(connection: Connection) -> None:
    """Have new sessions of the database read only, unless they say otherwise."""
    _set(connection, "on")


def undo_read_only(connection: Connection, before: str | None) -> None:
    """Have the database say of new sessions what it said before."""
    _set(connection, before)


def fence_key(name: str) -> int:
    """The advisory lock of those who keep the source's writers waiting for a replication: shared; who lets them go on
    has it alone."""
    return int(name[-12:], 16)


def announce_fence(source: Connection, replication: Replication, by: str, before: str | None) -> None:
    """Say beside a publication that a cutover is about to have new sessions read only; call it while `beginning`.

    Args:
        by: the run that does it.
        before: what the database says of new sessions.

    Raises:
        MigrationError: the publication is gone, or another cutover of this database has begun.
    """
    there, name = {found.name: found for found in ours(source)}, replication.name
    if others := [one for one in there.values() if one.fence is not None and one.name != name]:
        raise MigrationError(
            f"another cutover of this source has begun, or has died ({others[0].name}): when it has ended, or a look "
            f"at it (pg_migration lag) has taken back what it had begun, start again"
        )
    found = _published(there.get(name), name)
    if not found.note:  # somebody has written something else there
        found = replace(found, note=note_of(replication))
    announce(source, found, AnnouncedFence(by, before, decided=False))


@contextmanager
def beginning(source: Connection) -> Iterator[None]:
    """Have no other cutover of the database begin meanwhile.

    Raises:
        MigrationError: one does.
    """
    if fetch(source, "SELECT pg_catalog.pg_try_advisory_lock(%s)", (_BEGINNING,)) != [(True,)]:
        raise MigrationError("another cutover of this source begins at this moment: start again when it has ended")
    try:
        yield
    finally:
        if not source.closed:
            fetch(source, "SELECT pg_catalog.pg_advisory_unlock(%s)", (_BEGINNING,))


def make_announced_read_only(source: Connection, name: str, by: str) -> None:
    """Have new sessions of the source read only, as was announced.

    Raises:
        MigrationError: somebody has let the writers go on since.
    """
    _as_announced(source, name, by, lambda _: make_read_only(source))


def announce_decision(source: Connection, name: str, by: str) -> None:
    """Say beside a publication that the target may have taken over by now.

    Raises:
        MigrationError: somebody has let the writers go on since the cutover was announced.
    """

    def decide(found: Found) -> None:
        assert found.fence is not None, "it was announced"
        announce(source, found, replace(found.fence, decided=True))

    _as_announced(source, name, by, decide)


def let_write(source: Connection, name: str, even_decided: bool, seconds: float = ENDING_SECONDS) -> bool:
    """Undo what a cutover has announced, and what it has set; whether there was anything.

    Args:
        even_decided: also where the target may have taken over by what the source says, as somebody knows better.
        seconds: how long a session may take to end that keeps writers waiting.

    Raises:
        MigrationError: a cutover keeps writers waiting, or the source refused.
    """
    deadline = time.monotonic() + seconds
    try:
        with writing(source):
            while (undone := _let_write(source, name, even_decided)) is None:
                if time.monotonic() > deadline:
                    raise MigrationError(f"a cutover keeps the source's writers waiting at this moment (slot {name})")
                time.sleep(POLL_SECONDS)
            return undone
    except psycopg2.Error as refusal:
        if source.closed:
            raise
        raise MigrationError(
            f"new sessions of the source are read only, and that can't be undone ({server_message(refusal)}): ALTER "
            f"DATABASE ... RESET default_transaction_read_only"
        ) from None


def _let_write(source: Connection, name: str, even_decided: bool) -> bool | None:
    """Whether something was undone; None where writers are kept waiting."""
    with transaction(source):
        # Nobody waits for long for a program that stands still here.
        execute(source, "SET LOCAL idle_in_transaction_session_timeout = '10s'")
        if fetch(source, "SELECT pg_catalog.pg_try_advisory_xact_lock(%s)", (fence_key(name),)) != [(True,)]:
            return None
        found = by_name(source, name)
        if found is None or found.fence is None or (found.fence.decided and not even_decided):
            return False
        _set(source, found.fence.before)
        announce(source, found, None)
        return True


def _as_announced(source: Connection, name: str, by: str, step: Callable[[Found], object]) -> None:
    execute(source, "BEGIN READ WRITE")
    with undone_on_errors(source):
        fetch(source, "SELECT pg_catalog.pg_advisory_xact_lock_shared(%s)", (fence_key(name),))
        found = _published(by_name(source, name), name)
        if found.fence is None or found.fence.by != by:
            raise MigrationError("somebody has let the source's writers go on, as the target did not answer")
        step(found)
    execute(source, "COMMIT")


def _published(found: Found | None, name: str) -> Found:
    if found is None or not found.publication or not found.owned:
        raise MigrationError(
            f"publication {name} of the source is gone, or belongs to another role: pg_migration abandon, and follow "
            f"anew"
        )
    return found


def write_anyway(connection: Connection) -> None:
    """Have a session of ours write whatever the database says of new ones."""
    execute(connection, "SET default_transaction_read_only = off")


def _set(connection: Connection, value: str | None) -> None:
    """In a session that may itself be read only by then."""
    ((database,),) = fetch(connection, "SELECT pg_catalog.current_database()")
    form = "RESET default_transaction_read_only" if value is None else "SET default_transaction_read_only = {value}"
    change = sql.SQL(form).format(value=sql.Literal(value))
    write_anyway(connection)
    execute(connection, sql.SQL("ALTER DATABASE {} {}").format(sql.Identifier(database), change))
