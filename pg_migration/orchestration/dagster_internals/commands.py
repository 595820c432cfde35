"""Of Dagster's own commands."""

import dagster as dg
from dagster._cli.utils import get_possibly_temporary_instance_for_cli
from dagster._core.instance import InstanceRef

__all__ = ["InstanceRef", "get_possibly_temporary_instance_for_cli", "without_telemetry"]


def without_telemetry(instance: dg.DagsterInstance) -> None:
    """Count nothing on Dagster's behalf, unless the instance's dagster.yaml says so.

    Dagster's own commands count how they are used in the user's home, and fail where that can't be written.
    """
    if not instance.get_settings("telemetry"):
        instance._settings = {**(instance._settings or {}), "telemetry": {"enabled": False}}
