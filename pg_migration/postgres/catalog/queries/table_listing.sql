-- What there is to migrate, as cheaply as it can be told: tables, their columns, and the tables that they refer to.
SELECT n.nspname AS schema,
       c.relname AS name,
       c.relkind AS kind,
       obj_description(c.oid, 'pg_class') AS comment,
       coalesce((SELECT array_agg(ARRAY[a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text]
                                  ORDER BY a.attnum)
                   FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), ARRAY[]::text[]) AS columns,
       coalesce((SELECT array_agg(DISTINCT ARRAY[fn.nspname::text, f.relname::text])
                   FROM pg_constraint k
                   JOIN pg_class f ON f.oid = k.confrelid
                   JOIN pg_namespace fn ON fn.oid = f.relnamespace
                  WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0), ARRAY[]::text[]) AS references
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p')
   AND c.relpersistence <> 't'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
 ORDER BY n.nspname, c.relname
