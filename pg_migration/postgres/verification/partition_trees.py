"""Tables whose rows are those of other tables of a comparison, so that nothing is read a second time.

A partitioned table's rows are in its leaves. Leaves that are compared through their root have its rows.
"""

from collections.abc import Iterator, Mapping, Sequence

from pg_migration.postgres.catalog import Table, TableName
from pg_migration.postgres.connection.endpoint import Side
from pg_migration.postgres.hashing.part import Answer, Question, compared_relation
from pg_migration.postgres.verification.both_sides import Answers, BothSides, Known
from pg_migration.postgres.verification.slices import Slicing

Origins = Mapping[TableName, Sequence[Table]]
"""Tables, by their names in the source, with others that hold together just the rows that are compared of them."""


def find_origins(sides: BothSides, tables: Sequence[Table]) -> Origins:
    """The tables of a comparison whose rows are those of others in it, on both sides.

    A partitioned table is not among them where a partition is left out, is there on one side only, or is compared
    through its root. Rows of foreign partitions are not compared, and nobody asks their servers.

    Raises:
        ConnectionFailed, SnapshotLost, psycopg2.Error: when a side can't be read.
    """
    partitioned = {table.key: table for table in tables if table.kind == "p"}
    if not partitioned:
        return {}
    read_for = {table.key: compared_relation(table)[0] for table in tables}
    found = {name: [partitioned[read]] for name, read in read_for.items() if read != name and read in partitioned}
    holding = {table.key: table for table in tables if table.kind == "r" and read_for[table.key] == table.key}
    ours, theirs = (_leaves_on(sides, side) for side in Side)
    for table in partitioned.values():
        names = ours.get(table.key)
        if read_for[table.key] != table.key or names is None or not names <= holding.keys():
            continue
        leaves = [holding[name] for name in sorted(names)]
        if theirs.get(sides.name(Side.TARGET, table)) == frozenset(sides.name(Side.TARGET, leaf) for leaf in leaves):
            found[table.key] = leaves
    return found


def _leaves_on(sides: BothSides, side: Side) -> Mapping[TableName, frozenset[TableName]]:
    return sides.on([side], lambda ends: sides.leaves(side, ends[0]))


def ask_once(
    sides: BothSides,
    question: Question[Answer],
    slicings: Sequence[Slicing],
    origins: Origins,
    workers: int,
    known: Known[Answer] | None = None,
) -> Iterator[Answers[Answer]]:
    """As `BothSides.ask`, but some tables take over the answers of others where all of these are asked as well.

    A table is asked itself where one of them gave no answer.

    Args:
        origins: of tables whose answers are those of others.
        known: as `BothSides.ask`.
    """
    asked = {slicing.table.key for slicing in slicings}
    waiting = {
        s.table.key: s for s in slicings if s.table.key in origins and all(t.key in asked for t in origins[s.table.key])
    }
    answered: dict[TableName, Answers[Answer]] = {}
    for found in sides.ask(question, [s for s in slicings if s.table.key not in waiting], workers, known):
        answered[found.table.key] = found
        yield found
    left: list[Slicing] = []
    for name, slicing in waiting.items():
        taken = _taken_over(slicing, [answered[origin.key] for origin in origins[name]])
        if taken is None:
            left.append(slicing)
        else:
            yield taken
    yield from sides.ask(question, left, workers)


def _taken_over(slicing: Slicing, origins: Sequence[Answers[Answer]]) -> Answers[Answer] | None:
    source: list[Answer] = []
    target: list[Answer] = []
    for found in origins:
        if not isinstance(found.source, tuple) or not isinstance(found.target, tuple):
            return None
        source += found.source
        target += found.target
    return Answers(slicing, tuple(source), tuple(target), 0.0, tuple(found.table.key for found in origins))
