"""The console scripts of this environment, without the seconds that each of them spends on imports.

A server imports what they import, when it is first called. It forks for each command, and the child runs the script as
Python would: with the caller's arguments, environment, folder and streams. A folder holds programs of the same names,
which hand over what they were called with, pass on signals, and end as the child ended. Beside them is
a Python which does the same for its module `dagster`. A test of what the start itself does takes the scripts.
"""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SCRIPTS = Path(sys.executable).parent
NAMES = ("dagster", "dagster-daemon", "pg_migration")
PYTHON = "python"
OURS = Path(__file__).parent


def called(folder: Path, name: str | Path) -> str:
    """How a shell calls a script of ours, or one in any file, by way of the server."""
    return shlex.join(map(str, [sys.executable, "-I", "-S", OURS / "client.py", folder / "socket", SCRIPTS / name]))


def put(file: Path, command: str) -> None:
    file.write_text(f"#!/bin/sh\n{command}\n")
    file.chmod(0o755)


def forking(folder: Path) -> Iterator[Path]:
    """Put the programs into an empty folder; they work for as long as this iterates."""
    for name in NAMES:
        put(folder / name, f'exec {called(folder, name)} "$@"')
    as_module = f'case "$1 $2" in "-m dagster") shift 2; exec {called(folder, "dagster")} "$@";; esac'
    put(folder / PYTHON, f'{as_module}\nexec {shlex.quote(sys.executable)} "$@"')
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG_MIGRATION_", "DAGSTER_"))}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        listening.listen()
        server = subprocess.Popen(
            [sys.executable, OURS / "server.py", str(listening.fileno())],
            cwd=folder,  # with no .env in it
            env={**kept, "PYTHONPATH": str(OURS.parents[1])},
            stdin=subprocess.PIPE,
            pass_fds=[listening.fileno()],
        )
    yield folder
    server.communicate()
    assert server.returncode == 0
