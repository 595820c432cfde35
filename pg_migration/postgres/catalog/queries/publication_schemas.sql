-- Migrated schemas all of whose tables are in a publication (from 15 on). Their catalog, pg_publication_namespace, is known
-- here by its fixed OID, since an older server has none of that name.
SELECT s.classid,
       s.objid,
       n.nspname AS schema,
       p.pubname AS name,
       format('ALTER PUBLICATION %I DROP TABLES IN SCHEMA %I', p.pubname, mapped.target) AS drop_statement,
       ARRAY[format('ALTER PUBLICATION %I ADD TABLES IN SCHEMA %I', p.pubname, mapped.target)] AS statements
  FROM pg_depend s
  JOIN pg_depend d ON d.classid = s.classid AND d.objid = s.objid AND d.refclassid = 'pg_publication'::regclass
  JOIN pg_publication p ON p.oid = d.refobjid
  JOIN pg_namespace n ON n.oid = s.refobjid
  JOIN unnest(parse_ident(current_setting('pg_migration.schemas')),
              parse_ident(current_setting('pg_migration.target_schemas'))) AS mapped (source, target)
    ON mapped.source = n.nspname
 WHERE s.classid = 6237::oid
   AND s.refclassid = 'pg_namespace'::regclass
   AND NOT EXISTS (SELECT FROM pg_depend x
                    WHERE x.classid = 'pg_publication'::regclass AND x.objid = p.oid AND x.deptype = 'e')
