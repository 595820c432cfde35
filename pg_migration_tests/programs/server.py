"""Forks a process for each program that a client wants to run: server.py NUMBER OF THE SOCKET. Ends with its input."""

import atexit
import contextlib
import gc
import importlib
import os
import runpy
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TextIO, cast

IMPORTED = (
    "dagster._cli",
    "dagster._daemon.cli",
    "dagster._core.execution.execute_in_process",
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.instance.runs.run_domain",
    "dagster._core.storage.event_log.sqlite",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.runs.sqlite",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.system_config.composite_descent",
    "dagster_postgres",
    "pg_migration.cli.commands",
    "pg_migration.cli.options",
    "pg_migration.cli.progress",
    "pg_migration.cli.report",
    "pg_migration.cli.run",
    "pg_migration.definitions",
    "psutil",
    "rich.live",
    "upath.implementations.local",
    "watchdog.observers.polling",
)
FORGOTTEN = ("pg_migration.cli", "pg_migration.definitions", "pg_migration.orchestration")


def prepare() -> None:
    """Import what takes long, and forget our own modules about Dagster, some of which depend on the environment."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for name in IMPORTED:
        importlib.import_module(name)
    importlib.import_module("pg_migration_tests.revisions").remember()
    with sys.modules["dagster"].DagsterInstance.ephemeral():
        pass
    for name in [name for name in sys.modules if name.startswith(FORGOTTEN)]:
        del sys.modules[name]
    assert sys.modules["psutil"].Process().num_threads() == 1, "a fork would lack the other threads"
    gc.collect()
    gc.freeze()


def wait(listening: socket.socket) -> bool:
    """Wait for clients, and prepare for the first. True in a process that is to run a program, false at the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    prepared = False
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in ready:
            return False
        if not prepared:
            prepare()
            prepared = True
        client, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            attend(client)
            return True
        client.close()


def attend(client: socket.socket) -> None:
    """Fork once more: the child returns, to be the program, and its parent tells the client how it ends.

    A client that was killed can't pass that on: the program is killed then.
    """
    waking = socket.socketpair()
    waking[1].setblocking(False)
    signal.set_wakeup_fd(waking[1].fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    length, (own, *given), _, _ = socket.recv_fds(client, 8, 4)
    os.close(own)
    with client.makefile("rb") as stream:
        message = stream.read(int.from_bytes(length, "big"))
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for ours in (client, *waking):
            ours.close()
        become(message, given)
        return
    for descriptor in given:
        os.close(descriptor)
    client.sendall(b"%d\n" % child)
    ready, _, _ = select.select([client, waking[0]], [], [])
    if client in ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):
        client.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def become(message: bytes, given: list[int]) -> None:
    """Take over what the client was called with."""
    streams, folder, count, *words = (os.fsdecode(word) for word in message.split(b"\0"))
    call, environment = words[: int(count)], words[int(count) :]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(word.split("=", 1) for word in environment)
    sys.argv[:] = call
    sys.path[0] = str(Path(call[0]).parent)
    chosen = dict(zip(map(int, streams.split()), given, strict=True))
    for number in range(3):
        os.close(number)
    for number, descriptor in chosen.items():
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = sys.__stdin__ = stream(0, "r", "strict") if 0 in chosen else None
    sys.stdout = sys.__stdout__ = stream(1, "w", "strict") if 1 in chosen else None
    sys.stderr = sys.__stderr__ = stream(2, "w", "backslashreplace") if 2 in chosen else None


def stream(number: int, mode: str, errors: str) -> TextIO:
    """A standard stream, as Python makes it when it starts."""
    encoding, _, wish = os.environ.get("PYTHONIOENCODING", "").partition(":")
    made = open(  # noqa: SIM115
        number,
        mode,
        buffering=1 if mode == "w" and (number == 2 or os.isatty(number)) else -1,
        encoding=encoding or "utf-8",
        errors=wish or errors,
        closefd=False,
    )
    return cast(TextIO, made)


def run(script: str) -> None:
    """Run a script as Python does.

    It does not take the modules apart after that, which for all that the server has imported takes as long as a short
    command. Whatever is not as usual at the end is left to Python.
    """
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        try:
            for stream in filter(None, (sys.stdout, sys.stderr)):
                stream.flush()
        except (OSError, ValueError):
            raise ended from None
        os._exit(ended.code & 0xFF)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        called = wait(listening)
    if called:
        run(sys.argv[0])
