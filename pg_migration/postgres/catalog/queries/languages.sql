-- Procedural languages that no extension brings. They have no schema; those that nothing migrated uses are left out again.
SELECT 'pg_language'::regclass::oid AS classid,
       l.oid AS objid,
       '' AS schema,
       l.lanname AS name,
       '' AS drop_statement,
       ARRAY[format('CREATE %sLANGUAGE %I HANDLER %s%s%s', CASE WHEN l.lanpltrusted THEN 'TRUSTED ' END, l.lanname,
                    l.lanplcallfoid::regproc, ' INLINE ' || nullif(l.laninline, 0)::regproc::text,
                    ' VALIDATOR ' || nullif(l.lanvalidator, 0)::regproc::text)] AS statements
  FROM pg_language l
 WHERE l.lanispl
   AND l.oid >= 16384
   AND l.lanplcallfoid <> 0
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_language'::regclass AND m.objid = l.oid AND m.deptype = 'e')
