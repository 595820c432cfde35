-- OWNED BY: which column a sequence goes away with.
SELECT 'pg_class'::regclass::oid AS classid,
       c.oid AS objid,
       'owned by' AS aspect,
       n.nspname AS schema,
       c.relname AS name,
       t.oid AS relation,
       format('ALTER SEQUENCE %s OWNED BY NONE', c.oid::regclass) AS drop_statement,
       ARRAY[format('ALTER SEQUENCE %s OWNED BY %s.%I', c.oid::regclass, t.oid::regclass, a.attname)] AS statements,
       a.attname AS column_name
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype = 'a'
  JOIN pg_class t ON t.oid = d.refobjid
  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
 WHERE c.relkind = 'S'
   AND c.relpersistence <> 't'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
