"""Reload what differs, and only that: the key ranges whose digests are not the same, or the table that has none."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog import SchemaObject, Table, TableName
from pg_migration.postgres.ddl import suspend
from pg_migration.postgres.ledger.chunks import LoadedRange
from pg_migration.postgres.planning.key_ranges import ALL, parse
from pg_migration.postgres.planning.planner import Planner
from pg_migration.postgres.transfer.events import Event, is_complete
from pg_migration.postgres.transfer.load import Load, Mode
from pg_migration.postgres.transfer.load_context import LoadContext
from pg_migration.postgres.verification.both_sides import Answers, BothSides
from pg_migration.postgres.verification.digests import Digest, Hashing, digest_tables
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


def find_damage(
    sides: BothSides,
    planner: Planner,
    target: Connection,
    tables: Mapping[Table, TableName],
    loaded: Mapping[TableName, Sequence[LoadedRange]],
    workers: int,
) -> Iterator[Damage]:
    """Compare tables by the ranges that they were loaded in; those that are equal are left out.

    Args:
        tables: with their names in the target.
        loaded: the ranges that the ledger knows, by the same names.
        workers: connections to each side.

    Raises:
        psycopg2.Error: when a side can't be asked for sizes.
    """
    # A partitioned table's rows are in its partitions, which are repaired themselves.
    holding = {table: name for table, name in tables.items() if table.kind == "r"}
    by_range = [s for t, name in holding.items() if (s := _by_range(planner, t, loaded.get(name, ()))) is not None]
    cut = {slicing.table for slicing in by_range}
    others = slice_tables(planner, target, {table: name for table, name in holding.items() if table not in cut})
    for answers, _ in digest_tables(sides, [*by_range, *others], Hashing(), {}, workers):
        yield from _damage(answers, cut)


def _by_range(planner: Planner, table: Table, loaded: Sequence[LoadedRange]) -> Slicing | None:
    """One slice for each range in the ledger; None where the table was not loaded by ranges, or not completely."""
    key = planner.key_column(table)
    keys = dict.fromkeys(piece.key for piece in loaded)
    if key is None or ALL in keys or not is_complete(loaded, key):
        return None
    return Slicing.of_ranges(table, 0, key, [parse(k, key, ".".join(table.key)) for k in keys])


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


def reload_damage(
    context: LoadContext,
    planner: Planner,
    target: Connection,
    damages: Sequence[Damage],
    lacking: Callable[[], Sequence[SchemaObject]],
) -> Iterator[Event]:
    """Reload the damaged ranges from the run's snapshot, each as a run of its key would; what happened, as it happens.

    What is set aside meanwhile is to be brought back by `suspension.restore`, as after every load.

    Args:
        planner: reads the snapshot.
        target: a connection to the target.
        damages: without those that could not be compared.
        lacking: the keys and indexes that the target does not have at the time of the call.

    Raises:
        ConnectionFailed, SnapshotLost, LockLost: when no table can go on.
    """
    modes = {Mode.RELOAD: [d for d in damages if d.keys == (ALL,)]}
    modes[Mode.REPLACE_RANGES] = [d for d in damages if d.keys != (ALL,)]
    for mode, chosen in modes.items():
        suspend.suspend(target, [context.target_name(d.table) for d in chosen], keys=mode is Mode.RELOAD)
    objects = lacking()
    for mode, chosen in modes.items():
        if chosen:
            plans = [planner.plan_ranges(damage.table, damage.keys) for damage in chosen]
            yield from Load(context, plans, objects, mode, {}).events()
