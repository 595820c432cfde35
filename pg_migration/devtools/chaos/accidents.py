"""What happens to a migration that runs: each accident, what it needs beforehand, and what may come of it."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import psycopg2

from pg_migration.devtools.chaos.world import OURS, TooLate, World
from pg_migration.devtools.servers import Server
from pg_migration.postgres.connection.statements import execute, fetch

Process = subprocess.Popen[bytes]

ACTIVE = f"SELECT 1 FROM pg_stat_activity WHERE {OURS} AND state = 'active' AND query"
COPYING = f"{ACTIVE} LIKE 'COPY%'"
INDEXING = f"{ACTIVE} ~ '^CREATE (UNIQUE )?INDEX'"
REFERENCING = f"{ACTIVE} LIKE '%FOREIGN KEY%'"
SNAPSHOT_HOLDER = "state = 'idle in transaction' AND query ~ 'pg_export_snapshot'"

WRITE = """
WITH chosen AS (SELECT (random() * 19999)::int + 1 AS id, (random() * 100)::int AS amount),
    written AS (INSERT INTO movement (account, amount) SELECT id, amount FROM chosen RETURNING account, amount)
UPDATE account SET balance = balance + amount FROM written WHERE id = account
"""


def _nothing(_: World) -> None:
    pass


@dataclass(frozen=True)
class Accident:
    """Something that happens to a run.

    Args:
        happen: called while the run goes on; returns when it has happened.
        prepare: called before the run, with an empty target.
        repair: called before the next run.
        clean: called when all is over.
        status: what the run must end with: True success, False failure, None either.
        at_once: the next run begins at once, with sessions of this one still there.
        keeps: the next run keeps every chunk that is there.
    """

    name: str
    happen: Callable[[World, Process], None]
    prepare: Callable[[World], None] = _nothing
    repair: Callable[[World], None] = _nothing
    clean: Callable[[World], None] = _nothing
    status: bool | None = False
    at_once: bool = False
    keeps: bool = True


def kill_after(seconds: float) -> Callable[[World, Process], None]:
    """SIGKILL at some moment."""

    def happen(world: World, process: Process) -> None:
        world.wait_until(world.source, f"SELECT 1 FROM pg_stat_activity WHERE {OURS}", process)
        time.sleep(seconds)
        if process.poll() is not None:
            raise TooLate
        process.kill()

    return happen


def send_during(activity: str, how: signal.Signals) -> Callable[[World, Process], None]:
    """A signal while the target does something."""

    def happen(world: World, process: Process) -> None:
        world.wait_until(world.target, activity, process)
        process.send_signal(how)

    return happen


def _wait_for_the_copy(world: World, process: Process) -> None:
    """Wait until the rows are on their way, and some moments more."""
    world.wait_until(world.target, COPYING, process)
    time.sleep(random.uniform(0, 0.5))


def terminate(side: str, which: str, times: int) -> Callable[[World, Process], None]:
    """End some of the migration's sessions, as an administrator or a firewall would."""

    def happen(world: World, process: Process) -> None:
        _wait_for_the_copy(world, process)
        ended = 0
        with closing(world.connect(getattr(world, side))) as connection:
            for _ in range(times):
                ended += len(
                    fetch(
                        connection,
                        f"SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE {OURS} "
                        f"AND {which} ORDER BY random() LIMIT 1) AS chosen",
                    )
                )
                time.sleep(random.uniform(0.02, 0.2))
        if not ended:
            raise TooLate

    return happen


def restart(side: str) -> Callable[[World, Process], None]:
    """The server crashes and comes back."""

    def happen(world: World, process: Process) -> None:
        server: Server = getattr(world, side)
        _wait_for_the_copy(world, process)
        server.stop("immediate")
        server.start()

    return happen


def crash_session(side: str) -> Callable[[World, Process], None]:
    """One session of the migration dies of a signal, upon which its server ends all others and recovers."""

    def happen(world: World, process: Process) -> None:
        _wait_for_the_copy(world, process)
        server: Server = getattr(world, side)
        with closing(world.connect(server)) as connection:
            found = fetch(connection, f"SELECT pid FROM pg_stat_activity WHERE {OURS} LIMIT 1")
        if not found:
            raise TooLate
        os.kill(found[0][0], signal.SIGKILL)
        world.wait_for_recovery(server)

    return happen


def exhaust_connections(side: str) -> Callable[[World, Process], None]:
    """Others take every connection that a server has left, and keep them for a while."""

    def happen(world: World, process: Process) -> None:
        world.wait_until(world.target, COPYING, process)
        others = []
        with contextlib.suppress(psycopg2.OperationalError):
            while True:
                others.append(world.connect(getattr(world, side)))
        time.sleep(3)
        for connection in others:
            connection.close()

    return happen


def change_source(world: World, process: Process) -> None:
    """Somebody wants to empty and change tables that are being read, and has to wait; other DDL goes through."""
    world.wait_until(world.target, COPYING, process)
    with closing(world.connect(world.source)) as connection:
        execute(connection, "SET lock_timeout = '500ms'")
        for command in ("TRUNCATE visit", "ALTER TABLE purchase ALTER total TYPE text", "DROP TABLE customer CASCADE"):
            execute(connection, "BEGIN")
            with contextlib.suppress(psycopg2.errors.LockNotAvailable):
                execute(connection, command)
                if not world.backends():
                    raise TooLate
                raise AssertionError(f"the source was not protected from {command}")
            execute(connection, "ROLLBACK")
        for command in (
            "CREATE TABLE newcomer (id int)",
            "CREATE INDEX newcomer ON visit (page)",
            "ALTER TABLE region ALTER name SET DEFAULT 'r'",
        ):
            execute(connection, "BEGIN")
            with contextlib.suppress(psycopg2.errors.LockNotAvailable):
                execute(connection, command)
            time.sleep(0.2)
            execute(connection, "ROLLBACK")


def write_to_source(world: World, process: Process) -> None:
    """Others write all the time; every transaction leaves the balances right, so the judge sees a mix of moments."""
    with closing(world.connect(world.source)) as connection:
        written = 0
        while process.poll() is None:
            execute(connection, WRITE)
            written += 1
    if not written:
        raise TooLate


def wait(_: World, process: Process) -> None:
    """What was prepared is the accident."""
    process.wait()


def set_timeouts(value: str) -> Callable[[World], None]:
    """Give the role short timeouts, or (``0``) none, on both sides; the migration must not inherit them."""

    def change(world: World) -> None:
        for server in (world.source, world.target):
            with closing(world.connect(server, "postgres")) as connection:
                for name in ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout"):
                    execute(connection, f"ALTER ROLE postgres SET {name} = '{value}'")

    return change


def start_second_run(world: World, process: Process) -> None:
    """A second run against the same target; it has to refuse, and the first must not notice."""
    world.wait_until(world.target, COPYING, process)
    second = world.start("second")
    if world.finish(second) == 0 and process.poll() is None:
        raise AssertionError("two runs wrote to one target at once")


def fill_disk(tables: float, indexes: float) -> Callable[[World], None]:
    """Put the target database on a disk that has room for these shares of the source's tables and indexes only."""

    def prepare(world: World) -> None:
        world.move_to_small_disk(tables, indexes)

    return prepare


def accidents(kills: int, seconds: float) -> Sequence[Accident]:
    """All of them.

    Args:
        kills: at how many random moments to kill a run.
        seconds: how long a run takes that nothing happens to.
    """
    anything = "true"
    kill = [
        *((f"after {moment:.1f} s", kill_after(moment)) for moment in _moments(kills, seconds)),
        *((f"during {what}", send_during(activity, signal.SIGKILL)) for what, activity in _PHASES),
    ]
    stop = [(what, activity, how) for what, activity in _PHASES for how in (signal.SIGINT, signal.SIGTERM)]
    disk = [("the copy", fill_disk(0.6, 0)), ("index builds", fill_disk(1, 0.5))]
    return [
        *(Accident(f"kill -9 {moment}", happen, at_once=True) for moment, happen in kill),
        *(Accident(f"{how.name} during {what}", send_during(activity, how)) for what, activity, how in stop),
        Accident("sessions on the source terminated", terminate("source", anything, 4), status=None),
        Accident("sessions on the target terminated", terminate("target", anything, 4), status=None),
        Accident("session of the snapshot terminated", terminate("source", SNAPSHOT_HOLDER, 1), status=None),
        Accident("source crashes", restart("source"), keeps=False),
        Accident("target crashes", restart("target")),
        Accident("a session crashes on the source", crash_session("source"), keeps=False),
        Accident("a session crashes on the target", crash_session("target")),
        *(
            Accident(
                f"disk full during {what}",
                wait,
                prepare=fill,
                repair=World.enlarge_disk,
                clean=World.remove_small_disk,
            )
            for what, fill in disk
        ),
        Accident("source out of connections", exhaust_connections("source"), status=None),
        Accident("target out of connections", exhaust_connections("target"), status=None),
        Accident("DDL on the source", change_source, status=True),
        Accident("writers on the source", write_to_source, status=True),
        Accident("timeouts on the role", wait, set_timeouts("200ms"), clean=set_timeouts("0"), status=True),
        Accident("a second run", start_second_run, status=True),
    ]


_PHASES = [("the copy", COPYING), ("index builds", INDEXING), ("foreign keys", REFERENCING)]


def _moments(kills: int, seconds: float) -> list[float]:
    return sorted(random.uniform(0.0, seconds) for _ in range(kills))
