"""Resources ``source``, ``target`` and ``migration``."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster import get_dagster_logger

from pg_migration.orchestration import environment, load_events
from pg_migration.orchestration.location import code_location
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.reports.write import file_report
from pg_migration.orchestration.run_tags import SNAPSHOT_OF, label
from pg_migration.orchestration.runs.end import at_end
from pg_migration.orchestration.runs.failures import show_stacks
from pg_migration.orchestration.storage.stock import write_through_ours
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.migration.options import Options
from pg_migration.postgres.migration.run import MigrationRun


def database(side: Side, variable: str) -> dg.ResourceDefinition:
    """One end of the migration, for the page of resources in the UI: its URL stays in the environment."""
    told = (
        f"The {side.value} database, whose URL is in the environment variable {variable}. Nothing is configured here."
    )
    return dg.ResourceDefinition.none_resource(description=told)


class MigrationResource(dg.ConfigurableResource[MigrationRun], Options):
    """How the migration runs: the library's options, by the same names."""

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
        run = MigrationRun(run_id, options, lambda: environment.migration(options), owner)
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
            _report(context, run)
            run.close()
            if context.run is not None and context.instance is not None:
                at_end(run, context.run, context.instance, (context.log or get_dagster_logger()).warning)


def _report(context: dg.InitResourceContext, migration: MigrationRun) -> None:
    """Leave the report of a run that has no summary to do it, or did not get there.

    A run that copies ranges for another one is part of that one's.
    """
    if migration.reported or migration.owner is not None or context.run is None or context.instance is None:
        return
    # `dagster job execute` makes the resources once more when the run has ended, to read its outputs with.
    if context.instance.get_run_by_id(context.run.run_id).is_finished:  # type: ignore[union-attr]
        return
    noted = len(migration.outcomes.notes)
    file_report(context.instance, migration, Relations(code_location.load()))
    for note in migration.outcomes.notes[noted:]:
        context.log.warning(note)  # type: ignore[union-attr]
