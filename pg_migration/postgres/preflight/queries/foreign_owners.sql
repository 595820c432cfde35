-- Relations of the target (two arrays: schemas and names) that this role may neither alter nor empty.
SELECT w.schema || '.' || w.name AS relation, pg_get_userbyid(c.relowner) AS owner
  FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS w (schema, name)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
 WHERE NOT pg_has_role(c.relowner, 'USAGE')
 ORDER BY 1
