"""Of Dagster's own commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import dagster as dg
from dagster._core.execution import api
from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.instance import InstanceRef
from dagster._core.storage import local_compute_log_manager
from dagster._utils import ensure_file
from dagster_shared.check import CheckError

__all__ = ["InstanceRef", "count_without_failing", "without_mirrors", "without_telemetry"]


def without_telemetry(instance: dg.DagsterInstance) -> None:
    """Count nothing on Dagster's behalf, unless the instance's dagster.yaml says so.

    Dagster's own commands count how they are used in the user's home, and fail where that can't be written.
    """
    if not instance.get_settings("telemetry"):
        instance._settings = {**(instance._settings or {}), "telemetry": {"enabled": False}}


@contextmanager
def without_mirrors() -> Iterator[None]:
    """Let Dagster capture what steps print, and show it nowhere else.

    It shows that by four processes a step, which cost a run more than most tables do, and of which two print a stack
    when somebody presses Ctrl-C.
    """
    name = "mirror_stream_to_file"
    mirror = getattr(local_compute_log_manager, name)
    setattr(local_compute_log_manager, name, _capture)
    try:
        yield
    finally:
        setattr(local_compute_log_manager, name, mirror)


@contextmanager
def _capture(stream: TextIO, path: str) -> Iterator[None]:
    ensure_file(path)
    with redirect_to_file(stream, path):
        yield


LOG = "log_repo_stats"
_count = getattr(api, LOG)


def count_without_failing() -> None:
    """From now on let a run in this process begin also where Dagster's usage statistics can't be made.

    They ask every definition for the partitions that its assets have in common, which raises an error where there are
    none: as with tables, which are one step. Every job would fail on an instance that has not switched them off.
    """
    setattr(api, LOG, _counted_if_possible)


def _counted_if_possible(*arguments: Any, **named: Any) -> None:
    try:
        _count(*arguments, **named)
    except CheckError:
        return
