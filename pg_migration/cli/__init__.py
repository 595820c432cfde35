"""The command ``pg_migration``: the jobs, and what they left behind, for people and scripts in a terminal."""

import gc
import sys
from importlib.machinery import PathFinder
from importlib.util import LazyLoader, module_from_spec

from pg_migration.cli.stopped import NOT_BEGUN, STOPPED


def main() -> None:
    """The program ``pg_migration``. What it imports takes a moment, in which a person may already stop it."""
    gc.disable()  # what is imported stays; it is not looked through for what can go until a run begins
    _import_when_used("structlog")
    try:
        from pg_migration.cli.commands import main as program
    except KeyboardInterrupt:
        sys.stderr.write(f"{NOT_BEGUN}\n")
        sys.exit(STOPPED)
    program()


def _import_when_used(name: str) -> None:
    """Put off a package that Dagster imports, for its daemon, wherever its records are opened."""
    found = PathFinder.find_spec(name)
    if found is not None and found.loader is not None and name not in sys.modules:
        found.loader = LazyLoader(found.loader)
        module = module_from_spec(found)
        sys.modules[name] = module
        found.loader.exec_module(module)
