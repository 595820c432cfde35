-- What earlier migrations from one source brought here, and from which of its schemas.
SELECT b.identity, b.source_schema
  FROM _pg_migration.brought b
 WHERE b.source = current_setting('pg_migration.source')
