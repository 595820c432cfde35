-- Foreign tables, wherever they are, with the types that hold their rows. Those of extensions come with these.
SELECT c.oid,
       n.nspname AS schema,
       c.relname AS name,
       ARRAY[t.oid::bigint, t.typarray::bigint] AS row_types
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = c.reltype
 WHERE c.relkind = 'f'
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
 ORDER BY n.nspname, c.relname
