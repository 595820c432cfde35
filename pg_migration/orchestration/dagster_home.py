"""A folder for Dagster's records (DAGSTER_HOME) with the project's own storage."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

FILE = "dagster.yaml"


def settings(home: Path) -> dict[str, Any]:
    """What the dagster.yaml of a home says. The records lie where Dagster's own storage would have them there."""
    found: dict[str, Any] = yaml.safe_load(
        files("pg_migration.orchestration").joinpath("dagster_home.yaml").read_text(encoding="utf-8")
    )
    found["storage"]["custom"]["config"] = {"base_dir": str(home)}
    return found


def prepare(home: Path) -> Path:
    """Make a home where there is none. One that has a dagster.yaml is left as it is.

    Raises:
        OSError: when it can't be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    if not (home / FILE).exists():
        (home / FILE).write_text(yaml.safe_dump(settings(home), sort_keys=False), encoding="utf-8")
    return home
