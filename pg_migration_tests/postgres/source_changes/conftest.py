"""The pair of databases that comparisons are tested on."""

from pg_migration_tests.postgres.verification.conftest import databases, pair

__all__ = ["databases", "pair"]
