-- What a migration of schemas does not copy, by name, with the reason.
WITH chosen AS (
    SELECT n.oid, n.nspname
      FROM pg_namespace n
     WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas'))))
SELECT 'inheritance' AS kind, format('%s.%s from %s', n.nspname, c.relname, i.inhparent::regclass) AS name,
       'DETACH PARTITION ... CONCURRENTLY was begun and not finished, so queries of the parent pass over the partition; it is '
       'a table of its own in the target, as DETACH PARTITION ... FINALIZE makes it' AS reason
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
  JOIN chosen n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p')
   AND coalesce(to_jsonb(i) ->> 'inhdetachpending' = 'true', false)
 UNION ALL
SELECT 'invalid index', n.nspname || '.' || x.relname,
       'no query can use it: a CREATE INDEX CONCURRENTLY failed and left it; it is not built in the target'
  FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_class t ON t.oid = i.indrelid
  JOIN chosen n ON n.oid = x.relnamespace
 WHERE NOT i.indisvalid AND t.relkind IN ('r', 'm')
 UNION ALL
-- Whoever may read how it connects has it copied.
SELECT 'subscription', s.subname, 'only a superuser of the source may read how it connects'
  FROM pg_subscription s
 WHERE s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
   AND NOT has_column_privilege('pg_subscription', 'subconninfo', 'SELECT')
 UNION ALL
-- Publications that are made, without some of their tables.
SELECT 'publication', format('%s, table %s', p.pubname, r.prrelid::regclass), 'the table is outside the migrated schemas'
  FROM pg_publication p
  JOIN pg_publication_rel r ON r.prpubid = p.oid
  JOIN pg_class c ON c.oid = r.prrelid
 WHERE NOT EXISTS (SELECT FROM chosen n WHERE n.oid = c.relnamespace)
   AND (coalesce(current_setting('pg_migration.whole', true), '') = 'on'
        OR EXISTS (SELECT FROM pg_publication_rel other
                     JOIN pg_class t ON t.oid = other.prrelid
                     JOIN chosen n ON n.oid = t.relnamespace
                    WHERE other.prpubid = p.oid))
 UNION ALL
-- What somebody granted or revoked since initdb.
SELECT 'privileges', i.type || ' ' || i.identity
       || coalesce(' (' || string_agg(held.column_name, ', ' ORDER BY held.subid) || ')', ''),
       'grants on what is part of PostgreSQL are not copied'
  FROM (SELECT 'pg_class'::regclass AS catalog, c.oid, 0 AS subid, NULL::name AS column_name, c.relacl AS acl,
               'r'::"char" AS kind, c.relowner AS owner
          FROM pg_class c WHERE c.relnamespace = 'pg_catalog'::regnamespace
         UNION ALL
        SELECT 'pg_class'::regclass, c.oid, a.attnum, a.attname, a.attacl, 'c', c.relowner
          FROM pg_attribute a
          JOIN pg_class c ON c.oid = a.attrelid
         WHERE c.relnamespace = 'pg_catalog'::regnamespace
         UNION ALL
        SELECT 'pg_proc'::regclass, p.oid, 0, NULL, p.proacl, 'f', p.proowner
          FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace
         UNION ALL
        SELECT 'pg_type'::regclass, t.oid, 0, NULL, t.typacl, 'T', t.typowner
          FROM pg_type t WHERE t.typnamespace = 'pg_catalog'::regnamespace
         UNION ALL
        SELECT 'pg_language'::regclass, l.oid, 0, NULL, l.lanacl, 'l', l.lanowner FROM pg_language l) AS held
  LEFT JOIN pg_init_privs initial ON initial.classoid = held.catalog AND initial.objoid = held.oid
                                 AND initial.objsubid = held.subid
 CROSS JOIN LATERAL pg_identify_object(held.catalog, held.oid, 0) AS i
 WHERE held.oid < 16384
   AND coalesce(current_setting('pg_migration.whole', true), '') <> 'on'
   AND held.acl IS NOT NULL
   AND held.acl IS DISTINCT FROM initial.initprivs
   AND ARRAY(SELECT x FROM aclexplode(held.acl) AS x ORDER BY x)
       <> ARRAY(SELECT x FROM aclexplode(coalesce(initial.initprivs, acldefault(held.kind, held.owner))) AS x ORDER BY x)
 GROUP BY held.catalog, held.oid, held.column_name IS NULL, i.type, i.identity
 UNION ALL
SELECT 'cast', format('%s AS %s', format_type(c.castsource, NULL), format_type(c.casttarget, NULL)),
       'it has no part in the migrated schemas'
  FROM pg_cast c
 WHERE coalesce(current_setting('pg_migration.whole', true), '') <> 'on'
   AND c.oid >= 16384 AND c.castsource < 16384 AND c.casttarget < 16384 AND c.castfunc < 16384
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_cast'::regclass AND m.objid = c.oid AND m.deptype = 'e')
 UNION ALL
SELECT 'security label', i.type || ' ' || i.identity, format('labels of provider %s are not copied there', l.provider)
  FROM pg_seclabel l
 CROSS JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) AS i
 WHERE l.objoid < 16384 AND l.classoid <> 'pg_namespace'::regclass
    OR l.classoid = 'pg_largeobject'::regclass
 UNION ALL
SELECT 'tablespace', n.nspname || '.' || c.relname,
       format('it lies in tablespace %s in the source and in the database''s own tablespace in the target', s.spcname)
  FROM pg_class c
  JOIN chosen n ON n.oid = c.relnamespace
  JOIN pg_tablespace s ON s.oid = c.reltablespace
 WHERE c.relkind IN ('r', 'p', 'm', 'i', 'I')
 ORDER BY 1, 2
