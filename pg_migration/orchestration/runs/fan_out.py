"""One migration spread over several runs: one owns it, others copy ranges of its large tables.

How they share a snapshot is told in postgres/transfer/sharing.py. The owner launches the others through the instance's
queue, so they run where the run launcher puts them. Each is a run of one table and some of its partitions. A tag tells
it whose snapshot to read.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import dagster as dg

from pg_migration.orchestration.dagster_internals.running import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    ExecutionPlanSnapshot,
    JobPythonOrigin,
    RemoteJobOrigin,
    create_execution_plan,
    snapshot_from_execution_plan,
)
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.run_tags import SNAPSHOT_OF
from pg_migration.postgres.catalog import TableName
from pg_migration.postgres.errors import ConfigurationError, MigrationError
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration.postgres.transfer.events import WorkDone
from pg_migration.postgres.transfer.sharing import borrowers_alive, divide, work_of

POLL_SECONDS = 0.5
# After this long nothing is expected any more of runs that stay in the queue, or that have no session in the target.
MAX_QUEUED_SECONDS = 600.0
MAX_SILENT_SECONDS = 120.0

WAITING = {dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED}


def check_queue(context: dg.AssetExecutionContext) -> None:
    """Make sure that this run can launch others.

    Raises:
        ConfigurationError: it can't, and why.
    """
    if context.run.remote_job_origin is None:
        raise ConfigurationError(
            "spread_over launches further runs, which needs a run of a deployment: start it in the UI, with a schedule "
            "or with 'dagster job launch', where a daemon runs, and not with 'dagster job execute'"
        )
    queue = context.instance.get_concurrency_config().run_queue_config
    if queue is None or 0 <= queue.max_concurrent_runs < 2:
        raise ConfigurationError(
            "spread_over launches further runs through the instance's queue: dagster.yaml has to have the "
            "QueuedRunCoordinator, with at least two concurrent runs"
        )


def runs_at_once(context: dg.AssetExecutionContext, wanted: int) -> int:
    """As many further runs as wanted and as the queue lets run beside this one."""
    queue = context.instance.get_concurrency_config().run_queue_config
    limit = queue.max_concurrent_runs if queue else 0
    return wanted if limit < 0 else min(wanted, limit - 1)


@dataclass(frozen=True)
class _Share:
    plan: TablePlan
    asset: dg.AssetKey
    first: str
    last: str

    def __str__(self) -> str:
        return f"{self.first} to {self.last} of {self.asset.to_user_string()}"


@dataclass
class _Borrower:
    share: _Share
    status: dg.DagsterRunStatus
    since: float
    """When it was last known to be in good order."""


class Spread:
    """The shares of some tables and the runs that copy them.

    Args:
        order: of each table, by source name, its range keys in the order of its partitions.
        runs: how many at once.
        workers: of each run.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        migration: MigrationRun,
        pair: Pair,
        assets: Mapping[TableName, dg.AssetKey],
        plans: Sequence[TablePlan],
        order: Mapping[TableName, Sequence[str]],
        runs: int,
        workers: int,
    ) -> None:
        self._context = context
        self._migration = migration
        self._resource = pair.resource
        self._runs = runs
        self._workers = workers
        self._left = deque(
            _Share(plan, assets[plan.name], keys[0], keys[-1])
            for plan in plans
            for keys in divide(_in_order(plan, order[plan.name]), runs)
        )
        self._borrowers: dict[str, _Borrower] = {}
        self._running: set[str] = set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Launch the first runs; cancel those that still run when the block is left."""
        try:
            self._launch()
            yield
        finally:
            for run in self._running:
                self._context.instance.run_coordinator.cancel_run(run)

    def work(self) -> list[WorkDone]:
        """What the runs have copied until now."""
        target, owner = self._migration.sides.target_connection, self._context.run.run_id
        return self._migration.call(lambda: work_of(target, owner, self._borrowers, self._workers))

    def finish(self) -> list[str]:
        """Wait until every share was copied; what each run did, for the summary.

        Raises:
            MigrationError: as soon as one of the runs failed.
        """
        begun = time.monotonic()
        for borrower in self._borrowers.values():
            borrower.since = begun
        while self._running:
            self._migration.call(self._migration.sides.check_held)
            self._look()
            self._launch()
            time.sleep(POLL_SECONDS)
        return [f"{borrower.share} was copied by run {run}" for run, borrower in self._borrowers.items()]

    def _launch(self) -> None:
        while self._left and len(self._running) < self._runs:
            share = self._left.popleft()
            run = self._submit(share)
            self._borrowers[run] = _Borrower(share, dg.DagsterRunStatus.QUEUED, time.monotonic())
            self._running.add(run)
            self._context.log.info(f"run {run} copies {share}")

    def _submit(self, share: _Share) -> str:
        context, owner = self._context, self._context.run
        assert owner.remote_job_origin is not None, "check_queue() has looked"
        config, tags = self._config(), self._tags(share)
        # Without the table's checks, which speak of all of its rows: the owner makes them.
        selected: frozenset[dg.AssetKey] = frozenset({share.asset})
        unchecked: frozenset[dg.AssetCheckKey] = frozenset()
        whole = context.repository_def.get_implicit_global_asset_job_def()
        job = whole.get_subset(asset_selection=selected, asset_check_selection=unchecked)
        steps = create_execution_plan(job, run_config=config, instance_ref=context.instance.get_ref(), tags=tags)
        code = owner.job_code_origin
        run = context.instance.create_run(
            job_name=job.name,
            run_id=None,
            run_config=config,
            status=dg.DagsterRunStatus.NOT_STARTED,
            tags=tags,
            root_run_id=None,
            parent_run_id=None,
            step_keys_to_execute=steps.step_keys_to_execute,
            execution_plan_snapshot=_without_pools(snapshot_from_execution_plan(steps, job.get_job_snapshot_id())),
            job_snapshot=job.get_job_snapshot(),
            parent_job_snapshot=job.get_parent_job_snapshot(),
            asset_selection=selected,
            asset_check_selection=unchecked,
            resolved_op_selection=None,
            op_selection=None,
            remote_job_origin=RemoteJobOrigin(owner.remote_job_origin.repository_origin, job.name),
            job_code_origin=code and JobPythonOrigin(job.name, code.repository_origin),
            asset_graph=job.asset_layer.asset_graph,
        )
        # The queue only writes the run down. The daemon, which launches it, has a workspace of its own.
        context.instance.submit_run(run.run_id, cast(Any, None))
        return str(run.run_id)

    def _tags(self, share: _Share) -> Mapping[str, str]:
        return {
            SNAPSHOT_OF: self._context.run.run_id,
            ASSET_PARTITION_RANGE_START_TAG: share.first,
            ASSET_PARTITION_RANGE_END_TAG: share.last,
        }

    def _config(self) -> Mapping[str, Any]:
        """The owner's configuration, with this many workers."""
        config = cast(Mapping[str, Any], self._context.run.run_config)
        own = config.get("resources", {}).get(self._resource, {}).get("config", {})
        return {"resources": {self._resource: {"config": {**own, "spread_over": 0, "workers": self._workers}}}}

    def _look(self) -> None:
        now, instance = time.monotonic(), self._context.instance
        alive = self._migration.call(lambda: borrowers_alive(self._migration.sides.target_connection, self._running))
        for run in list(self._running):
            borrower, found = self._borrowers[run], instance.get_run_by_id(run)
            status = found.status if found else dg.DagsterRunStatus.FAILURE
            if status != borrower.status or run in alive:
                borrower.status, borrower.since = status, now
            if status == dg.DagsterRunStatus.SUCCESS:
                self._running.discard(run)
            elif found is None or found.is_finished:
                self._running.discard(run)
                raise MigrationError(f"run {run}, which copied {borrower.share}, failed: {self._reason(run)}")
            elif now - borrower.since > (MAX_QUEUED_SECONDS if status in WAITING else MAX_SILENT_SECONDS):
                raise MigrationError(f"run {run}, which was to copy {borrower.share}, {_silence(status)}")

    def _reason(self, run: str) -> str:
        for record in self._context.instance.all_logs(run, of_type=dg.DagsterEventType.STEP_FAILURE):
            failed = record.dagster_event and record.dagster_event.step_failure_data
            if failed and failed.user_failure_data and failed.user_failure_data.description:
                return str(failed.user_failure_data.description)
        return "its log tells why"


def _without_pools(plan: ExecutionPlanSnapshot) -> ExecutionPlanSnapshot:
    """The same steps, in no pool: they are part of the owner's, which has a place in the pool and waits for them."""
    return plan._replace(steps=[step._replace(pool=None) for step in plan.steps])


def _in_order(plan: TablePlan, order: Sequence[str]) -> Mapping[str, int]:
    chunks = {piece.range.key: len(piece.chunks) for piece in plan.ranges}
    return {key: chunks[key] for key in order}


def _silence(status: dg.DagsterRunStatus) -> str:
    if status in WAITING:
        return (
            f"was not started within {MAX_QUEUED_SECONDS:.0f} s. Is the daemon running, and does max_concurrent_runs "
            f"leave room for it?"
        )
    return f"has had no session in the target for {MAX_SILENT_SECONDS:.0f} s: its process has died"
