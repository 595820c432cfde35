"""The job ``repair``: compare, reload the key ranges that differ, refresh what reads them, and compare again."""

from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field

from pg_migration.orchestration import load_events
from pg_migration.orchestration.checks.tables import compare_again
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import load_metadata, range_metadata
from pg_migration.orchestration.runs.concurrency import run_tags
from pg_migration.orchestration.runs.failures import fail_if, tell, told_plainly
from pg_migration.postgres.catalog import Phase, Table, matches
from pg_migration.postgres.ddl import suspend
from pg_migration.postgres.ledger import chunks
from pg_migration.postgres.migration.compare import both_sides
from pg_migration.postgres.migration.repair import Damage, find_damage, reload_damage
from pg_migration.postgres.migration.run import MigrationRun, Scope
from pg_migration.postgres.migration.sequences import set_sequences
from pg_migration.postgres.migration.structure import lacking, make, refreshes
from pg_migration.postgres.transfer.events import (
    ObjectFailed,
    ObjectMade,
    TableFailed,
    TableLoaded,
    WorkDone,
    WorkerLeft,
)
from pg_migration.postgres.transfer.progress import Progress

REPAIR = "repair"
# Graphs and ops share one name space.
STEP = "repair_tables"


class RepairConfig(dg.Config):
    """What the step looks at."""

    tables: list[str] = Field(
        default=["*"], description="Patterns (fnmatch) of tables to compare and repair, as 'table' or 'schema.table'."
    )


def build_repair(relations: Relations) -> dg.JobDefinition:
    """One step over all tables, or those that its configuration names."""

    @dg.op(name=STEP, description="Compares tables and reloads the key ranges that differ.")
    def repair(context: dg.OpExecutionContext, config: RepairConfig, migration: dg.ResourceParam[MigrationRun]) -> None:
        failures = migration.outcomes.failures
        with told_plainly(failures):
            chosen = frozenset(
                name
                for name, listing in relations.listings.items()
                if any(matches(listing.schema, listing.name, pattern) for pattern in config.tables)
            )
            migration.begin(exclusive=True, scope=Scope(chosen, structure=False))
            _Repair(context, migration, relations).run(config.tables)
        fail_if(failures, "the target is not repaired")

    # Not called after the job: Dagster refuses a code location with a graph and an op of one name.
    @dg.graph(name="repair_graph")
    def graph() -> None:
        repair()

    return graph.to_job(
        name=REPAIR,
        tags=run_tags(),
        description="Compares the rows of source and target, reloads the key ranges that differ (a table that was not "
        "loaded in ranges as a whole), refreshes the materialized views over them, and compares them again. Tables "
        "that are the same are not touched.",
        executor_def=dg.in_process_executor,
    )


class _Repair:
    def __init__(self, context: dg.OpExecutionContext, run: MigrationRun, relations: Relations) -> None:
        self._context = context
        self._run = run
        self._relations = relations

    def run(self, patterns: Sequence[str]) -> None:
        """Repair the tables that patterns mean; what could not be repaired is in the run's failures."""
        run, tables = self._run, self._chosen(patterns)
        damages = list(self._damages(tables))
        broken = [damage for damage in damages if damage.error is not None]
        for damage in broken:
            tell(self._context, run, damage.error or "")
        damages = [damage for damage in damages if damage.error is None]
        for damage in damages:
            name = ".".join(run.target_name(damage.table))
            self._context.log.warning(f"{name} differs in {', '.join(damage.keys)}; reloading")
        if damages:
            self._reload(damages)
        for failure in run.call(lambda: suspend.restore(run.target_connection, suspend.EVERYTHING)):
            tell(self._context, run, str(failure))
        if damages:
            self._refresh([damage.table for damage in damages])
        # log_event takes check evaluations, too; only its type does not say so.
        for evaluation in compare_again(self._context, run, self._relations, [d.table for d in damages]):
            self._context.log_event(evaluation)  # type: ignore[arg-type]
        same = len(tables) - len(damages) - len(broken)
        told = f"{len(tables):,} tables compared, {same:,} were the same, {len(damages):,} reloaded"
        self._context.log.info(told)
        run.outcomes.notes.append(told)

    def _chosen(self, patterns: Sequence[str]) -> list[Table]:
        run = self._run
        known = [t for t in run.catalog.tables if run.target_name(t) in self._relations.keys]
        for pattern in patterns:
            if not any(matches(table.schema, table.name, pattern) for table in known):
                tell(self._context, run, f"tables: no table matches the pattern '{pattern}'")
        return [t for t in known if any(matches(t.schema, t.name, pattern) for pattern in patterns)]

    def _damages(self, tables: Sequence[Table]) -> Iterator[Damage]:
        run = self._run
        names = {table: run.target_name(table) for table in tables}
        loaded = run.call(lambda: chunks.all_loaded_ranges(run.target_connection, list(names.values())))
        workers = run.call(run.workers)
        with both_sides(run) as sides:
            yield from run.call(
                lambda: list(find_damage(sides, run.planner(), run.target_connection, names, loaded, workers))
            )

    def _reload(self, damages: Sequence[Damage]) -> None:
        run = self._run
        context = run.load_context(run.call(run.workers))
        events = reload_damage(context, run.planner(), run.target_connection, damages, lambda: lacking(run, Phase.KEYS))
        for event in events:
            load_events.tell(event)
            if isinstance(event, TableLoaded):
                self._loaded(event)
            elif isinstance(event, WorkDone):
                run.outcomes.work.append(event)
            elif isinstance(event, TableFailed):
                name = run.target_name(event.plan.table)
                run.outcomes.failed[name] = event
                tell(self._context, run, f"{'.'.join(name)}: {event.error}")
            elif isinstance(event, ObjectFailed):
                tell(self._context, run, f"{event.object.identity} was not built: {event.error}")
            elif isinstance(event, ObjectMade):
                run.note_made([event.object])
            elif isinstance(event, WorkerLeft):
                run.note_worker_left(event)
            elif isinstance(event, Progress):
                self._context.log.info(str(event))
        run.call(lambda: set_sequences(run, [d.table for d in damages], every=False))

    def _refresh(self, tables: Sequence[Table]) -> None:
        """Fill the materialized views again that may read what was reloaded."""
        run = self._run
        filling = run.call(lambda: refreshes(run, tables))
        run.call(lambda: make(self._context, run, filling))
        if filling:
            run.outcomes.notes.append(f"refreshed: {', '.join(f'{item.schema}.{item.name}' for item in filling)}")

    def _loaded(self, event: TableLoaded) -> None:
        name = self._run.target_name(event.plan.table)
        self._run.outcomes.loaded[name] = event
        key = self._relations.keys[name]
        for piece in event.ranges:
            self._context.log_event(dg.AssetMaterialization(key, partition=piece.key, metadata=range_metadata(piece)))
        self._context.log_event(dg.AssetMaterialization(key, metadata=load_metadata(event)))
