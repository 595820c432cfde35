"""How the steps of runs are executed where pairs are guests: theirs in one process, a host's own as Dagster does it."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from pg_migration.orchestration.location.known_pairs import known_pairs

# What a code location has that names no executor.
USUAL = dg.multi_or_in_process_executor


class _Chosen(dg.Executor):
    """Decides when it sees the run: all of a migration has one snapshot, which lives in one process."""

    def __init__(self, usual: dg.Executor, alone: dg.Executor) -> None:
        self._usual, self._alone = usual, alone

    @property
    def retries(self) -> Any:
        """As Dagster has them."""
        return self._usual.retries

    @property
    def step_dependency_config(self) -> Any:
        """As Dagster has it."""
        return self._usual.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Execute the steps."""
        run = plan_context.dagster_run
        chosen = self._alone if any(known.has_run(run) for known in known_pairs()) else self._usual
        yield from chosen.execute(plan_context, execution_plan)


def _create(context: dg.InitExecutorContext) -> dg.Executor:
    usual, alone = USUAL.executor_creation_fn, dg.in_process_executor.executor_creation_fn
    assert usual is not None
    assert alone is not None
    own = dg.InitExecutorContext(context.job, dg.in_process_executor, {"retries": {"enabled": {}}}, context.instance)
    return _Chosen(usual(context), alone(own))


# The executor that Dagster has where none is named, with its configuration; but one process for runs with assets of a
# pair. The same object for every pair: a location has one executor.
usual_or_one_process = dg.ExecutorDefinition(
    name="usual_or_one_process",
    config_schema=USUAL.config_schema,  # type: ignore[arg-type]  # which takes what it has made of it, too
    requirements=USUAL.get_requirements,
    executor_creation_fn=_create,
)
