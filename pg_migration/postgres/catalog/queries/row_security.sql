-- ENABLE and FORCE ROW LEVEL SECURITY.
SELECT 'pg_class'::regclass::oid AS classid,
       c.oid AS objid,
       'row security' AS aspect,
       n.nspname AS schema,
       c.relname AS name,
       c.oid AS relation,
       format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', c.oid::regclass)
           AS drop_statement,
       ARRAY[format('ALTER TABLE %s %s', c.oid::regclass,
                    format('%s ROW LEVEL SECURITY, %s ROW LEVEL SECURITY',
                           CASE WHEN c.relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END,
                           CASE WHEN c.relforcerowsecurity THEN 'FORCE' ELSE 'NO FORCE' END))] AS statements
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE (c.relrowsecurity OR c.relforcerowsecurity)
   AND c.relkind IN ('r', 'p')
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
