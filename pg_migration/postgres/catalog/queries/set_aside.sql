-- Event triggers that a run has disabled for as long as it works, and what brings them back.
SELECT s.name, s.restore FROM _pg_migration.suspended s WHERE s.kind = 'event trigger'
