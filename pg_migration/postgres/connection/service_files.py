"""Connection service files, read as libpq reads them (PostgreSQL docs: "The Connection Service File").

libpq tells what a service stands for only once it is connected. Whoever names a database before that, or one whose
server is down, has to look into the files himself.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

FILE_NAME = "pg_service.conf"


def from_service(name: str) -> Mapping[str, str]:
    """The parameters that a service stands for.

    Empty where no file that is known here has it: libpq also looks in a folder that it was built with, and says itself
    when it finds none.
    """
    for path in _files():
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        if (found := _section(lines, name)) is not None:
            return found
    return {}


def _files() -> Iterator[Path]:
    if chosen := os.environ.get("PGSERVICEFILE"):
        yield Path(chosen)
    elif home := os.environ.get("HOME"):
        yield Path(home) / f".{FILE_NAME}"
    if folder := os.environ.get("PGSYSCONFDIR"):
        yield Path(folder) / FILE_NAME


def _section(lines: list[str], name: str) -> Mapping[str, str] | None:
    """The first section of this name; of a parameter that is repeated, the first value."""
    found: dict[str, str] | None = None
    for line in map(str.strip, lines):
        if line.startswith("["):
            if found is not None:
                return found
            if line.startswith(f"[{name}]"):
                found = {}
        elif found is not None and line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, value)
    return found
