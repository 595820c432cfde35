"""Whether sequences stand where they should: where the source's do, and beyond every value that is in use."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from pg_migration.postgres.catalog.values_path import DEFAULT_PATH, ValuesPath, application_path, fetch_rows
from pg_migration.postgres.connection.statements import fetch
from pg_migration.postgres.ledger.sequence_positions import Position, SequenceName, recorded_positions
from pg_migration.postgres.sql_files import sql_file
from pg_migration.postgres.transfer.sequences import SEQUENCES_PER_QUERY, read_positions
from pg_migration.postgres.verification.observation import Observation


@dataclass(frozen=True)
class SequenceState:
    """Where a sequence stands, and the outermost value of its column: the greatest, or the least when it counts down.

    ``outermost`` is None when the sequence belongs to no column of numbers, or its table is empty.
    """

    position: Position
    increment: int
    cycles: bool
    column: tuple[str, str, str] | None
    outermost: int | None

    @property
    def next_value(self) -> int:
        """What nextval() would give."""
        return self.position.last_value + (self.increment if self.position.is_called else 0)

    @property
    def collides(self) -> bool:
        """Whether its next values are, or may be, in use already. One that cycles is meant to come back to them."""
        if self.cycles or self.outermost is None:
            return False
        ahead = self.next_value - self.outermost
        return ahead <= 0 if self.increment > 0 else ahead >= 0

    def __str__(self) -> str:
        return f"next value {self.next_value:,}"


def compare_sequences(
    source: Connection,
    target: Connection,
    sequences: Sequence[SequenceName],
    schemas: Mapping[str, str],
    drift_is_wrong: bool,
    settings: Sequence[tuple[str, str]] = (),
    masked: Collection[SequenceName] = (),
) -> list[Observation]:
    """What is to be told of the source's sequences.

    Args:
        sequences: by their names in the source.
        schemas: name in the target of each source schema.
        drift_is_wrong: whether the target should stand where the source does now, rather than when it was read.
        settings: those of the source's database (`Catalog.settings`).
        masked: those whose columns have other numbers in the target; they need only be beyond these.

    Raises:
        psycopg2.Error: when a side can't be read.
    """
    ours = read_states(source, sequences, application_path(settings, {}))
    renamed = [(schemas[schema], name) for schema, name in sequences]
    theirs = read_states(target, renamed, application_path(settings, schemas))
    recorded = recorded_positions(target)
    found: list[Observation] = []
    for (schema, name), state in ours.items():
        key = (schemas[schema], name)
        there = theirs.get(key)
        if there is not None and (schema, name) in masked:
            state = replace(state, position=there.position, outermost=None)
        found += _compare(f"sequence {'.'.join(key)}", state, there, recorded.get(key), drift_is_wrong)
    return found


def _compare(
    name: str,
    source: SequenceState,
    target: SequenceState | None,
    copied: tuple[str, Position] | None,
    drift_is_wrong: bool,
) -> list[Observation]:
    if target is None:
        return [Observation(name, "missing in the target")]
    found = []
    if target.collides:
        column = ".".join(target.column or ())
        what = f"{target} in the target, but {column} already holds {target.outermost:,}"
        as_in_source = source.collides and source.position == target.position
        found.append(Observation(name, what + (", as in the source" if as_in_source else ""), wrong=not as_in_source))
    if target.position == source.position:
        return found
    places = f"{target} in the target, {source} in the source"
    if copied is None or target.position != copied[1]:
        found.append(Observation(name, places))
        return found
    drift = f"the source moved on since its position was copied at {copied[0]} UTC: {places}"
    found.append(Observation(name, drift, wrong=drift_is_wrong))
    return found


def read_states(
    connection: Connection, names: Sequence[SequenceName], application: tuple[str, ...] = DEFAULT_PATH
) -> Mapping[SequenceName, SequenceState]:
    """The states of the sequences that are there; ``application`` is as `application_path`."""
    statement = sql_file("verification/sequences.sql")
    wanted = set(names)
    known = {
        (schema, name): rest
        for schema, name, *rest in fetch(connection, statement, {"schemas": sorted({s for s, _ in names})})
        if (schema, name) in wanted
    }
    positions = read_positions(connection, list(known))
    columns = {name: (tuple(column), increment) for name, (increment, _, *column) in known.items() if column[0]}
    outermost = _outermost(connection, columns, application)
    return {
        name: SequenceState(
            positions[name], increment, cycles, columns[name][0] if name in columns else None, outermost.get(name)
        )
        for name, (increment, cycles, *_) in known.items()
    }


def _outermost(
    connection: Connection,
    columns: Mapping[SequenceName, tuple[tuple[str, str, str], int]],
    application: tuple[str, ...],
) -> Mapping[SequenceName, int]:
    """The greatest value in each sequence's column, or the least, where the table has rows; of the whole tree of tables
    that share the column."""
    found = {}
    names = list(columns)
    for first in range(0, len(names), SEQUENCES_PER_QUERY):
        batch = names[first : first + SEQUENCES_PER_QUERY]
        selects = [_select_outermost(number, *columns[name]) for number, name in enumerate(batch)]
        path = ValuesPath(tuple(sorted({schema for (schema, *_), _ in (columns[name] for name in batch)})), application)
        for number, value in fetch_rows(connection, path, sql.SQL(" UNION ALL ").join(selects)):
            if value is not None and value.is_finite():
                found[batch[number]] = int(value)
    return found


def _select_outermost(number: int, column: tuple[str, str, str], increment: int) -> sql.Composable:
    function = sql.SQL(
        "pg_catalog.floor(pg_catalog.max({})::pg_catalog.numeric)"
        if increment > 0
        else "pg_catalog.ceil(pg_catalog.min({})::pg_catalog.numeric)"
    )
    schema, table, name = column
    return sql.SQL("SELECT {}, {} FROM {}").format(
        sql.Literal(number), function.format(sql.Identifier(name)), sql.Identifier(schema, table)
    )
