"""Copy tables: continue what an earlier run has begun, set aside what stands in the way, load, set the sequences."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pg_migration.postgres.catalog import Phase, SchemaObject, Table
from pg_migration.postgres.ddl.changes import suspend
from pg_migration.postgres.errors import StructureConflict
from pg_migration.postgres.figures import listed
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.migration.steps.sequences import set_sequences
from pg_migration.postgres.migration.steps.structure import missing_objects
from pg_migration.postgres.planning.plan import TablePlan
from pg_migration.postgres.swap.carrying import ALTERED, carry_unchanged
from pg_migration.postgres.transfer.events import (
    Event,
    LoadBegun,
    NotAnalyzed,
    ObjectFailed,
    ObjectMade,
    ObjectNoted,
    RowsHashed,
    StatisticsCollected,
    TableFailed,
    TableLoaded,
    WorkDone,
    WorkerLeft,
)
from pg_migration.postgres.transfer.load import Load, Mode
from pg_migration.postgres.transfer.load_context import LoadContext
from pg_migration.postgres.transfer.progress import Progress
from pg_migration.postgres.transfer.resume import Resumption, resume

CHECK_SECONDS = 5.0


def copy_tables(run: MigrationRun) -> Iterator[Event]:
    """Copy every table of the source, and what happened as it happens; also kept in the run's outcomes.

    Raises:
        MigrationError: when no table can go on.
    """
    tables = run.loadable([run.target_name(table) for table in run.catalog.tables])
    plans = run.call(lambda: run.plan(tables))
    context = run.load_context(run.call(run.workers))
    found = run.call(lambda: continue_tables(run, context, plans))
    objects = run.call(lambda: make_room(run, found, Mode.RELOAD))
    run.call(lambda: found.write(run.sides.target_connection, context))
    yield from follow(run, Load(context, found.plans, objects, Mode.RELOAD, found.continued).events())
    run.call(lambda: set_sequences(run, tables, every=True))


def continue_tables(run: MigrationRun, context: LoadContext, plans: tuple[TablePlan, ...]) -> Resumption:
    """What to keep of tables that an earlier run has begun, or that the live copy has as the source has them now.

    Why others are loaded anew goes to the outcomes.
    """
    found = resume(context, run.sides.source_connection, run.sides.target_connection, plans, run.options)
    names = {plan.name: run.target_name(plan.table) for plan in plans}
    run.outcomes.reloaded.update({names[name]: reason for name, reason in found.reloaded.items()})
    if not (run.swaps and run.options.reuse_unchanged):
        return found
    carried = carry_unchanged(
        context, run.sides.source_connection, run.sides.target_connection, found, run.live_schemas
    )
    run.outcomes.carried.update({names[name]: hashed for name, hashed in carried.hashed.items()})
    run.outcomes.not_carried.update({names[name]: reason for name, reason in carried.loaded.items()})
    if altered := sorted(".".join(names[name]) for name, reason in carried.loaded.items() if reason == ALTERED):
        run.outcomes.notes.append(f"read from the source although it did not change: {listed(altered)}; {ALTERED}")
    return carried.resumption


def make_room(run: MigrationRun, found: Resumption, mode: Mode) -> Sequence[SchemaObject]:
    """Set aside what stands in the way on the target; the keys and indexes to build after the rows.

    A table whose rows are all there keeps what it has.
    """
    filled = {name for name, continued in found.continued.items() if continued.is_complete}
    names = [run.place(plan.table) for plan in found.plans if plan.name not in filled]
    suspended = suspend.suspend(run.sides.target_connection, names, keys=mode is Mode.RELOAD)
    if suspended.taken:
        run.target_catalogs.changed()
    run.outcomes.notes.extend(f"kept in place during the load: {what}" for what in suspended.stayed)
    wanted = {plan.name for plan in found.plans}
    return [item for item in missing_objects(run, Phase.KEYS) if item.table in wanted]


def check_present(run: MigrationRun, tables: Sequence[Table]) -> None:
    """Before some tables are copied without the rest of a migration: look whether the target has them.

    Raises:
        StructureConflict: it lacks one.
    """
    names = [run.place(table) for table in tables]
    present = suspend.existing(run.sides.target_connection, names)
    if missing := sorted(".".join(name) for name in names if name not in present):
        raise StructureConflict(
            f"the target does not have {listed(missing)}. Materialize target_ddl in the same run, which makes what is "
            "missing, or start the job migrate. No row was copied."
        )


def restore(run: MigrationRun, tables: Sequence[Table]) -> list[str]:
    """Bring back what was set aside of some tables; what could not be."""
    names = [run.place(table) for table in tables]
    done = suspend.restore(run.sides.target_connection, suspend.EVERYTHING, names)
    run.target_catalogs.changed()
    return [str(failure) for failure in done.failures]


def follow(run: MigrationRun, events: Iterable[Event]) -> Iterator[Event]:
    """Pass on the events of a load, each after it was put into the run's log and outcomes, and told to who listens.

    Raises:
        LockLost: within seconds, when another run has taken the target.
    """
    due = time.monotonic() + CHECK_SECONDS
    for event in events:
        _record(run, event)
        if isinstance(event, Progress) and time.monotonic() >= due:
            due = time.monotonic() + CHECK_SECONDS
            run.call(run.sides.check_held)
            run.call(run.record_digests)
        run.tell(event)
        yield event
    for reason, tables in run.outcomes.collected.items():
        names = listed(sorted(".".join(table) for table in tables))
        run.outcomes.notes.append(f"statistics collected by ANALYZE, also or instead, for {names}: {reason}")
    run.outcomes.collected.clear()
    run.call(run.record_digests)
    run.target_catalogs.changed({Phase.KEYS})
    run.call(run.target_catalogs.settle)


def problem_of(run: MigrationRun, event: TableFailed) -> str:
    """What to tell of a table that could not be loaded."""
    return f"{'.'.join(run.target_name(event.plan.table))}: {event.error}"


def _record(run: MigrationRun, event: Event) -> None:
    outcomes = run.outcomes
    if isinstance(event, TableLoaded):
        outcomes.loaded[run.target_name(event.plan.table)] = event
    elif isinstance(event, LoadBegun):
        for plan in event.plans:
            outcomes.hashed.pop(run.target_name(plan.table), None)
    elif isinstance(event, RowsHashed):
        outcomes.hashed[run.target_name(event.plan.table)] = event
        run.unrecorded.append(event)
    elif isinstance(event, WorkDone):
        outcomes.work.append(replace(event, table=run.as_known(event.table)))
    elif isinstance(event, TableFailed):
        outcomes.failed[run.target_name(event.plan.table)] = event
        run.fail(problem_of(run, event))
    elif isinstance(event, ObjectFailed):
        run.fail(f"{event.object.identity} was not built: {event.error}")
    elif isinstance(event, ObjectMade):
        run.target_catalogs.made([event.object])
    elif isinstance(event, StatisticsCollected):
        outcomes.collected.setdefault(event.reason, []).append(run.target_name(event.plan.table))
    elif isinstance(event, NotAnalyzed):
        outcomes.notes.append(f"{'.'.join(run.target_name(event.plan.table))} could not be analyzed: {event.error}")
    elif isinstance(event, ObjectNoted):
        outcomes.notes.append(f"{event.object.identity}: {event.note}")
    elif isinstance(event, WorkerLeft):
        run.note_worker_left(event)
