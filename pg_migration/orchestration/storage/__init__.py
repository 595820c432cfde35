"""Where Dagster keeps its records. A dagster.yaml names `DeploymentStorage` by the path of this package."""

from pg_migration.orchestration.storage.deployment import DeploymentStorage

__all__ = ["DeploymentStorage"]
