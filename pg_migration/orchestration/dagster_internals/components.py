"""Of components."""

from dagster._utils.env import using_dagster_dev

__all__ = ["using_dagster_dev"]
