"""Projects of Dagster that hold pairs as components."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster.components.core.component_tree import ComponentTree

from pg_migration.orchestration.location import known_pairs

DEFINITIONS = """
from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
SHOP_AND_CRM = """type: pg_migration.MigrationComponent
attributes:
  name: shop
  source: SHOP_OLD_URL
  target: SHOP_NEW_URL
  source_schemas: [public, sales]
  target_schemas: [public, archive]
  defaults: {workers: 4, check_content: false}
  schedule: {migrate: "0 2 * * *"}
  owners: [dba@example.org]
---
type: pg_migration.MigrationComponent
attributes: {name: crm, source: CRM_OLD_URL, target: CRM_NEW_URL}
"""
MODULE = "moves"


def make_project(folder: Path, *documents: str) -> Path:
    """A project with a file of documents each; its folder."""
    (folder / "pyproject.toml").write_text(
        f'[tool.dg]\ndirectory_type = "project"\n\n[tool.dg.project]\nroot_module = "{MODULE}"\n'
    )
    (folder / MODULE / "defs").mkdir(parents=True)
    for package in (MODULE, f"{MODULE}/defs"):
        (folder / package / "__init__.py").touch()
    (folder / MODULE / "definitions.py").write_text(DEFINITIONS)
    for number, text in enumerate(documents):
        place = folder / MODULE / "defs" / f"pairs_{number}"
        place.mkdir()
        (place / "defs.yaml").write_text(text)
    return folder


def forget_all() -> None:
    """Know no pair, as a process does that loads the code location again."""
    known_pairs._known.clear()


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let a project's modules be imported in this process, and forget them and its pairs afterwards."""
    forget_all()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == MODULE]:
            del sys.modules[name]
        forget_all()


def load_project(folder: Path) -> dg.Definitions:
    """The definitions, as every process of Dagster's loads them."""
    return ComponentTree.for_project(folder).build_defs()
