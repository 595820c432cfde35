"""Keeping a target in step with its source after the copy, by PostgreSQL's own logical replication."""
