-- Constraints of tables that belong to an extension: its own, and those that users have added. The catalogs don't tell.
SELECT 'pg_constraint'::regclass::oid AS classid,
       k.oid AS objid,
       n.nspname AS schema,
       k.conname AS name,
       k.contype AS type,
       c.oid AS relation,
       format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', c.oid::regclass, k.conname) AS drop_statement,
       ARRAY[format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.oid::regclass, k.conname, pg_get_constraintdef(k.oid))]
           AS statements
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE k.contype IN ('c', 'f', 'p', 'u', 'x')
   AND k.conparentid = 0
   AND k.conislocal
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND EXISTS (SELECT FROM pg_depend m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
