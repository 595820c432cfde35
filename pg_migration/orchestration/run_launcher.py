"""How a deployment starts runs: as processes of the code location that are missed when they die."""

import time
from typing import Any

from dagster import DagsterRun, DefaultRunLauncher

from pg_migration.orchestration.dagster_internals.launching import CheckRunHealthResult, WorkerStatus
from pg_migration.orchestration.storage.event_log import HOLDS_LOCK_TAG, LockingEventLog

# A process may be about to take its lock again, on a new connection.
FREE_FOR_SECONDS = 14.0


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, named in dagster.yaml, which also knows whether the process of a run lives.

    Without that, a run whose process died together with its code location, as when a container is restarted, stays
    "started" for ever, and all others for the same target wait for it. Dagster's monitoring of runs asks, and marks the
    run as failed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._free_since: dict[str, float] = {}

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes, where the storage has locks of runs; `check_run_worker_health` answers for others too."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run that has begun lives: RUNNING or FAILED; RUNNING, too, where nobody can tell."""
        events = self._instance.event_log_storage
        if HOLDS_LOCK_TAG not in run.tags or not isinstance(events, LockingEventLog):
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its process holds no lock that could tell")
        if events.run_locks.is_held(run.run_id):
            self._free_since.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        now = time.monotonic()
        if now - self._free_since.setdefault(run.run_id, now) < FREE_FOR_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its process can't be seen; it may be back soon")
        del self._free_since[run.run_id]
        return CheckRunHealthResult(WorkerStatus.FAILED, "the process of the run is gone, maybe with its container")
