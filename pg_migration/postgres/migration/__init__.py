"""The use cases: what a user wants done with two databases. They need neither Dagster nor environment variables."""

from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.live.moved import CutoverOptions
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.migration.use_cases import (
    Result,
    abandon,
    adopt_new_tables,
    compare,
    cutover,
    end_way_back,
    go_back,
    migrate,
    old_source_silent,
    plan,
    preflight,
    rehearse,
    release,
    repair,
    swap_back,
    validate,
)

__all__ = [
    "CutoverOptions",
    "Migration",
    "Options",
    "Result",
    "abandon",
    "adopt_new_tables",
    "compare",
    "cutover",
    "end_way_back",
    "go_back",
    "migrate",
    "old_source_silent",
    "plan",
    "preflight",
    "rehearse",
    "release",
    "repair",
    "swap_back",
    "validate",
]
