-- Tables of the target that would lose their rows and are not empty files: those that are named (arrays of schemas and
-- names), and below those that would be dropped, in whatever schema, what inherits from them.
WITH RECURSIVE doomed (oid, dropped) AS (
    SELECT c.oid, w.dropped
      FROM unnest(%(schemas)s::text[], %(names)s::text[], %(dropped)s::boolean[]) AS w (schema, name, dropped)
      JOIN pg_namespace n ON n.nspname = w.schema
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
    UNION
    SELECT i.inhrelid, true
      FROM doomed d
      JOIN pg_inherits i ON i.inhparent = d.oid
     WHERE d.dropped
)
SELECT n.nspname, c.relname, c.oid, pg_relation_size(c.oid),
       CASE WHEN c.reltuples > 0 THEN c.reltuples::bigint ELSE pg_stat_get_live_tuples(c.oid) END
  FROM (SELECT DISTINCT oid FROM doomed) AS d
  JOIN pg_class c USING (oid)
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND pg_relation_size(c.oid) > 0
 ORDER BY 1, 2
