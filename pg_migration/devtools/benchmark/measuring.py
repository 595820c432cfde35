"""Run a program and measure what it cost its own machine."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

SECONDS_TO_END = 10


@dataclass(frozen=True)
class Cost:
    """What one run of a program cost.

    Args:
        wall: seconds.
        cpu: seconds of the program and all it started.
        servers: CPU seconds of each server that it used meanwhile. The sum of all does not depend on what else the
            machine does, as wall time does.
        memory: bytes, the peak of the largest process.
    """

    wall: float
    cpu: float
    servers: tuple[float, ...]
    memory: int

    @property
    def all_cpu(self) -> float:
        """CPU seconds of everything."""
        return self.cpu + sum(self.servers)


class Failed(Exception):
    """A measured program ended with an error; the message is the end of what it said."""


def measure(command: str, environment: Mapping[str, str], log: Path, servers: Sequence[int] = ()) -> Cost:
    """Run a shell command; its output goes to a file. POSIX only.

    Args:
        servers: process ids of the servers that it uses.

    Raises:
        Failed: its exit status was not 0.
    """
    before = [_Server.now(server) for server in servers]
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            ["/bin/bash", "-o", "pipefail", "-c", command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{command}\nended with {process.returncode}:\n{log.read_text(errors='replace')[-2000:]}")
    used = tuple(server.used_since() for server in before)
    return Cost(wall, usage.ru_utime + usage.ru_stime, used, usage.ru_maxrss * 1024)


@dataclass(frozen=True)
class _Server:
    """A server at one moment: its process, what of it was running, and the CPU seconds it had used by then."""

    process: psutil.Process
    children: frozenset[int]
    seconds: float

    @classmethod
    def now(cls, pid: int) -> "_Server":
        process = psutil.Process(pid)
        return cls(process, frozenset(child.pid for child in process.children()), _used(process))

    def used_since(self) -> float:
        """CPU seconds since then.

        What a session used is in nobody's account for a moment while it ends, which it does a little after its client.
        """
        deadline = time.monotonic() + SECONDS_TO_END
        while {child.pid for child in self.process.children()} - self.children and time.monotonic() < deadline:
            time.sleep(0.01)
        return _used(self.process) - self.seconds


def _used(process: psutil.Process) -> float:
    """CPU seconds of a process, of its children and of those that have ended."""
    seconds: float = sum(process.cpu_times()[:4])
    for child in process.children():
        with suppress(psutil.NoSuchProcess):
            seconds += sum(child.cpu_times()[:2])
    return seconds
