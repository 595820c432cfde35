"""Whether tables hold the same rows: the digests of both sides."""

from collections.abc import Iterable, Iterator, Sequence

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.hashing.digests import Digest, Hashing
from pg_migration.postgres.hashing.part import compared_relation
from pg_migration.postgres.verification.both_sides import Answers, BothSides, Known
from pg_migration.postgres.verification.partition_trees import Origins, ask_once
from pg_migration.postgres.verification.slices import Slicing


def digest_tables(
    sides: BothSides,
    slicings: Sequence[Slicing],
    hashing: Hashing,
    origins: Origins,
    workers: int,
    known: Known[Digest] | None = None,
) -> Iterator[Answers[Digest]]:
    """The digests of tables.

    Args:
        slicings: as for `BothSides.ask`.
        origins: of tables, which are read only where the digests of those do not add up to theirs.
        workers: connections to each side.
        known: digests by ``hashing``, as `BothSides.ask`.
    """
    tables = {slicing.table.key: slicing.table for slicing in slicings}
    adding_up = {n: found for n, found in origins.items() if n in tables and _add_up(found, tables[n], hashing)}
    return ask_once(sides, hashing, slicings, adding_up, workers, known)


def _add_up(origins: Iterable[Table], table: Table, hashing: Hashing) -> bool:
    """Whether digests of tables that hold a table's rows are together what its own would be, of no fewer of the rows.

    They are where a row's hash is the same: its columns have the same order, and names in values the same schema.
    """
    columns = _columns(table)
    return all(
        _columns(origin) == columns
        and compared_relation(origin)[0][0] == compared_relation(table)[0][0]
        and hashing.percent_of(origin) >= hashing.percent_of(table)
        for origin in origins
    )


def _columns(table: Table) -> tuple[list[str], list[str]]:
    """The names of those that are copied, and of those that each side computes."""
    return [column.name for column in table.stored_columns], [column.name for column in table.computed_columns]
