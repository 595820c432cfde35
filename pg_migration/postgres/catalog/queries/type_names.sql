-- The types of columns as people write them. Run with the migrated schemas on the search_path and quoting only where it
-- is needed; columns.sql gives the same types as DDL needs them.
SELECT DISTINCT a.atttypid AS type_oid,
       a.atttypmod AS type_modifier,
       format_type(a.atttypid, a.atttypmod) AS name
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f')
   AND a.attnum > 0
   AND NOT a.attisdropped
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
