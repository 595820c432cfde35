-- ALTER DEFAULT PRIVILEGES. In a schema there is no built-in default: every entry is a grant. What holds for the whole
-- database (defaclnamespace 0) differs from the built-in default, and is left out again unless every schema is migrated.
SELECT 'pg_default_acl'::regclass::oid AS classid,
       d.oid AS objid,
       coalesce(n.nspname, '') AS schema,
       mapped.target AS target_schema,
       pg_get_userbyid(d.defaclrole)::text AS owner,
       CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                            WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END AS word,
       ARRAY(SELECT ARRAY[g.grantor, g.grantee, g.privilege, g.grantable]
               FROM (SELECT pg_get_userbyid(x.grantor)::text AS grantor,
                            CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee)::text END AS grantee,
                            x.privilege_type AS privilege, x.is_grantable::text AS grantable
                       FROM unnest(d.defaclacl) WITH ORDINALITY AS e (item, position)
                      CROSS JOIN LATERAL aclexplode(ARRAY[e.item]) AS x
                      ORDER BY e.position, x.is_grantable, x.privilege_type) AS g) AS held,
       ARRAY(SELECT ARRAY[pg_get_userbyid(x.grantor)::text,
                          CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee)::text END,
                          x.privilege_type, x.is_grantable::text]
               FROM aclexplode(acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END,
                                          d.defaclrole)) AS x
              WHERE d.defaclnamespace = 0) AS by_default,
       d.defaclnamespace = 0
       AND EXISTS (SELECT FROM pg_namespace other
                    WHERE other.nspname !~ '^pg_' AND other.nspname NOT IN ('information_schema', '_pg_migration')
                      AND other.nspname <> ALL (parse_ident(current_setting('pg_migration.schemas')))
                      AND NOT EXISTS (SELECT FROM pg_depend m
                                       WHERE m.classid = 'pg_namespace'::regclass AND m.objid = other.oid
                                         AND m.deptype = 'e')) AS only_if_used
  FROM pg_default_acl d
  LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
  LEFT JOIN unnest(parse_ident(current_setting('pg_migration.schemas')),
                   parse_ident(current_setting('pg_migration.target_schemas'))) AS mapped (source, target)
    ON mapped.source = n.nspname
 WHERE d.defaclnamespace = 0 OR mapped.target IS NOT NULL
