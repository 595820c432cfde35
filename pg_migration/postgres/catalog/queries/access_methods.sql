-- Access methods that somebody made. They have no schema; those that nothing migrated uses are left out again.
SELECT 'pg_am'::regclass::oid AS classid,
       a.oid AS objid,
       '' AS schema,
       a.amname AS name,
       '' AS drop_statement,
       ARRAY[format('CREATE ACCESS METHOD %I TYPE %s HANDLER %s', a.amname,
                    CASE a.amtype WHEN 'i' THEN 'INDEX' ELSE 'TABLE' END, a.amhandler)] AS statements
  FROM pg_am a
 WHERE a.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_am'::regclass AND m.objid = a.oid AND m.deptype = 'e')
