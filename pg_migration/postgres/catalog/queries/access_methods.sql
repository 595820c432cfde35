-- Access methods that somebody made. They have no schema; one whose handler comes from elsewhere is left out again when
-- nothing migrated uses it, unless the whole database is migrated.
SELECT 'pg_am'::regclass::oid AS classid,
       a.oid AS objid,
       '' AS schema,
       a.amname AS name,
       '' AS drop_statement,
       ARRAY[format('CREATE ACCESS METHOD %I TYPE %s HANDLER %s', a.amname,
                    CASE a.amtype WHEN 'i' THEN 'INDEX' ELSE 'TABLE' END, a.amhandler)] AS statements,
       coalesce(current_setting('pg_migration.whole', true), '') <> 'on'
       AND n.nspname <> ALL (parse_ident(current_setting('pg_migration.schemas'))) AS only_if_used
  FROM pg_am a
  JOIN pg_proc p ON p.oid = a.amhandler
  JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE a.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_am'::regclass AND m.objid = a.oid AND m.deptype = 'e')
