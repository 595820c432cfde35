"""What we use of Dagster beyond its public API (``import dagster``), imported here and nowhere else.

Four modules, since not every process needs what is slow to import. For each name
pg_migration_tests/orchestration/test_dagster_internals.py says what it is for, and what to do when it changes.
"""
