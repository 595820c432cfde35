-- Casts from or to a type of the migrated schemas, or by a function of theirs; of a whole database all. A cast has no schema
-- of its own.
SELECT 'pg_cast'::regclass::oid AS classid,
       c.oid AS objid,
       '' AS schema,
       format('%s AS %s', format_type(c.castsource, NULL), format_type(c.casttarget, NULL)) AS name,
       format('DROP CAST IF EXISTS (%s AS %s)', format_type(c.castsource, NULL), format_type(c.casttarget, NULL)) AS drop_statement,
       ARRAY[format('CREATE CAST (%s AS %s) %s%s', format_type(c.castsource, NULL), format_type(c.casttarget, NULL),
                    CASE c.castmethod WHEN 'b' THEN 'WITHOUT FUNCTION' WHEN 'i' THEN 'WITH INOUT'
                                      ELSE 'WITH FUNCTION ' || concat(c.castfunc::regprocedure) END,
                    CASE c.castcontext WHEN 'a' THEN ' AS ASSIGNMENT' WHEN 'i' THEN ' AS IMPLICIT' END)] AS statements
  FROM pg_cast c
  JOIN pg_type s ON s.oid = c.castsource
  JOIN pg_type t ON t.oid = c.casttarget
  LEFT JOIN pg_proc p ON p.oid = c.castfunc
 WHERE c.oid >= 16384
   AND (coalesce(current_setting('pg_migration.whole', true), '') = 'on'
        OR EXISTS (SELECT FROM pg_namespace n
                    WHERE n.oid IN (s.typnamespace, t.typnamespace, p.pronamespace)
                      AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_cast'::regclass AND m.objid = c.oid AND m.deptype IN ('e', 'i'))
   -- From 14 on every range type has its cast to the multirange type made with it.
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_type'::regclass AND m.objid = c.casttarget AND m.deptype = 'i'
                      AND m.refclassid = 'pg_type'::regclass AND m.refobjid = c.castsource)
