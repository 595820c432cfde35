-- Privileges that differ from what the owner and PUBLIC have by default: acldefault, or what CREATE EXTENSION gave, or initdb.
-- One row per grant, in the order in which the server keeps them; the privileges of a grantee that come without grant option
-- precede those with it. Those on what is part of PostgreSQL, and on the database itself, belong to a whole database.
WITH holder AS (
    SELECT 'pg_namespace'::regclass AS catalog, n.oid, 0 AS subid, n.nspacl AS acl, n.nspowner AS owner, 'n' AS kind,
           'SCHEMA' AS word
      FROM pg_namespace n
     WHERE n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
        OR coalesce(current_setting('pg_migration.whole', true), '') = 'on' AND n.nspname = 'pg_catalog'
     UNION ALL
    SELECT 'pg_database'::regclass, d.oid, 0, d.datacl, d.datdba, 'd', 'DATABASE'
      FROM pg_database d
     WHERE coalesce(current_setting('pg_migration.whole', true), '') = 'on' AND d.datname = current_database() AND d.datacl IS NOT NULL
     UNION ALL
    SELECT 'pg_class'::regclass, c.oid, 0, c.relacl, c.relowner, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END,
           CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END
      FROM pg_class c
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relacl IS NOT NULL
     UNION ALL
    SELECT 'pg_class'::regclass, a.attrelid, a.attnum, a.attacl, c.relowner, 'c', 'COLUMN'
      FROM pg_attribute a
      JOIN pg_class c ON c.oid = a.attrelid
     WHERE a.attacl IS NOT NULL AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT a.attisdropped
     UNION ALL
    SELECT 'pg_type'::regclass, t.oid, 0, t.typacl, t.typowner, 'T',
           CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END
      FROM pg_type t
     WHERE t.typacl IS NOT NULL
     UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, 0, p.proacl, p.proowner, 'f',
           CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END
      FROM pg_proc p
     WHERE p.proacl IS NOT NULL
     UNION ALL
    SELECT 'pg_language'::regclass, l.oid, 0, l.lanacl, l.lanowner, 'l', 'LANGUAGE'
      FROM pg_language l
     WHERE l.lanacl IS NOT NULL
     UNION ALL
    SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, 0, w.fdwacl, w.fdwowner, 'F', 'FOREIGN DATA WRAPPER'
      FROM pg_foreign_data_wrapper w
     WHERE w.fdwacl IS NOT NULL
     UNION ALL
    SELECT 'pg_foreign_server'::regclass, s.oid, 0, s.srvacl, s.srvowner, 'S', 'FOREIGN SERVER'
      FROM pg_foreign_server s
     WHERE s.srvacl IS NOT NULL)
SELECT h.catalog::oid AS classid,
       h.oid AS objid,
       h.subid AS objsubid,
       h.word AS word,
       CASE h.word WHEN 'COLUMN' THEN (SELECT quote_ident(a.attname) FROM pg_attribute a
                                        WHERE a.attrelid = h.oid AND a.attnum = h.subid) END AS quoted_column,
       CASE h.word WHEN 'SCHEMA' THEN coalesce(quote_ident(mapped.target), i.identity)
                   WHEN 'DATABASE' THEN quote_ident(current_setting('pg_migration.target_database', true))
                   WHEN 'COLUMN' THEN concat(h.oid::regclass)
                   WHEN 'PROCEDURE' THEN (SELECT format('%I.%I(%s)', n.nspname, p.proname,
                                                        pg_get_function_identity_arguments(p.oid))
                                            FROM pg_proc p
                                            JOIN pg_namespace n ON n.oid = p.pronamespace
                                           WHERE p.oid = h.oid)
                   WHEN 'FUNCTION' THEN concat(h.oid::regprocedure)
                   WHEN 'TYPE' THEN concat(h.oid::regtype)
                   WHEN 'DOMAIN' THEN concat(h.oid::regtype)
                   WHEN 'LANGUAGE' THEN i.identity
                   WHEN 'FOREIGN DATA WRAPPER' THEN i.identity
                   WHEN 'FOREIGN SERVER' THEN i.identity
                   ELSE concat(h.oid::regclass) END AS quoted,
       CASE i.type WHEN 'database' THEN i.type
                   WHEN 'schema' THEN concat(i.type, ' ', coalesce(quote_ident(mapped.target), i.identity))
                   ELSE concat(i.type, ' ', i.identity) END AS name,
       mapped.target IS NULL AND h.oid < 16384 OR h.word = 'DATABASE' AS stands_alone,
       pg_get_userbyid(h.owner)::text AS owner,
       CASE h.word WHEN 'COLUMN'
                   THEN ARRAY(SELECT ARRAY[pg_get_userbyid(x.grantee)::text, x.privilege_type]
                                FROM pg_class c
                               CROSS JOIN LATERAL aclexplode(c.relacl) AS x
                               WHERE c.oid = h.oid AND x.is_grantable) END AS options_on_relation,
       ARRAY(SELECT ARRAY[g.grantor, g.grantee, g.privilege, g.grantable]
               FROM (SELECT pg_get_userbyid(x.grantor)::text AS grantor,
                            CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee)::text END AS grantee,
                            x.privilege_type AS privilege, x.is_grantable::text AS grantable
                       FROM unnest(coalesce(h.acl, acldefault(h.kind::"char", h.owner))) WITH ORDINALITY AS e (item, position)
                      CROSS JOIN LATERAL aclexplode(ARRAY[e.item]) AS x
                      ORDER BY e.position, x.is_grantable, x.privilege_type) AS g) AS held,
       ARRAY(SELECT ARRAY[g.grantor, g.grantee, g.privilege, g.grantable]
               FROM (SELECT pg_get_userbyid(x.grantor)::text AS grantor,
                            CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee)::text END AS grantee,
                            x.privilege_type AS privilege, x.is_grantable::text AS grantable
                       FROM unnest(coalesce(initial.initprivs, acldefault(h.kind::"char", h.owner))) WITH ORDINALITY AS e (item, position)
                      CROSS JOIN LATERAL aclexplode(ARRAY[e.item]) AS x
                      ORDER BY e.position, x.is_grantable, x.privilege_type) AS g) AS by_default
  FROM holder h
 CROSS JOIN LATERAL pg_identify_object(h.catalog, h.oid, h.subid) AS i
  LEFT JOIN unnest(parse_ident(current_setting('pg_migration.schemas')),
                   parse_ident(current_setting('pg_migration.target_schemas'))) AS mapped (source, target)
    ON i.type = 'schema' AND quote_ident(mapped.source) = i.identity
  LEFT JOIN pg_init_privs initial ON initial.classoid = h.catalog AND initial.objoid = h.oid AND initial.objsubid = h.subid
   AND (initial.privtype = 'e' OR mapped.target IS NULL AND h.oid < 16384)
 WHERE (h.oid >= 16384
        OR mapped.target IS NOT NULL
        OR h.word = 'DATABASE'
        OR coalesce(current_setting('pg_migration.whole', true), '') = 'on' AND h.acl IS DISTINCT FROM initial.initprivs
           AND coalesce(i.schema, quote_ident('pg_catalog')) = quote_ident('pg_catalog'))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = h.catalog AND m.objid = h.oid
                      AND m.deptype = 'i' AND m.classid = 'pg_proc'::regclass)
   -- A member of an extension comes with the privileges that the extension gives; only what was changed since is said.
   AND (i.schema IS NULL
        OR coalesce(current_setting('pg_migration.whole', true), '') = 'on'
        OR i.schema IN (SELECT quote_ident(s) FROM unnest(parse_ident(current_setting('pg_migration.schemas'))) AS s)
        OR NOT EXISTS (SELECT FROM pg_depend m
                        WHERE m.classid = h.catalog AND m.objid = h.oid AND m.deptype = 'e'))
