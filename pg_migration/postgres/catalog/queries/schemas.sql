-- The migrated schemas themselves. Renamed: the statement speaks of the name in the target.
SELECT 'pg_namespace'::regclass::oid AS classid,
       n.oid AS objid,
       n.nspname AS schema,
       n.nspname AS name,
       ARRAY[format('CREATE SCHEMA IF NOT EXISTS %I', mapped.target)] AS statements
  FROM unnest(parse_ident(current_setting('pg_migration.schemas')),
              parse_ident(current_setting('pg_migration.target_schemas'))) AS mapped (source, target)
  JOIN pg_namespace n ON n.nspname = mapped.source
 ORDER BY n.nspname
