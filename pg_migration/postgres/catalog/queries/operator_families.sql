-- Operator families.
SELECT 'pg_opfamily'::regclass::oid AS classid,
       f.oid AS objid,
       n.nspname AS schema,
       format('%s USING %s', f.opfname, am.amname) AS name,
       format('DROP OPERATOR FAMILY IF EXISTS %I.%I USING %I', n.nspname, f.opfname, am.amname) AS drop_statement,
       ARRAY[format('CREATE OPERATOR FAMILY %I.%I USING %I', n.nspname, f.opfname, am.amname)] AS statements
  FROM pg_opfamily f
  JOIN pg_namespace n ON n.oid = f.opfnamespace
  JOIN pg_am am ON am.oid = f.opfmethod
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_opfamily'::regclass AND m.objid = f.oid AND m.deptype = 'e')
