"""Write a Dagster project whose components are pairs: one for a database, or one for each of a server."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pg_migration.orchestration.env_file import FILE as ENV_FILE
from pg_migration.orchestration.env_file import read_env_file
from pg_migration.orchestration.pair_names import pair_names, variables_of
from pg_migration.postgres.connection.endpoint import Endpoint
from pg_migration.postgres.errors import ConfigurationError

MODULE = "moves"
TYPE = "pg_migration.MigrationComponent"

_PYPROJECT = f"""[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{MODULE}"

# For `dagster dev`.
[tool.dagster]
module_name = "{MODULE}.definitions"
"""
_DEFINITIONS = """from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
_IGNORED = f"{ENV_FILE}\n.local_defs_state/\n__pycache__/\n"
_BEGIN = """# The pairs of databases: what each attribute means is in docs/recipes/many_databases.md of pg_migration.
# `pg_migration prepare --all` makes what the targets lack, `pg_migration preflight --all` looks whether all can go
# ahead, `pg_migration run --all` does all of it.
"""


@dataclass(frozen=True)
class Written:
    """What was written: a file with the pairs, one with their URLs, and the names of pairs by those of databases."""

    pairs_file: Path
    env_file: Path
    names: Mapping[str, str]


def write_project(folder: Path, source: Endpoint, target: Endpoint, databases: Sequence[str]) -> Written:
    """Write a project for some databases that both servers call by the same name.

    URLs, which may hold passwords, are written into the file ``.env``, which its owner alone may read.

    Raises:
        ConfigurationError: a file is there already; none was written then.
        OSError: one can't be written.
    """
    names = pair_names(databases)
    pairs = folder / MODULE / "defs" / "databases" / "defs.yaml"
    texts = {
        folder / "pyproject.toml": _PYPROJECT,
        folder / MODULE / "__init__.py": "",
        folder / MODULE / "definitions.py": _DEFINITIONS,
        folder / MODULE / "defs" / "__init__.py": "",
        pairs: _BEGIN + "---\n".join(map(_document, names.values())),
    }
    if there := [str(path.relative_to(folder)) for path in (*texts, folder / "dg.toml") if path.exists()]:
        raise ConfigurationError(f"{folder} has {', '.join(there)} already: begin in a folder without a project")
    urls: dict[str, str] = {}
    for database, name in names.items():
        for variable, end in zip(variables_of(name), (source, target), strict=True):
            urls[variable] = end.at(database).uri
    known = read_env_file(folder)
    if taken := sorted(urls.keys() & known.keys()):
        raise ConfigurationError(f"{folder / ENV_FILE} sets {', '.join(taken)} already: remove it, or begin elsewhere")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text(_IGNORED, encoding="utf-8")
    _add_secrets(folder / ENV_FILE, urls)
    return Written(pairs, folder / ENV_FILE, names)


def _document(name: str) -> str:
    source, target = variables_of(name)
    attributes = {
        "name": name,
        "source": source,
        "target": target,
        "source_schemas": "*",
        "bring_roles": True,
        "create_database": True,
    }
    return yaml.safe_dump({"type": TYPE, "attributes": attributes}, sort_keys=False)


def _add_secrets(path: Path, values: Mapping[str, str]) -> None:
    """Add variables to a file that nobody else can read from then on."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(file, "r+", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o600)
        before = stream.read()
        begin = "\n" if before and not before.endswith("\n") else ""
        stream.write(begin + "".join(f"{name}={value}\n" for name, value in values.items()))
