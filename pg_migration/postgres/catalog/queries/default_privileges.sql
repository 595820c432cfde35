-- ALTER DEFAULT PRIVILEGES IN SCHEMA. There is no built-in default at this level: every entry is a grant.
SELECT 'pg_default_acl'::regclass::oid AS classid,
       d.oid AS objid,
       n.nspname AS schema,
       mapped.target AS target_schema,
       pg_get_userbyid(d.defaclrole)::text AS owner,
       CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                            WHEN 'T' THEN 'TYPES' END AS word,
       ARRAY(SELECT ARRAY[g.grantor, g.grantee, g.privilege, g.grantable]
               FROM (SELECT pg_get_userbyid(x.grantor)::text AS grantor,
                            CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee)::text END AS grantee,
                            x.privilege_type AS privilege, x.is_grantable::text AS grantable
                       FROM unnest(d.defaclacl) WITH ORDINALITY AS e (item, position)
                      CROSS JOIN LATERAL aclexplode(ARRAY[e.item]) AS x
                      ORDER BY e.position, x.is_grantable, x.privilege_type) AS g) AS held
  FROM pg_default_acl d
  JOIN pg_namespace n ON n.oid = d.defaclnamespace
  JOIN unnest(current_setting('pg_migration.schemas')::text[],
              current_setting('pg_migration.target_schemas')::text[]) AS mapped (source, target)
    ON mapped.source = n.nspname
