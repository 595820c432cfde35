"""The use cases: what a user wants done with two databases, from preflight to repair, in one call each.

Dagster's steps, the command line and the tests run the same code; they only choose when, and translate what it says.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pg_migration.postgres.ddl import Difference
from pg_migration.postgres.errors import MigrationError
from pg_migration.postgres.migration.comparison.against_ledger import copied_tables
from pg_migration.postgres.migration.comparison.compare_state import (
    compare_structure,
    examine,
    grave_differences,
    state_checks,
)
from pg_migration.postgres.migration.comparison.compare_tables import compare_tables
from pg_migration.postgres.migration.comparison.databases import structural_differences
from pg_migration.postgres.migration.comparison.verdict import CONTENT, ROW_COUNT
from pg_migration.postgres.migration.definition import Migration
from pg_migration.postgres.migration.forecast import look_ahead
from pg_migration.postgres.migration.live.abandon import give_up
from pg_migration.postgres.migration.live.adopt import adopt_new
from pg_migration.postgres.migration.live.follow import start_replication
from pg_migration.postgres.migration.live.moved import CutoverOptions, Rehearsal
from pg_migration.postgres.migration.live.release import allow_runs, still_written
from pg_migration.postgres.migration.live.takeover.back import end_the_way_back, return_to_source
from pg_migration.postgres.migration.live.takeover.cutover import cut_over
from pg_migration.postgres.migration.live.takeover.cutover import rehearse as rehearse_
from pg_migration.postgres.migration.outcomes import Outcomes
from pg_migration.postgres.migration.prerequisites import look
from pg_migration.postgres.migration.run import Log, MigrationRun
from pg_migration.postgres.migration.steps.copy_tables import copy_tables
from pg_migration.postgres.migration.steps.damage import repair_tables
from pg_migration.postgres.migration.steps.foreign_keys import create_foreign_keys
from pg_migration.postgres.migration.steps.large_objects import compare_large_objects, copy_large_objects
from pg_migration.postgres.migration.steps.structure import make_post_data, make_target, return_everything
from pg_migration.postgres.migration.steps.swap import go_back as swap_back_
from pg_migration.postgres.migration.steps.swap import swap
from pg_migration.postgres.planning.forecast import Forecast
from pg_migration.postgres.preflight import Finding


@dataclass(frozen=True)
class Result:
    """How a use case ended: it succeeded only where ``failures`` is empty.

    ``notes`` is what people should know besides, ``outcomes`` what became of each object and table.
    """

    run_id: str
    failures: Sequence[str]
    notes: Sequence[str]
    outcomes: Outcomes

    @property
    def succeeded(self) -> bool:
        """Whether everything that was asked for is there, and proved."""
        return not self.failures


def preflight(migration: Migration) -> list[Finding]:
    """Everything that stands in the way of a migration, and what to do about it; nothing is written."""
    with _run(migration, makes_everything=True) as run:
        return list(look(run))


def plan(migration: Migration) -> Forecast:
    """How every table would be copied, and about how long that takes; nothing is written.

    Raises:
        MigrationError: when a server can't be asked.
    """
    with _run(migration) as run:
        return run.call(lambda: look_ahead(run))


def compare(migration: Migration) -> list[Difference]:
    """What differs between the structure of source and target; nothing is written.

    Raises:
        MigrationError: when a server can't be asked.
    """
    return structural_differences(migration)[1]


def migrate(migration: Migration, log: Log | None = None) -> Result:
    """Copy everything from the source to the target, from one snapshot, and compare the two.

    Args:
        log: where to write what is done meanwhile; by default a logger of Python's.
    """
    return _done(migration, log, _migrate, makes_everything=True)


def swap_back(migration: Migration, log: Log | None = None) -> Result:
    """Make what was live before the last swap live again, and what is live now the previous copy; asks no source."""
    return _done(migration, log, swap_back_)


def rehearse(migration: Migration, chosen: CutoverOptions) -> Rehearsal:
    """What a cutover would meet, and how long writers would wait; nothing is changed, and nobody waits.

    Raises:
        MigrationError: nothing is followed, or a server can't be asked.
    """
    with _run(migration) as run:
        return rehearse_(run, chosen)


def cutover(migration: Migration, chosen: CutoverOptions, log: Log | None = None) -> Result:
    """Have the target take over from the source that it follows, or leave everything as it is; ``outcomes.cutover``
    tells how long writers waited."""
    return _done(migration, log, lambda run: cut_over(run, chosen))


def abandon(migration: Migration, slot: str | None = None, log: Log | None = None) -> Result:
    """Give up the replication into the target: nothing of it stays in the source, the target keeps its rows.

    Args:
        slot: take away what has this name in the source, whatever the ledger says, and nothing else.
    """
    return _done(migration, log, lambda run: give_up(run, slot))


def adopt_new_tables(migration: Migration, log: Log | None = None) -> Result:
    """Have the target follow the tables and partitions that were made in the source since it began to follow."""
    return _done(migration, log, adopt_new)


def go_back(migration: Migration, chosen: CutoverOptions, log: Log | None = None) -> Result:
    """Have the source take over again, after a cutover with a way back."""
    return _done(migration, log, lambda run: return_to_source(run, chosen))


def end_way_back(migration: Migration, log: Log | None = None) -> Result:
    """Stop replicating to the old source what is written to the target; there is no going back then."""
    return _done(migration, log, end_the_way_back)


def release(migration: Migration, database: str, log: Log | None = None) -> Result:
    """Let runs write to a target that had taken over.

    Args:
        database: the name of the target's database, so that nobody does it by mistake.
    """
    return _done(migration, log, lambda run: allow_runs(run, database))


def old_source_silent(migration: Migration) -> Sequence[str]:
    """Who still writes to the old source after a cutover; nothing where nobody does.

    Raises:
        MigrationError: a server can't be asked.
    """
    return still_written(migration)


def validate(migration: Migration, log: Log | None = None) -> Result:
    """Compare all rows, the structure and the state of both databases as they are now; nothing is written.

    With the option ``against`` as ``ledger`` the rows of the target alone, with what was copied.
    """

    def work(run: MigrationRun) -> None:
        if run.asks_ledger:
            for _ in compare_tables(run, {name: {ROW_COUNT, CONTENT} for name in copied_tables(run)}):
                pass
            compare_large_objects(run)
            return
        _compare_rows(run, {ROW_COUNT, CONTENT})
        compare_large_objects(run)
        _compare_state(run)

    return _done(migration, log, work)


def repair(migration: Migration, tables: Sequence[str] = ("*",), log: Log | None = None) -> Result:
    """Compare tables, reload the key ranges that differ, and compare those again.

    Args:
        tables: patterns (fnmatch) of the tables, as ``table`` or ``schema.table``.
    """

    def work(run: MigrationRun) -> None:
        for _ in repair_tables(run, tables):
            pass
        reloaded = {*run.outcomes.loaded, *run.outcomes.failed}
        for _ in compare_tables(run, {name: {ROW_COUNT, CONTENT} for name in reloaded}):
            pass

    return _done(migration, log, work)


def _migrate(run: MigrationRun) -> None:
    run.begin(exclusive=True)
    run.outcomes.notes += [*run.cautions, *(f"{n.kind} {n.name}: {n.reason}" for n in run.catalog.notices)]
    try:
        _make_everything(run)
    except MigrationError as error:
        run.fail(str(error))
    if run.outcomes.failures and run.dropped:
        run.call(lambda: return_everything(run))
    run.outcomes.at_the_end = not run.outcomes.failures


def _make_everything(run: MigrationRun) -> None:
    """In the order of the job ``migrate``: nothing is built on rows that are not the source's."""
    make_target(run)
    for _ in copy_tables(run):
        pass
    copy_large_objects(run)
    checks = {ROW_COUNT, CONTENT} if run.options.check_content else {ROW_COUNT}
    if run.outcomes.failed or not _compare_rows(run, checks):
        return
    create_foreign_keys(run)
    make_post_data(run)
    _compare_state(run)
    if run.swaps and not run.outcomes.failures:
        swap(run)
    if run.live.follows and not run.outcomes.failures:
        start_replication(run)


def _compare_rows(run: MigrationRun, checks: set[str]) -> bool:
    """Compare every table, and whether all are the same; what is not is in the run's failures."""
    names = [run.target_name(table) for table in run.call(lambda: run.catalog.tables)]
    verdicts = list(compare_tables(run, dict.fromkeys(names, checks)))
    return all(verdict.passed for verdict in verdicts)


def _compare_state(run: MigrationRun) -> None:
    """Compare everything but rows; what is not the same is in the run's failures, or in its notes where it may be."""
    found = compare_structure(run)
    grave = grave_differences(found, made_here=run.sides.snapshot is not None)
    for difference in grave:
        run.fail(str(difference))
    run.outcomes.notes += [str(difference) for difference in found if not difference.stays and difference not in grave]
    for check, _, seen in examine(run, state_checks(run.transforms)):
        for observation in seen:
            if observation.wrong:
                run.fail(str(observation))
            elif check.warns:
                run.outcomes.notes.append(str(observation))


def _done(
    migration: Migration, log: Log | None, work: Callable[[MigrationRun], object], makes_everything: bool = False
) -> Result:
    with _run(migration, log, makes_everything) as run:
        try:
            work(run)
        except MigrationError as error:
            run.fail(str(error))
        outcomes = run.outcomes
    return Result(run.run_id, tuple(outcomes.failures), tuple(outcomes.notes), outcomes)


@contextmanager
def _run(migration: Migration, log: Log | None = None, makes_everything: bool = False) -> Iterator[MigrationRun]:
    run = MigrationRun(str(uuid.uuid4()), migration.options, lambda: migration, makes_everything=makes_everything)
    if log is not None:
        run.log = log
    try:
        yield run
    finally:
        run.close()
