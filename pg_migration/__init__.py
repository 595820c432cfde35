"""Moves PostgreSQL databases into others, and proves that the copies are right.

What is named here is for projects of yours: a pair of databases, its definitions in Dagster, the same as a component of
`dg`, and what stands in its way. Nothing is imported until it is used, as Dagster takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pg_migration.orchestration.build import build_migration
    from pg_migration.orchestration.component import MigrationComponent
    from pg_migration.orchestration.look_ahead import preflight
    from pg_migration.orchestration.pair import Pair

__all__ = ["MigrationComponent", "Pair", "build_migration", "preflight"]

_PLACES = {
    "MigrationComponent": "pg_migration.orchestration.component",
    "Pair": "pg_migration.orchestration.pair",
    "build_migration": "pg_migration.orchestration.build",
    "preflight": "pg_migration.orchestration.look_ahead",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
