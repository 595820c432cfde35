"""Set the sequences of the target where the source's are."""

from collections.abc import Sequence

from pg_migration.postgres.catalog import Table
from pg_migration.postgres.connection.statements import gathered, savepoint
from pg_migration.postgres.ledger.sequence_positions import record_positions
from pg_migration.postgres.migration.run import MigrationRun
from pg_migration.postgres.transfer.sequences import read_positions, set_positions


def set_sequences(run: MigrationRun, tables: Sequence[Table], every: bool) -> None:
    """Set the sequences that belong to some tables, or every one, where the source's are now."""
    mine = {table.key for table in tables}
    failed = run.not_made("sequence", "identity")
    sequences = [
        s for s in run.catalog.sequences if s.key not in failed and (every or (s.owned_by and s.owned_by[:2] in mine))
    ]
    if not sequences:
        return
    with savepoint(run.source_connection):
        positions = read_positions(run.source_connection, [s.key for s in sequences])
    wanted = {(run.schemas[schema], name): position for (schema, name), position in positions.items()}
    with gathered(run.target_connection):
        set_positions(run.target_connection, wanted)
        record_positions(run.target_connection, wanted)
