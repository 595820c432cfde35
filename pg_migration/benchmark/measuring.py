"""Run a program and measure what it cost its own machine."""

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """Wall seconds; CPU seconds of the program and all it started; peak memory in bytes of the largest of these."""

    wall: float
    cpu: float
    memory: int


class Failed(Exception):
    """A measured program ended with an error; the message is the end of what it said."""


def measure(command: str, environment: Mapping[str, str], log: Path) -> Cost:
    """Run a shell command; its output goes to a file. POSIX only.

    Raises:
        Failed: its exit status was not 0.
    """
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
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
