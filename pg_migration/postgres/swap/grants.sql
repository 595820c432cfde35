-- What gives the objects of some schemas (new) the privileges that those of the same names in others (live) have and that are
-- the target's own: those of roles that the source's server does not have, or (everything) all of them.
WITH pair AS (
    SELECT o.oid AS old, n.oid AS new, n.nspname AS name
      FROM ROWS FROM (unnest(%(live)s::text[]), unnest(%(new)s::text[])) AS w (live, new)
      JOIN pg_namespace o ON o.nspname = w.live
      JOIN pg_namespace n ON n.nspname = w.new
), routine AS (
    SELECT p.oid, p.proname, p.pronamespace, p.proacl, p.proowner,
           ARRAY(SELECT concat(coalesce(w.name, s.nspname), '.', t.typname)
                   FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, place)
                   JOIN pg_type t ON t.oid = a.type
                   JOIN pg_namespace s ON s.oid = t.typnamespace
                   LEFT JOIN pair w ON w.old = s.oid
                  ORDER BY a.place) AS arguments
      FROM pg_proc p
     WHERE p.pronamespace IN (SELECT old FROM pair UNION ALL SELECT new FROM pair)
), object AS (
    SELECT concat('SCHEMA ', quote_ident(p.name)) AS name, NULL::name AS part, o.nspowner AS owner,
           o.nspacl AS had, n.nspacl AS has
      FROM pair p JOIN pg_namespace o ON o.oid = p.old JOIN pg_namespace n ON n.oid = p.new
    UNION ALL
    SELECT format('%%s %%I.%%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, p.name, n.relname), NULL,
           c.relowner, c.relacl, n.relacl
      FROM pair p
      JOIN pg_class c ON c.relnamespace = p.old AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      JOIN pg_class n ON n.relnamespace = p.new AND n.relname = c.relname AND (n.relkind = 'S') = (c.relkind = 'S')
    UNION ALL
    SELECT format('TABLE %%I.%%I', p.name, n.relname), a.attname, c.relowner, a.attacl, b.attacl
      FROM pair p
      JOIN pg_class c ON c.relnamespace = p.old AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      JOIN pg_class n ON n.relnamespace = p.new AND n.relname = c.relname
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
      JOIN pg_attribute b ON b.attrelid = n.oid AND b.attname = a.attname AND NOT b.attisdropped
    UNION ALL
    SELECT concat('ROUTINE ', n.oid::regprocedure), NULL, c.proowner, c.proacl, n.proacl
      FROM pair p
      JOIN routine c ON c.pronamespace = p.old
      JOIN routine n ON n.pronamespace = p.new AND n.proname = c.proname AND n.arguments = c.arguments
    UNION ALL
    SELECT format('TYPE %%I.%%I', p.name, n.typname), NULL, c.typowner, c.typacl, n.typacl
      FROM pair p
      JOIN pg_type c ON c.typnamespace = p.old AND c.typacl IS NOT NULL
      JOIN pg_type n ON n.typnamespace = p.new AND n.typname = c.typname
), role AS (
    SELECT r.oid, quote_ident(r.rolname) AS name
      FROM pg_roles r
     WHERE %(everything)s OR r.rolname <> ALL (%(of_source)s::text[])
    UNION ALL
    SELECT 0, 'PUBLIC' WHERE %(everything)s
)
SELECT format('REVOKE ALL ON %%s FROM PUBLIC', o.name)
  FROM object o
 WHERE %(everything)s AND o.part IS NULL AND o.had IS NOT NULL
   AND NOT EXISTS (SELECT FROM aclexplode(o.had) a WHERE a.grantee = 0)
UNION ALL
SELECT format('GRANT %%s%%s ON %%s TO %%s%%s', a.privilege_type, ' (' || quote_ident(o.part) || ')', o.name, r.name,
              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
  FROM object o
 CROSS JOIN LATERAL aclexplode(o.had) a
  JOIN role r ON r.oid = a.grantee
 WHERE a.grantee <> o.owner
   AND NOT EXISTS (SELECT FROM aclexplode(o.has) h
                    WHERE h.grantee = a.grantee AND h.privilege_type = a.privilege_type
                      AND h.is_grantable >= a.is_grantable)
UNION ALL
SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %%I IN SCHEMA %%I GRANT %%s ON %%s TO %%s%%s',
              pg_get_userbyid(d.defaclrole), p.name, a.privilege_type,
              CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES'
                                   WHEN 'T' THEN 'TYPES' END,
              r.name, CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END)
  FROM pair p
  JOIN pg_default_acl d ON d.defaclnamespace = p.old
 CROSS JOIN LATERAL aclexplode(d.defaclacl) a
  JOIN role r ON r.oid = a.grantee
UNION ALL
-- What pg_dump says of the schema public only where it is not so.
SELECT format('COMMENT ON SCHEMA %%I IS %%L', p.name, 'standard public schema')
  FROM pair p
 WHERE obj_description(p.old, 'pg_namespace') = 'standard public schema' AND obj_description(p.new, 'pg_namespace') IS NULL
