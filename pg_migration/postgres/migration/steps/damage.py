"""Reload what differs, and only that: the key ranges whose digests are not the same, or the table that has none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pg_migration.postgres.catalog import Phase, Table, TableName, matches
from pg_migration.postgres.connection.literals import readable
from pg_migration.postgres.ddl.changes import suspend
from pg_migration.postgres.hashing.digests import Digest, Hashing
from pg_migration.postgres.ledger import chunks
from pg_migration.postgres.ledger.chunks import LoadedRange
from pg_migration.postgres.migration.comparison.databases import both_sides
from pg_migration.postgres.migration.run import MigrationRun, Scope
from pg_migration.postgres.migration.steps.copy_tables import follow
from pg_migration.postgres.migration.steps.large_objects import copy_large_objects
from pg_migration.postgres.migration.steps.sequences import set_sequences
from pg_migration.postgres.migration.steps.structure import make, missing_objects, refreshes
from pg_migration.postgres.planning.key_ranges import ALL, parse
from pg_migration.postgres.planning.planner import Planner
from pg_migration.postgres.transfer.events import Event, is_complete
from pg_migration.postgres.transfer.load import Load, Mode
from pg_migration.postgres.verification.both_sides import Answers, BothSides
from pg_migration.postgres.verification.digest_tables import digest_tables
from pg_migration.postgres.verification.row_differences import ranges_that_differ
from pg_migration.postgres.verification.slices import Slicing, slice_tables


@dataclass(frozen=True)
class Damage:
    """A table whose rows are not the same on both sides, and the keys of the ranges to reload: ``all`` for all of it.

    ``error`` says why the two sides could not be compared; nothing can be repaired then.
    """

    table: Table
    keys: tuple[str, ...]
    error: str | None = None


def find_damage(run: MigrationRun, sides: BothSides, tables: Sequence[Table]) -> Iterator[Damage]:
    """Compare tables by the ranges that they were loaded in; those that are equal are left out.

    Raises:
        MigrationError: when a side can't be asked for sizes.
    """
    # A partitioned table's rows are in its partitions, which are repaired themselves.
    names = {table: run.target_name(table) for table in tables if table.kind == "r"}
    by_range, others = run.call(lambda: _slices(run, names))
    slicings = [*by_range, *others]
    sides.progress.expect({".".join(names[slicing.table]): slicing for slicing in slicings})
    for answers in digest_tables(sides, slicings, Hashing(), {}, run.call(run.workers)):
        yield from _damage(answers, {slicing.table for slicing in by_range})


def _slices(run: MigrationRun, names: Mapping[Table, TableName]) -> tuple[list[Slicing], list[Slicing]]:
    """Tables cut into the ranges that the ledger knows of them, and those that have none there."""
    planner, target = run.planner(), run.sides.target_connection
    loaded = chunks.all_loaded_ranges(target, list(names.values()))
    by_range = [s for t, name in names.items() if (s := _by_range(planner, t, loaded.get(name, ()))) is not None]
    cut = {slicing.table for slicing in by_range}
    return by_range, slice_tables(planner, target, {t: name for t, name in names.items() if t not in cut})


def _by_range(planner: Planner, table: Table, loaded: Sequence[LoadedRange]) -> Slicing | None:
    """One slice for each range in the ledger; None where the table was not loaded by ranges, or not completely."""
    key = planner.key_column(table)
    keys = dict.fromkeys(piece.key for piece in loaded)
    if key is None or ALL in keys or not is_complete(loaded, key):
        return None
    return Slicing.of_ranges(
        table, max(0, round(table.reltuples)), key, [parse(k, key, ".".join(table.key)) for k in keys]
    )


def _damage(answers: Answers[Digest], by_range: set[Table]) -> Iterator[Damage]:
    if answers.error is not None:
        yield Damage(answers.table, (), answers.error)
    elif answers.table in by_range:
        if keys := ranges_that_differ(answers):
            yield Damage(answers.table, keys)
    elif _digest(answers.source) != _digest(answers.target):
        yield Damage(answers.table, (ALL,))


def _digest(answers: object) -> Digest:
    assert isinstance(answers, tuple)
    return Digest.of(answers)


def repair_tables(
    run: MigrationRun, patterns: Sequence[str], known: Mapping[TableName, TableName] | None = None
) -> Iterator[Event]:
    """Compare tables, reload what differs from the run's snapshot, and refresh the materialized views that read it.
    Where the patterns mean every table, large objects that differ are copied again as well.

    Begins the run. What was reloaded is in its outcomes; what could not be repaired is in its failures.

    Args:
        patterns: of the tables to compare, as `catalog.matches` takes them.
        known: the tables that may be repaired: name in the target to name in the source; None: all.

    Raises:
        MigrationError: when no table can go on.
    """
    chosen = None
    if known is not None:
        chosen = frozenset(name for name, own in known.items() if any(matches(*own, pattern) for pattern in patterns))
    run.begin(exclusive=True, scope=Scope(chosen, structure=False))
    tables = _chosen(run, patterns, known)
    with both_sides(run) as sides:
        found = list(find_damage(run, sides, tables))
    broken = [damage for damage in found if damage.error is not None]
    for damage in broken:
        run.fail(damage.error or "")
    damages = [damage for damage in found if damage.error is None]
    for damage in damages:
        differing = f"{'.'.join(run.target_name(damage.table))} differs in {', '.join(damage.keys)}; reloading"
        run.log.warning(readable(differing))
    if damages:
        yield from follow(run, _reload(run, damages))
        run.call(lambda: set_sequences(run, [damage.table for damage in damages], every=False))
    done = run.call(lambda: suspend.restore(run.sides.target_connection, suspend.EVERYTHING))
    run.target_catalogs.changed()
    for failure in done.failures:
        run.fail(str(failure))
    if "*" in patterns:
        copy_large_objects(run)
    if damages:
        _refresh(run, [damage.table for damage in damages])
    same = len(tables) - len(found)
    told = f"{len(tables):,} tables compared, {same:,} were the same, {len(damages):,} reloaded"
    run.log.info(told)
    run.outcomes.notes.append(told)


def _chosen(run: MigrationRun, patterns: Sequence[str], known: Mapping[TableName, TableName] | None) -> list[Table]:
    tables = [table for table in run.catalog.tables if known is None or run.target_name(table) in known]
    for pattern in patterns:
        if not any(matches(table.schema, table.name, pattern) for table in tables):
            run.fail(f"tables: no table matches the pattern '{pattern}'")
    return [t for t in tables if any(matches(t.schema, t.name, pattern) for pattern in patterns)]


def reload_tables(run: MigrationRun, tables: Sequence[Table]) -> None:
    """Copy whole tables again, in the run's snapshot. What could not be is in the run's failures.

    Raises:
        MigrationError: when no table can go on.
    """
    for _ in follow(run, _reload(run, [Damage(table, (ALL,)) for table in tables])):
        pass
    done = run.call(lambda: suspend.restore(run.sides.target_connection, suspend.EVERYTHING))
    run.target_catalogs.changed()
    for failure in done.failures:
        run.fail(str(failure))


def _reload(run: MigrationRun, damages: Sequence[Damage]) -> Iterator[Event]:
    """Reload the damaged ranges, each as a run of its key would; what is set aside meanwhile is to be restored."""
    context, planner = run.load_context(run.call(run.workers)), run.planner()
    modes = {Mode.RELOAD: [d for d in damages if d.keys == (ALL,)]}
    modes[Mode.REPLACE_RANGES] = [d for d in damages if d.keys != (ALL,)]
    for mode, chosen in modes.items():
        names = [run.target_name(damage.table) for damage in chosen]
        run.call(partial(suspend.suspend, run.sides.target_connection, names, keys=mode is Mode.RELOAD))
    run.target_catalogs.changed()
    objects = run.call(lambda: missing_objects(run, Phase.KEYS))
    for mode, chosen in modes.items():
        if chosen:
            plans = [planner.plan_ranges(damage.table, damage.keys) for damage in chosen]
            yield from Load(context, plans, objects, mode, {}).events()


def _refresh(run: MigrationRun, tables: Sequence[Table]) -> None:
    """Fill the materialized views again that may read what was reloaded."""
    filling = run.call(lambda: refreshes(run, tables))
    run.call(lambda: make(run, filling))
    if filling:
        run.outcomes.notes.append(f"refreshed: {', '.join(f'{item.schema}.{item.name}' for item in filling)}")
