"""The multi-asset of all tables: plan ranges, copy, build keys and indexes, set sequences."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import dagster as dg

from pg_migration.orchestration.live_table import LiveTable
from pg_migration.orchestration.location.names import MIGRATE, TABLES
from pg_migration.orchestration.location.table_assets import Relations
from pg_migration.orchestration.metadata import load_metadata, materializations, range_metadata
from pg_migration.orchestration.runs.begin import begin, is_whole_run
from pg_migration.orchestration.runs.concurrency import source_pool
from pg_migration.orchestration.runs.failures import as_step_failure, fail_if
from pg_migration.orchestration.runs.fan_out import Spread, runs_at_once
from pg_migration.orchestration.runs.resource import migration_of
from pg_migration.orchestration.storage.reading import AnsweringTogether
from pg_migration.postgres.catalog import SchemaObject, Table, TableName
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps.copy_tables import (
    check_present,
    continue_tables,
    follow,
    make_room,
    problem_of,
    restore,
)
from pg_migration.postgres.migration.steps.sequences import set_sequences
from pg_migration.postgres.planning.key_ranges import ALL
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration.postgres.transfer.events import (
    Event,
    TableFailed,
    TableLoaded,
)
from pg_migration.postgres.transfer.load import Load, Mode
from pg_migration.postgres.transfer.load_context import LoadContext
from pg_migration.postgres.transfer.resume import Continued, Resumption
from pg_migration.postgres.transfer.sharing import is_worth_spreading, prepare, present, share_of

TableEvent = dg.AssetMaterialization | dg.AssetObservation | dg.MaterializeResult[None]


def build_tables(relations: Relations) -> dg.AssetsDefinition:
    """All tables as one step, so that they share one snapshot and one queue of chunks."""

    @dg.multi_asset(
        name=relations.pair.named(TABLES),
        specs=list(relations.table_specs.values()),
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=source_pool(relations.pair),
        required_resource_keys={relations.pair.resource},
    )
    def tables(context: dg.AssetExecutionContext) -> Iterator[TableEvent]:
        yield from TablesStep(context, migration_of(context, relations.pair), relations).events()

    return tables


class TablesStep:
    """One execution of the multi-asset: without a partition key whole tables, with keys exactly those ranges."""

    def __init__(self, context: dg.AssetExecutionContext, migration: MigrationRun, relations: Relations) -> None:
        self._context = context
        self._migration = migration
        self._relations = relations
        self._keyed = context.has_partition_key or context.has_partition_key_range
        self._whole = is_whole_run(context)
        self._live_table = LiveTable(migration, relations)
        self._spread_seconds: float | None = None
        self._continued: Mapping[TableName, Continued] = {}

    def events(self) -> Iterator[TableEvent]:
        """Load the selected tables; one materialization for each range, one result for each table."""
        with as_step_failure(self._migration, self._context):
            begin(self._context, self._migration, self._relations)
            names = self._relations.names(self._context.selected_asset_keys)
            tables = self._migration.loadable(names)
            if not self._whole:  # else this run has made them; one that is lost since stops no other
                self._migration.call(lambda: check_present(self._migration, tables))
            plans = self._migration.call(lambda: self._plan(tables))
            if self._migration.owner is not None:
                problems = yield from self._copy_share(plans)
                fail_if(problems, "these ranges are not complete in the target")
                return
            mode = Mode.REPLACE_RANGES if self._keyed and not _is_everything(plans) else Mode.RELOAD
            runs, workers = self._migration.call(self._divide_work)
            context = self._migration.load_context(workers)
            resumption = self._migration.call(lambda: self._resume(context, plans))
            objects = self._migration.call(lambda: make_room(self._migration, resumption, mode))
            if not self._keyed:
                self._register(resumption.plans)
            self._migration.call(lambda: resumption.write(self._migration.sides.target_connection, context))
            if spread := [plan for plan in resumption.plans if runs and _is_spread(plan, resumption)]:
                problems = yield from self._spread(context, resumption, objects, spread, runs)
            else:
                load = Load(context, resumption.plans, objects, mode, resumption.continued)
                problems = yield from self._follow(load)
            self._migration.call(lambda: set_sequences(self._migration, tables, every=self._whole))
            if not self._whole:  # else later steps of this run bring back what was set aside
                problems += self._migration.call(lambda: restore(self._migration, tables))
        fail_if(problems, "these tables are not complete in the target")

    def _plan(self, tables: Sequence[Table]) -> tuple[TablePlan, ...]:
        if not self._keyed:
            return self._migration.plan(tables)
        planner = self._migration.planner()
        return tuple(planner.plan_ranges(table, list(self._context.partition_keys)) for table in tables)

    def _divide_work(self) -> tuple[int, int]:
        """How many further runs copy ranges, and how many workers each run has."""
        wanted = self._migration.options.spread_over
        if wanted and self._whole:
            return self._migration.further_runs(runs_at_once(self._context, wanted))
        return 0, self._migration.workers()

    def _spread(
        self,
        context: LoadContext,
        resumption: Resumption,
        objects: Sequence[SchemaObject],
        spread: Sequence[TablePlan],
        runs: int,
    ) -> Generator[TableEvent, None, list[str]]:
        """Load all tables but these, whose ranges other runs copy meanwhile; then build the keys of these."""
        migration = self._migration
        migration.call(lambda: prepare(context, spread, resumption.continued))
        keys = {plan.name: self._relations.keys[context.target_name(plan.table)] for plan in spread}
        order = {plan.name: self._partitions(plan) for plan in spread}
        pair, begun = self._relations.pair, time.monotonic()
        shares = Spread(self._context, migration, pair, keys, spread, order, runs, context.workers)
        try:
            with shares.running():
                alone = [plan for plan in resumption.plans if plan not in spread]
                problems = yield from self._follow(Load(context, alone, objects, Mode.RELOAD, resumption.continued))
                migration.outcomes.notes += shares.finish()
        finally:
            with suppress(MigrationError):  # the target is gone, which is told of otherwise
                migration.outcomes.work += shares.work()
        self._spread_seconds, self._continued = time.monotonic() - begun, resumption.continued
        there = migration.call(lambda: present(migration.sides.target_connection, context, spread))
        return problems + (yield from self._follow(Load(context, spread, objects, Mode.RELOAD, there)))

    def _copy_share(self, plans: Sequence[TablePlan]) -> Generator[TableEvent, None, list[str]]:
        """Copy what the owner of the snapshot has asked this run to."""
        migration = self._migration
        context, target = migration.load_context(migration.call(migration.workers)), migration.sides.target_connection
        keys = list(self._context.partition_keys)
        shares = migration.call(lambda: [share_of(target, context, plan, keys) for plan in plans])
        there = migration.call(lambda: present(target, context, shares))
        return (yield from self._follow(Load(context, shares, [], Mode.SHARE, there)))

    def _resume(self, context: LoadContext, plans: tuple[TablePlan, ...]) -> Resumption:
        """What to keep of tables that an earlier run has begun; whoever chooses tables wants them loaded anew."""
        return continue_tables(self._migration, context, plans) if self._whole else Resumption(plans, {}, {})

    def _register(self, plans: Sequence[TablePlan]) -> None:
        """Make the planned ranges the partitions of each table, and drop those of an earlier plan."""
        instance = self._context.instance
        planned = {self._partitions_name(plan): [piece.range.key for piece in plan.ranges] for plan in plans}
        known = {name: set(instance.get_dynamic_partitions(name)) for name in planned}
        new = {name: wanted for name, keys in planned.items() if (wanted := [k for k in keys if k not in known[name]])}
        if isinstance(log := instance.event_log_storage, AnsweringTogether):
            log.add_partitions(new)
        else:
            for name, keys in new.items():
                instance.add_dynamic_partitions(name, keys)
        for name, keys in planned.items():
            for stale in known[name].difference(keys):
                instance.delete_dynamic_partition(name, stale)

    def _partitions(self, plan: TablePlan) -> Sequence[str]:
        """The registered ranges of a table, in the order that Dagster has them in."""
        return list(self._context.instance.get_dynamic_partitions(self._partitions_name(plan)))

    def _partitions_name(self, plan: TablePlan) -> str:
        return str(self._relations.partitions(self._migration.target_name(plan.table)).name)

    def _follow(self, load: Load) -> Generator[TableEvent, None, list[str]]:
        problems: list[str] = []
        for event in follow(self._migration, map(self._as_of_the_run, load.events())):
            if isinstance(event, TableLoaded):
                yield from self._loaded(event)
            elif isinstance(event, TableFailed):
                problems.append(problem_of(self._migration, event))
            yield from self._live_table.observations()
        return problems

    def _as_of_the_run(self, event: Event) -> Event:
        """The same; what is there of a table that was spread was copied by others for this run, or before it."""
        if self._spread_seconds is None or not isinstance(event, TableLoaded):
            return event
        return replace(event, seconds=self._spread_seconds, continued=self._continued.get(event.plan.name))

    def _loaded(self, event: TableLoaded) -> Iterator[TableEvent]:
        key = self._relations.keys[self._migration.target_name(event.plan.table)]
        if self._whole and self._context.job_name == self._relations.pair.named(MIGRATE):
            # A result would be recorded as an output of the step as well, which nothing needs in this run.
            yield from materializations(key, event)
            return
        if not self._keyed:  # in a run with a partition key the framework records the partitions itself
            for piece in event.ranges:
                yield dg.AssetMaterialization(key, partition=piece.key, metadata=range_metadata(piece))
        yield dg.MaterializeResult(key, metadata=load_metadata(event))


def _is_spread(plan: TablePlan, resumption: Resumption) -> bool:
    """Whether ranges of a table are given to other runs; one that has all its rows needs none."""
    continued = resumption.continued.get(plan.name)
    return is_worth_spreading(plan) and not (continued and continued.is_complete)


def _is_everything(plans: Sequence[TablePlan]) -> bool:
    return all([piece.range.key for piece in plan.ranges] == [ALL] for plan in plans)
