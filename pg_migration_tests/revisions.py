"""The revisions of Dagster's storage, read once in a process instead of anew for each instance, as runs of ours do."""

from pg_migration.orchestration.dagster_internals.storing import read_revisions_once as remember

__all__ = ["remember"]
