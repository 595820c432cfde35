-- Defaults that views give to columns, for INSERT through the view.
SELECT 'pg_attrdef'::regclass::oid AS classid,
       d.oid AS objid,
       n.nspname AS schema,
       a.attname AS name,
       c.oid AS relation,
       format('ALTER VIEW %s ALTER COLUMN %I DROP DEFAULT', c.oid::regclass, a.attname) AS drop_statement,
       ARRAY[format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', c.oid::regclass, a.attname,
                    pg_get_expr(d.adbin, d.adrelid))] AS statements
  FROM pg_attrdef d
  JOIN pg_class c ON c.oid = d.adrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum
 WHERE c.relkind = 'v'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
