-- Procedural languages that no extension brings. They have no schema; one whose handler comes from elsewhere is left out
-- again when nothing migrated uses it, unless the whole database is migrated.
SELECT 'pg_language'::regclass::oid AS classid,
       l.oid AS objid,
       '' AS schema,
       l.lanname AS name,
       format('DROP LANGUAGE IF EXISTS %I', l.lanname) AS drop_statement,
       ARRAY[format('CREATE %sLANGUAGE %I HANDLER %s%s%s', CASE WHEN l.lanpltrusted THEN 'TRUSTED ' END, l.lanname,
                    l.lanplcallfoid::regproc, ' INLINE ' || nullif(concat(l.laninline::regproc), '-'),
                    ' VALIDATOR ' || nullif(concat(l.lanvalidator::regproc), '-'))] AS statements,
       coalesce(current_setting('pg_migration.whole', true), '') <> 'on'
       AND n.nspname <> ALL (parse_ident(current_setting('pg_migration.schemas'))) AS only_if_used
  FROM pg_language l
  JOIN pg_proc p ON p.oid = l.lanplcallfoid
  JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE l.lanispl
   AND l.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_language'::regclass AND m.objid = l.oid AND m.deptype = 'e')
