"""A schema that lies in wait, and casts that do: see hostile.sql and hostile_casts.sql."""

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pg_migration
from pg_migration_tests.conftest import PostgresServer

WORD = re.compile(r"\b[a-z_][a-z0-9_]*\b")
PACKAGE = Path(pg_migration.__file__).parent


def words(*folders: Path) -> list[str]:
    """Every word of some folders of the package, and so every name that a statement of theirs may hold."""
    found = (p for folder in folders for p in folder.rglob("*.*") if p.suffix in (".py", ".sql"))
    return sorted({w for p in found for w in WORD.findall(p.read_text(encoding="utf-8"))})


WORDS = words(PACKAGE)


def lay_traps(server: PostgresServer, url: str, schema: str, names: Sequence[str] = WORDS) -> None:
    """Fill a schema with traps; it is made if it is not there."""
    server.psql(url, _text("hostile.sql"), "-v", f"schema={schema}", "-v", f"words={' '.join(names)}")


def lay_cast_traps(server: PostgresServer, url: str) -> None:
    """Fill a database with casts that are traps."""
    server.psql(url, _text("hostile_casts.sql"))


def _text(name: str) -> str:
    return files("pg_migration_tests").joinpath(name).read_text(encoding="utf-8")
