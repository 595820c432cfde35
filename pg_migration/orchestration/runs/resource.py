"""Resources ``source``, ``target`` and ``migration``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import dagster as dg
from dagster import get_dagster_logger
from pydantic import create_model

from pg_migration.orchestration import load_events
from pg_migration.orchestration.location.names import MIGRATE, PREFLIGHT
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.pair import Pair
from pg_migration.orchestration.reports.write import file_report
from pg_migration.orchestration.run_tags import SNAPSHOT_OF, label
from pg_migration.orchestration.runs.end import at_end
from pg_migration.orchestration.runs.failures import show_stacks
from pg_migration.orchestration.storage.stock import write_through_ours
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.migration.run import MigrationRun


def database(pair: Pair, side: Side) -> dg.ResourceDefinition:
    """One end of the migration, for the page of resources in the UI: its URL stays in the environment."""
    told = (
        f"The {side.value} database, whose URL is in the environment variable {pair.variable(side)}. Nothing is "
        f"configured here."
    )
    return dg.ResourceDefinition.none_resource(description=told)


class MigrationResource(dg.ConfigurableResource[MigrationRun], Options):
    """How the migration runs: the library's options, by the same names.

    Of a pair it is a class of its own, as `resource_of` makes it.
    """

    relations: ClassVar[Relations]

    def options(self) -> Options:
        """The configuration, as the run takes it."""
        return Options(**{name: getattr(self, name) for name in Options.model_fields})

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[MigrationRun]:
        """One `MigrationRun` for all steps of a run; it is closed when the run ends, however it ends."""
        started = context.run
        owner = started.tags.get(SNAPSHOT_OF) if started else None
        options = self.options()
        run_id = started.run_id if started else "no run"
        pair = self.relations.pair
        run = MigrationRun(run_id, options, lambda: pair.migration(options), owner, _makes_everything(pair, started))
        run.log = context.log or get_dagster_logger()
        run.listeners.append(load_events.emit)
        if started is not None and context.instance is not None:
            if not started.is_finished:
                write_through_ours(context.instance, started.run_id)
            label(context.instance, started)
        try:
            yield run
        finally:
            show_stacks()
            _report(context, run, self.relations)
            run.close()
            if context.run is not None and context.instance is not None:
                log = (context.log or get_dagster_logger()).warning
                at_end(run, self.relations.pair, context.run, context.instance, log)


def _makes_everything(pair: Pair, run: dg.DagsterRun | None) -> bool:
    """Whether a run migrates everything, or looks ahead at that."""
    return run is not None and run.job_name in (pair.named(MIGRATE), pair.named(PREFLIGHT)) and not run.asset_selection


def resource_of(relations: Relations) -> MigrationResource:
    """The resource of a pair.

    Its values are the defaults of a class that is made for it. Dagster makes the resource anew from its class when run
    configuration sets one field: what an object had been given for the others would then be lost.
    """
    options = relations.pair.options
    fields = {name: getattr(options, name) for name in relations.pair.defaults}
    known = MigrationResource.model_fields
    made = create_model(
        MigrationResource.__name__,
        __base__=MigrationResource,
        __module__=MigrationResource.__module__,
        __doc__=MigrationResource.__doc__,
        **cast(
            Any, {n: (known[n].annotation, known[n].merge_field_infos(known[n], default=v)) for n, v in fields.items()}
        ),
    )
    made.relations = relations
    return made()


Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext | dg.OpExecutionContext


def migration_of(context: Context, pair: Pair) -> MigrationRun:
    """The run that the steps of a job share; the step has to require the resource `Pair.resource`."""
    step = context.op_execution_context if isinstance(context, dg.AssetCheckExecutionContext) else context
    return cast(MigrationRun, getattr(step.resources, pair.resource))


def _report(context: dg.InitResourceContext, migration: MigrationRun, relations: Relations) -> None:
    """Leave the report of a run that has no summary to do it, or did not get there.

    A run that copies ranges for another one is part of that one's.
    """
    if migration.reported or migration.owner is not None or context.run is None or context.instance is None:
        return
    # `dagster job execute` makes the resources once more when the run has ended, to read its outputs with.
    if context.instance.get_run_by_id(context.run.run_id).is_finished:  # type: ignore[union-attr]
        return
    noted = len(migration.outcomes.notes)
    file_report(context.instance, migration, relations)
    for note in migration.outcomes.notes[noted:]:
        context.log.warning(note)  # type: ignore[union-attr]
