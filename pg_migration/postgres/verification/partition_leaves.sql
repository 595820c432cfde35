-- Every partitioned table of some schemas, and the tables below it that hold its rows, without foreign ones, as the snapshot has them: the
-- functions on partition trees look at the present. A partition that is being detached does not belong any more.
WITH RECURSIVE below AS (
    SELECT c.oid AS root, c.oid AS relation
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'p' AND n.nspname = ANY (%(schemas)s)
     UNION ALL
    SELECT b.root, i.inhrelid
      FROM below b
      JOIN pg_inherits i ON i.inhparent = b.relation
     WHERE NOT coalesce(to_jsonb(i) ->> 'inhdetachpending' = 'true', false) -- since 14
)
SELECT rn.nspname AS schema,
       r.relname AS name,
       array_agg(ARRAY[ln.nspname::text, l.relname::text]) FILTER (WHERE l.relkind NOT IN ('p', 'f')) AS leaves
  FROM below b
  JOIN pg_class r ON r.oid = b.root
  JOIN pg_namespace rn ON rn.oid = r.relnamespace
  JOIN pg_class l ON l.oid = b.relation
  JOIN pg_namespace ln ON ln.oid = l.relnamespace
 GROUP BY r.oid, rn.nspname, r.relname
