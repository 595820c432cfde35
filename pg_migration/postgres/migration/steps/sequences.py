"""Set the sequences of the target where the source's are."""

from collections.abc import Mapping, Sequence

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.catalog.values_path import application_path
from pg_migration.postgres.connection.statements import gathered, savepoint
from pg_migration.postgres.ledger.sequence_positions import Position, SequenceName, record_positions
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.transfer.sequences import read_positions, set_positions
from pg_migration.postgres.verification.sequences import read_states


def set_sequences(run: MigrationRun, tables: Sequence[Table], every: bool) -> None:
    """Set the sequences that belong to some tables, or every one, where the source's are now.

    One whose column has other numbers in the target is set beyond those.
    """
    mine = {table.key for table in tables}
    failed = run.not_made("sequence", "identity")
    sequences = [
        s for s in run.catalog.sequences if s.key not in failed and (every or (s.owned_by and s.owned_by[:2] in mine))
    ]
    if not sequences:
        return
    with savepoint(run.sides.source_connection):
        positions = read_positions(run.sides.source_connection, [s.key for s in sequences])
    wanted = {(run.schemas[schema], name): position for (schema, name), position in positions.items()}
    wanted |= _beyond_masked(run, wanted)
    with gathered(run.sides.target_connection):
        set_positions(run.sides.target_connection, wanted)
        record_positions(run.sides.target_connection, wanted)


def _beyond_masked(run: MigrationRun, positions: Mapping[SequenceName, Position]) -> Mapping[SequenceName, Position]:
    """Of some positions in the target those of masked columns, beyond the numbers that are there."""
    masked = [(run.schemas[schema], name) for schema, name in run.masked_sequences]
    wanted = [name for name in masked if name in positions]
    if not wanted:
        return {}
    states = read_states(run.sides.target_connection, wanted, application_path(run.catalog.settings, run.schemas))
    outermost = {
        name: (max if state.increment > 0 else min)(positions[name].last_value, state.outermost)
        for name, state in states.items()
        if state.outermost is not None
    }
    return {name: Position(value, True) for name, value in outermost.items()}
