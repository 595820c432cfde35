-- The extensions in a database, and the schema of each.
SELECT e.extname::text AS name,
       n.nspname::text AS schema
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
