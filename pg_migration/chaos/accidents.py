"""What happens to a migration that runs. Each accident is called while it does, and returns when it has happened."""

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import closing

import psycopg2

from pg_migration.chaos.world import World
from pg_migration.demo.servers import Server
from pg_migration.postgres.session import execute, fetch

Process = subprocess.Popen[bytes]
Accident = Callable[[World, Process], None]

OURS = "datname = current_database() AND application_name LIKE 'pg_migration%'"
COPYING = f"SELECT 1 FROM pg_stat_activity WHERE {OURS} AND query LIKE 'COPY%' AND state = 'active'"
INDEXING = f"SELECT 1 FROM pg_stat_activity WHERE {OURS} AND query LIKE 'CREATE INDEX%' AND state = 'active'"
REFERENCING = f"SELECT 1 FROM pg_stat_activity WHERE {OURS} AND query LIKE '%FOREIGN KEY%' AND state = 'active'"


def kill_after(seconds: float) -> Accident:
    """SIGKILL at some moment."""

    def happen(world: World, process: Process) -> None:
        world.wait_until(world.source, f"SELECT 1 FROM pg_stat_activity WHERE {OURS}", process)
        time.sleep(seconds)
        process.kill()

    return happen


def kill_during(activity: str, how: signal.Signals = signal.SIGKILL) -> Accident:
    """A signal while the target does something."""

    def happen(world: World, process: Process) -> None:
        world.wait_until(world.target, activity, process)
        process.send_signal(how)

    return happen


def terminate(side: str, which: str, times: int) -> Accident:
    """End some of the migration's sessions, as an administrator or a firewall would."""

    def happen(world: World, process: Process) -> None:
        server: Server = getattr(world, side)
        world.wait_until(world.target, COPYING, process)
        with closing(world.connect(server)) as connection:
            for _ in range(times):
                execute(
                    connection,
                    f"SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE {OURS} AND {which} "
                    f"ORDER BY random() LIMIT 1) AS chosen",
                )
                time.sleep(random.uniform(0.02, 0.2))

    return happen


def restart(side: str) -> Accident:
    """The server crashes and comes back."""

    def happen(world: World, process: Process) -> None:
        server: Server = getattr(world, side)
        world.wait_until(world.target, COPYING, process)
        server.stop("immediate")
        server.start()

    return happen


def exhaust_connections(world: World, process: Process) -> None:
    """Others take every connection that the target has left, and keep them for a while."""
    world.wait_until(world.target, COPYING, process)
    others = []
    with contextlib.suppress(psycopg2.OperationalError):
        while True:
            others.append(world.connect(world.target))
    time.sleep(3)
    for connection in others:
        connection.close()


def change_source(world: World, process: Process) -> None:
    """Somebody wants to empty and change tables that are being read; they have to wait, here for a second."""
    world.wait_until(world.target, COPYING, process)
    with closing(world.connect(world.source)) as connection:
        execute(connection, "SET lock_timeout = '1s'")
        for command in ("TRUNCATE visit", "ALTER TABLE purchase ALTER total TYPE text", "DROP TABLE customer CASCADE"):
            with contextlib.suppress(psycopg2.errors.LockNotAvailable):
                execute(connection, command)


def write_to_source(world: World, process: Process) -> None:
    """Others write all the time, and take back what they wrote at the end, so that the judge can compare."""
    with closing(world.connect(world.source)) as connection:
        number = 0
        while process.poll() is None:
            number += 1
            execute(connection, f"INSERT INTO region VALUES (-{number}, 'written during the run')")
            execute(connection, f"DELETE FROM region WHERE id = -{number}")


def impatient_roles(_: World, process: Process) -> None:
    """Timeouts on the role, on both sides, that the migration must not inherit; set before the run."""
    process.wait()


def set_timeouts(world: World, value: str) -> None:
    """Give the role short timeouts, or (``0``) none."""
    for server in (world.source, world.target):
        with closing(world.connect(server, "postgres")) as connection:
            for name in ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout"):
                execute(connection, f"ALTER ROLE postgres SET {name} = '{value}'")


def target_of_a_second_run(world: World, process: Process) -> None:
    """A second run against the same target; it has to refuse, and the first must not notice."""
    world.wait_until(world.target, COPYING, process)
    second = world.start()
    if world.finish(second) == 0 and process.poll() is None:
        raise AssertionError("two runs wrote to one target at once")


def fetch_backends(world: World) -> int:
    """Sessions of the migration that are left on either side."""
    left = 0
    for server in (world.source, world.target):
        with closing(world.connect(server)) as connection:
            left += len(fetch(connection, f"SELECT 1 FROM pg_stat_activity WHERE {OURS}"))
    return left


def accidents(kills: int) -> Mapping[str, Accident]:
    """All of them by name; ``kills`` is how many random moments to kill the run at."""
    anything = "true"
    return {
        **{f"kill -9 after {seconds:.1f} s": kill_after(seconds) for seconds in _moments(kills)},
        "kill -9 during index builds": kill_during(INDEXING),
        "kill -9 during foreign keys": kill_during(REFERENCING),
        "Ctrl-C during the copy": kill_during(COPYING, signal.SIGINT),
        "SIGTERM during the copy": kill_during(COPYING, signal.SIGTERM),
        "sessions on the source terminated": terminate("source", anything, 4),
        "sessions on the target terminated": terminate("target", anything, 4),
        "session of the snapshot terminated": terminate("source", "query ~ 'pg_relation_filenode'", 1),
        "source crashes": restart("source"),
        "target crashes": restart("target"),
        "target out of connections": exhaust_connections,
        "DDL on the source": change_source,
        "writers on the source": write_to_source,
        "timeouts on the role": impatient_roles,
        "a second run": target_of_a_second_run,
    }


def _moments(kills: int) -> list[float]:
    return [random.uniform(0.0, 6.0) for _ in range(kills)]
