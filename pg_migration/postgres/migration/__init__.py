"""The use cases: what a user wants done with two databases. They need neither Dagster nor environment variables."""

from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.migration.use_cases import (
    Result,
    compare,
    migrate,
    plan,
    preflight,
    repair,
    swap_back,
    validate,
)

__all__ = [
    "Migration",
    "Options",
    "Result",
    "compare",
    "migrate",
    "plan",
    "preflight",
    "repair",
    "swap_back",
    "validate",
]
