-- What a migration of schemas does not copy, by name, with the reason.
WITH chosen AS (
    SELECT n.oid, n.nspname
      FROM pg_namespace n
     WHERE n.nspname = ANY (current_setting('pg_migration.schemas')::text[]))
SELECT 'foreign table' AS kind, n.nspname || '.' || c.relname AS name,
       'foreign tables and their servers are not copied; make them in the target if it may reach that server' AS reason
  FROM pg_class c
  JOIN chosen n ON n.oid = c.relnamespace
 WHERE c.relkind = 'f'
 UNION ALL
SELECT 'foreign server', s.srvname, 'foreign servers hold connections and user mappings of their own and are not copied'
  FROM pg_foreign_server s
 UNION ALL
SELECT 'invalid index', n.nspname || '.' || x.relname,
       'no query can use it: a CREATE INDEX CONCURRENTLY failed and left it; it is not built in the target'
  FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_class t ON t.oid = i.indrelid
  JOIN chosen n ON n.oid = x.relnamespace
 WHERE NOT i.indisvalid AND t.relkind IN ('r', 'm')
 UNION ALL
SELECT 'event trigger', e.evtname, 'event triggers belong to the whole database and are not copied'
  FROM pg_event_trigger e
 WHERE NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid AND m.deptype = 'e')
 UNION ALL
SELECT 'publication', p.pubname, 'replication is set up anew for a new database'
  FROM pg_publication p
 UNION ALL
SELECT 'security label', i.type || ' ' || i.identity, format('labels of provider %s are not copied', l.provider)
  FROM pg_seclabel l
 CROSS JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) AS i
 UNION ALL
SELECT 'default privileges', format('of %s on new %s', pg_get_userbyid(d.defaclrole),
                                    CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences'
                                                         WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types'
                                                         WHEN 'n' THEN 'schemas' ELSE 'large objects' END),
       'they hold for every schema of the database and are not copied'
  FROM pg_default_acl d
 WHERE d.defaclnamespace = 0
 UNION ALL
SELECT 'tablespace', n.nspname || '.' || c.relname,
       format('it lies in tablespace %s in the source and in the database''s own tablespace in the target', s.spcname)
  FROM pg_class c
  JOIN chosen n ON n.oid = c.relnamespace
  JOIN pg_tablespace s ON s.oid = c.reltablespace
 WHERE c.relkind IN ('r', 'p', 'm', 'i', 'I')
 UNION ALL
SELECT 'database setting', split_part(x.setting, '=', 1),
       'set on the source database; used while the target is written, not set on the target database'
  FROM pg_db_role_setting s
 CROSS JOIN LATERAL unnest(s.setconfig) AS x (setting)
 WHERE s.setdatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
   AND s.setrole = 0
 UNION ALL
SELECT 'large objects', 'pg_largeobject', format('%s large objects are not copied%s', count(*),
       (SELECT '; these columns may refer to them: ' || string_agg(format('%s.%s.%s', n.nspname, c.relname, a.attname), ', ')
          FROM pg_attribute a
          JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
          JOIN chosen n ON n.oid = c.relnamespace
          JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attnum > 0 AND NOT a.attisdropped
           AND (t.oid = 'oid'::regtype OR t.typname = 'lo' AND t.typbasetype = 'oid'::regtype)))
  FROM pg_largeobject_metadata
HAVING count(*) > 0
 ORDER BY 1, 2
