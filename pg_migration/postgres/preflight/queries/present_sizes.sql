-- Bytes of what the target (two arrays: schemas and names) already holds of these tables, indexes included.
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
  FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS w (schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
