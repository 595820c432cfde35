-- For tables, by schema and name: oid, file, and the rows that the server has counted as inserted, updated and deleted.
-- Nothing where counting is switched off.
SELECT n.nspname, c.relname, c.oid, pg_relation_filenode(c.oid)::bigint, pg_stat_get_tuples_inserted(c.oid),
       pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_deleted(c.oid)
  FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS w (schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
 WHERE c.relkind = 'r' AND current_setting('track_counts') = 'on'
