"""The entry point of Dagster for the one pair of databases that the environment names."""

import gc

from pg_migration.orchestration import environment
from pg_migration.orchestration.build import build
from pg_migration.orchestration.location.code_location import load

defs = build(load(environment.pair()))
gc.freeze()  # it stays, and is large where there are many tables
