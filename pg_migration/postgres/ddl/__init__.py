"""Bring a target's structure in line with a source's: decide what to do, then do it."""

from pg_migration.postgres.ddl.attainable import attainable
from pg_migration.postgres.ddl.changes.apply import Outcome, apply
from pg_migration.postgres.ddl.changes.restore import bring_back
from pg_migration.postgres.ddl.changes.roles import acted_for, create_roles, missing_roles
from pg_migration.postgres.ddl.reconciliation.alter import half_altered
from pg_migration.postgres.ddl.reconciliation.diff import Difference, differences
from pg_migration.postgres.ddl.reconciliation.permissions import Judge, Obstacle, within_reach
from pg_migration.postgres.ddl.reconciliation.reconcile import Reconciliation, missing, reconcile
from pg_migration.postgres.ddl.reconciliation.surplus import Surplus, Verdict
from pg_migration.postgres.ddl.reconciliation.version_features import unsupported
from pg_migration.postgres.ledger.brought_objects import brought_tables, note_all_brought, note_brought
from pg_migration.postgres.ledger.equivalences import remember

__all__ = [
    "Difference",
    "Judge",
    "Obstacle",
    "Outcome",
    "Reconciliation",
    "Surplus",
    "Verdict",
    "acted_for",
    "apply",
    "attainable",
    "bring_back",
    "brought_tables",
    "create_roles",
    "differences",
    "half_altered",
    "missing",
    "missing_roles",
    "note_all_brought",
    "note_brought",
    "reconcile",
    "remember",
    "unsupported",
    "within_reach",
]
