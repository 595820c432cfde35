-- Extended statistics. stxstattarget is -1 for none up to 16 and NULL from 17 on.
SELECT 'pg_statistic_ext'::regclass::oid AS classid,
       s.oid AS objid,
       n.nspname AS schema,
       s.stxname AS name,
       s.stxrelid AS relation,
       c.relkind = 'm' AS after_data,
       format('DROP STATISTICS IF EXISTS %I.%I', n.nspname, s.stxname) AS drop_statement,
       ARRAY[pg_get_statisticsobjdef(s.oid)]
       || CASE WHEN to_jsonb(s) ->> 'stxstattarget' <> '-1'
               THEN ARRAY[format('ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, s.stxname,
                                 to_jsonb(s) ->> 'stxstattarget')]
               ELSE ARRAY[]::text[] END AS statements
  FROM pg_statistic_ext s
  JOIN pg_namespace n ON n.oid = s.stxnamespace
  JOIN pg_class c ON c.oid = s.stxrelid
 WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND c.relkind IN ('r', 'p', 'm', 'f')
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_statistic_ext'::regclass AND m.objid = s.oid AND m.deptype = 'e')
