-- Installed extensions, in the schema that they have in the source. Their members are theirs: never copied one by one.
SELECT 'pg_extension'::regclass::oid AS classid,
       e.oid AS objid,
       '' AS schema,
       e.extname AS name,
       format('DROP EXTENSION IF EXISTS %I', e.extname) AS drop_statement,
       CASE WHEN mapped.target IS NULL AND n.nspname <> 'pg_catalog'
            THEN ARRAY[format('CREATE SCHEMA IF NOT EXISTS %I', n.nspname)]
            ELSE ARRAY[]::text[] END
       || format('CREATE EXTENSION IF NOT EXISTS %I%s', e.extname,
                 CASE WHEN n.nspname <> 'pg_catalog'
                      THEN format(' WITH SCHEMA %I', coalesce(mapped.target, n.nspname)) END) AS statements,
       e.extversion AS version,
       mapped.target IS NULL AS only_if_used
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
  LEFT JOIN unnest(parse_ident(current_setting('pg_migration.schemas')),
                   parse_ident(current_setting('pg_migration.target_schemas'))) AS mapped (source, target)
    ON mapped.source = n.nspname
 WHERE e.extname <> 'plpgsql'
