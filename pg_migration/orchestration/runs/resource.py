"""Resources ``source``, ``target`` and ``migration``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import dagster as dg
from dagster import get_dagster_logger
from pydantic import BeforeValidator, Field

from pg_migration.orchestration.location import code_location
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.reports.write import file_report
from pg_migration.orchestration.run_tags import SNAPSHOT_OF
from pg_migration.orchestration.runs.end import at_end
from pg_migration.orchestration.runs.failures import show_stacks
from pg_migration.postgres.migration.options import OWNERS, Options, default_workers
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.planning.options import CopyFormat, LoadSettings


class Database(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One end of the migration. The URL stays in the environment, where no page of the UI shows it."""

    url_variable: str = Field(description="Environment variable with the libpq URI or key=value connection string.")
    schema_variable: str = Field(description="Environment variable with the schema, or a comma-separated list.")


def _position(value: object) -> object:
    """A position of a switch; command lines and quoted YAML give it as text."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


class Migration(dg.ConfigurableResource[MigrationRun]):
    """How the migration runs."""

    chunk_size: int = Field(default=100_000, description="Rows that one COPY moves, about.")
    exclude_tables: list[str] = Field(
        default=[], description="Patterns (fnmatch) of tables to leave out, as 'table' or 'schema.table'."
    )
    use_unlogged_tables: bool = Field(
        default=False,
        description="Load into UNLOGGED tables and make them LOGGED afterwards. Usually slower: SET LOGGED writes the "
        "table a second time.",
    )
    drop_existing_tables: bool = Field(
        default=False, description="Drop and recreate tables that exist in the target, instead of keeping and emptying."
    )
    overwrite_existing_rows: bool = Field(
        default=False,
        description="Delete rows of the target that earlier runs did not load from this source. When off, a run that "
        "would empty, drop or replace such rows stops before it changes anything.",
    )
    check_content: bool = Field(
        default=True,
        description="After copying, compare a hash over all rows with the source. Without it only rows are counted, "
        "which takes less time. The job validate always does both.",
    )
    content_sample_percent: float = Field(
        default=100.0,
        description="Of tables with more rows than partition_threshold and a primary key, hash about this share of the "
        "rows only. Both sides choose the same rows, by a hash of the key; the check says that it was a sample.",
    )
    # Dagster has no type for a switch with a third position.
    owners: Annotated[Any, BeforeValidator(_position)] = Field(
        default=True,
        examples=[*OWNERS],
        description="Give every object the owner that it has in the source. true: the run is refused where the role of "
        "the target may not do that, or not grant what others granted. best_effort: such owners, grants and comments "
        "are left out and named in the summary. false: everything belongs to that role.",
    )
    privileges: bool = Field(default=True, description="Grant what the source grants, default privileges included.")
    create_roles: bool = Field(
        default=False,
        description="Create roles that owners, grants and policies name and the target lacks, without login. When off, "
        "the run stops and lists them.",
    )
    partition_threshold: int = Field(
        default=1_000_000, description="Tables with more rows than this are cut into primary key ranges."
    )
    max_partitions: int = Field(default=8, description="Into how many ranges a table is cut.")
    # Not a default_factory: the Launchpad fills in defaults, and leaves out what has none in the definitions.
    workers: int = Field(
        default=default_workers(), description="Connections to each side that copy and build indexes at once."
    )

    spread_over: int = Field(
        default=0,
        ge=0,
        description="How many further runs, launched through the instance's queue, copy the key ranges of large tables "
        "at once, wherever the run launcher starts them. 0: this run copies everything itself.",
    )
    copy_format: CopyFormat = Field(
        default="auto", description="'auto': binary for tables whose types allow it, which is faster; 'text': never."
    )

    def options(self) -> Options:
        """The configuration, as the run takes it."""
        load = LoadSettings(
            chunk_size=self.chunk_size,
            partition_threshold=self.partition_threshold,
            max_partitions=self.max_partitions,
            workers=self.workers,
            use_unlogged_tables=self.use_unlogged_tables,
            copy_format=self.copy_format,
        )
        return Options(
            load=load,
            exclude_tables=tuple(self.exclude_tables),
            drop_existing_tables=self.drop_existing_tables,
            overwrite_existing_rows=self.overwrite_existing_rows,
            check_content=self.check_content,
            content_sample_percent=self.content_sample_percent,
            owners=self.owners,
            privileges=self.privileges,
            create_roles=self.create_roles,
            spread_over=self.spread_over,
        )

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[MigrationRun]:
        """One `MigrationRun` for all steps of a run; it is closed when the run ends, however it ends."""
        started = context.run
        owner = started.tags.get(SNAPSHOT_OF) if started else None
        warn = (context.log or get_dagster_logger()).warning
        run = MigrationRun(started.run_id if started else "no run", self.options(), owner, warn)
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
