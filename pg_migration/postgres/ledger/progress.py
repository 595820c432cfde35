"""How far a run is, in the ledger: for whoever asks the target from elsewhere."""

from psycopg2.extensions import connection as Connection

from pg_migration.postgres.connection.statements import execute

# Nobody waits for the disk for it: what a crash takes away is of a run that the crash has ended.
_RECORD = """
INSERT INTO _pg_migration.progress (run_id, progress)
SELECT %s, %s FROM pg_catalog.set_config('synchronous_commit', 'off', true)
ON CONFLICT (run_id) DO UPDATE SET progress = excluded.progress, told_at = pg_catalog.clock_timestamp()
"""


def record_progress(connection: Connection, run_id: str, progress: str) -> None:
    """Write down how far a run is now, as JSON."""
    execute(connection, _RECORD, (run_id, progress))


def forget_progress(connection: Connection) -> None:
    """Forget how far earlier runs were."""
    execute(connection, "DELETE FROM _pg_migration.progress")
