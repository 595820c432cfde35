"""Who keeps our sessions waiting: said while they wait, as no server does it by itself."""

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import psycopg2
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.connections import Connections
from pg_migration.postgres.connection.endpoint import Endpoint, Side
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.figures import listed
from pg_migration.postgres.sql_files import sql_file

# The application_name of sessions that watch, and write nothing.
WATCH = "pg_migration watch"
MAX_STATEMENT_CHARACTERS = 100

# A look at who waits costs the server less than a millisecond, but the first one of a session ten, and its connection
# as much again: a run that is over before is spared them.
FIRST_LOOK_SECONDS = 2.0
LOOK_SECONDS = 1.0
# A wait is told of when it has lasted this long, and again each time that it has lasted so many times longer.
TELL_AFTER_SECONDS = 3.0
TELL_AGAIN_FACTOR = 3.0
LONGEST_SILENCE_SECONDS = 600.0
RECONNECT_SECONDS = 30.0

# What may hold secrets; a statement that the server cut off ends inside of one.
_LITERAL = re.compile(r"(?<=[eE])'(?:[^'\\]|''|\\.)*(?:'|$)|'(?:[^']|'')*(?:'|$)|\$(\w*)\$.*?(?:\$\1\$|$)", re.DOTALL)


_WEAKEST_FIRST = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)


class Wanted(Enum):
    """A lock on a table; its value is the modes that it does not get past (PostgreSQL docs: "Table-Level Locks")."""

    ACCESS_SHARE = _WEAKEST_FIRST[-1:]
    SHARE_UPDATE_EXCLUSIVE = _WEAKEST_FIRST[3:]
    EXCLUSIVE = _WEAKEST_FIRST[1:]
    ACCESS_EXCLUSIVE = _WEAKEST_FIRST


def shown_statement(statement: str | None) -> str:
    """The beginning of another session's statement, without the strings in it, which may be secrets."""
    without = _LITERAL.sub("'...'", " ".join((statement or "").split()))
    return without if len(without) <= MAX_STATEMENT_CHARACTERS else without[: MAX_STATEMENT_CHARACTERS - 3] + "..."


def who_is_ahead(
    connection: Connection,
    tables: Sequence[int],
    wanted: Wanted = Wanted.ACCESS_SHARE,
    ours: Sequence[int] = (),
    granted: bool = False,
) -> str:
    """Who has, or waits for, a lock on some tables (oids) that a wanted one does not get past, for people.

    Args:
        ours: sessions (pids) that do not count, as that of ``connection`` does not.
        granted: only who has one.
    """
    asked = {"tables": list(tables), "modes": list(wanted.value), "ours": list(ours), "granted": granted}
    found = fetch(connection, sql_file("connection/lock_holders.sql"), asked)
    told = [
        f"{_holder(pid, role, program, gid)}, on {listed(names)}{f': {shown_statement(query)}' if query else ''}"
        for pid, role, program, gid, query, names in found
    ]
    return "; ".join(told) or "a session that is gone by now"


def _holder(pid: int | None, role: str, program: str, gid: str | None) -> str:
    if pid is not None:
        return f"session with pid {pid} (role {role}, {program})"
    literal = "'" + (gid or "").replace("'", "''") + "'"
    return f"prepared transaction {literal}"


@dataclass(frozen=True)
class Blocker:
    """Who keeps sessions of ours waiting: a session of a server, or a transaction that was prepared there."""

    side: Side
    pid: int | None
    gid: str | None
    described: str = field(compare=False)
    remedy: str = field(compare=False)


class Watch:
    """Looks, from a session of its own on each side, for whom the sessions of one run wait.

    Args:
        ends: the sides, each as soon as it may be connected to.
        ours: patterns (LIKE) of the application names of the run's sessions.
        tell: is given each sentence for people; called from another thread.
    """

    def __init__(
        self, ends: Callable[[], Sequence[Endpoint]], ours: Sequence[str], tell: Callable[[str], None]
    ) -> None:
        self._ends, self._ours, self._log = ends, list(ours), tell
        self._connections = Connections(WATCH)
        self._sessions: dict[Side, Connection] = {}
        self._not_before: dict[Side, float] = {}
        self._stopping = threading.Event()
        self._seen: dict[Blocker, tuple[float, float]] = {}  # since when, and when to tell
        self._latest: dict[Side, tuple[float, str]] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look; again: does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._look_on, name="pg_migration watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Look no more, and close the sessions."""
        self._stopping.set()
        self._connections.close()

    def latest(self, side: Side, seconds: float = 5.0) -> str | None:
        """For whom somebody of ours waited on a side, within the last few seconds."""
        at, told = self._latest.get(side, (0.0, ""))
        return told if told and time.monotonic() - at <= seconds else None

    def _look_on(self) -> None:
        pause = FIRST_LOOK_SECONDS
        while not self._stopping.wait(pause):
            for end in self._ends():
                self._look(end)
            pause = LOOK_SECONDS

    def _look(self, end: Endpoint) -> None:
        now = time.monotonic()
        if now < self._not_before.get(end.side, 0.0):
            return
        try:
            session = self._sessions.get(end.side)
            if session is None or session.closed:
                session = self._sessions[end.side] = self._connections.open(end)
            waits = fetch(session, sql_file("connection/lock_waits.sql"), {"ours": self._ours})
        except (MigrationError, psycopg2.Error):
            # A full server, or one that is away: a run does not depend on this, and says so itself.
            self._not_before[end.side] = now + RECONNECT_SECONDS
            return
        found: dict[Blocker, list[str]] = {}
        for wanted, *of_blocker in waits:
            found.setdefault(_blocker(end.side, *of_blocker), []).append(wanted)
        for over in [known for known in self._seen if known.side is end.side and known not in found]:
            del self._seen[over]
        for blocker, for_what in found.items():
            self._consider(blocker, list(dict.fromkeys(for_what)), now)

    def _consider(self, blocker: Blocker, wanted: Sequence[str], now: float) -> None:
        told = f"waiting on the {blocker.side.value}, for {listed(wanted, 1)}: {blocker.described}. {blocker.remedy}"
        self._latest[blocker.side] = now, told
        since, due = self._seen.setdefault(blocker, (now, now + TELL_AFTER_SECONDS))
        if now >= due:
            lasted = now - since
            self._log(f"{told} (for {lasted:,.0f} s until now)")
            pause = min(lasted * (TELL_AGAIN_FACTOR - 1), LONGEST_SILENCE_SECONDS)
            self._seen[blocker] = since, now + pause


def _blocker(
    side: Side,
    pid: int | None,
    gid: str | None,
    role: str | None,
    program: str | None,
    state: str | None,
    since: str | None,
    statement: str | None,
    waits_for: Sequence[int],
) -> Blocker:
    if gid is not None:
        quoted = gid.replace("'", "''")
        described = f"prepared transaction '{gid}', of {since} UTC, has it"
        remedy = f"End it: ROLLBACK PREPARED '{quoted}' or COMMIT PREPARED '{quoted}'"
        return Blocker(side, None, gid, described, remedy)
    details = [f"role {role}" if role else "", program or "", state or "", f"since {since} UTC" if since else ""]
    further = f", which itself waits for {' and '.join(f'pid {other}' for other in waits_for)}," if waits_for else ""
    described = f"pid {pid} ({', '.join(detail for detail in details if detail)}){further} is ahead"
    if statement:
        described += f", with the statement {shown_statement(statement)}"
    return Blocker(side, pid, None, described, f"End it: SELECT pg_terminate_backend({pid})")
