-- Constraints of domains that CREATE DOMAIN can't carry: not validated, or calling functions that may take the domain.
SELECT 'pg_constraint'::regclass::oid AS classid,
       k.oid AS objid,
       n.nspname AS schema,
       t.typname || '.' || k.conname AS name,
       format('ALTER DOMAIN %s DROP CONSTRAINT IF EXISTS %I', t.oid::regtype, k.conname) AS drop_statement,
       ARRAY[format('ALTER DOMAIN %s ADD CONSTRAINT %I %s', t.oid::regtype, k.conname,
                    pg_get_constraintdef(k.oid))] AS statements,
       NOT k.convalidated AS after_data
  FROM pg_constraint k
  JOIN pg_type t ON t.oid = k.contypid
  JOIN pg_namespace n ON n.oid = t.typnamespace
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND k.contype = 'c'
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid AND m.deptype = 'e')
   AND (NOT k.convalidated
        OR EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
                      AND d.refobjid >= 16384 AND d.refobjid <> t.oid))
