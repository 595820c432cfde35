-- To whom large objects belong and who may do what with them: one row for each combination. ``readable`` tells whether the
-- role that connects may read them. The names of the roles in ``acl`` make it the same text on every server.
SELECT pg_get_userbyid(m.lomowner)::text AS owner,
       concat(m.lomacl) AS acl,
       ARRAY(SELECT ARRAY[g.grantor, g.grantee, g.privilege, g.grantable]
               FROM (SELECT pg_get_userbyid(x.grantor)::text AS grantor,
                            CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee)::text END AS grantee,
                            x.privilege_type AS privilege, x.is_grantable::text AS grantable
                       FROM unnest(coalesce(m.lomacl, acldefault('L', m.lomowner))) WITH ORDINALITY AS e (item, position)
                      CROSS JOIN LATERAL aclexplode(ARRAY[e.item]) AS x
                      ORDER BY e.position, x.is_grantable, x.privilege_type) AS g) AS held,
       ARRAY(SELECT ARRAY[pg_get_userbyid(x.grantor)::text, pg_get_userbyid(x.grantee)::text, x.privilege_type, 'false']
               FROM aclexplode(acldefault('L', m.lomowner)) AS x
              ORDER BY x.privilege_type) AS by_default,
       g.objects,
       current_setting('lo_compat_privileges') = 'on'
       OR EXISTS (SELECT FROM pg_roles r
                   WHERE r.rolname = current_user AND r.rolsuper
                      OR r.rolname = 'pg_read_all_data' AND pg_has_role(r.oid, 'USAGE')
                         AND to_number(current_setting('server_version_num'), '999999') >= 190000)
       OR EXISTS (SELECT FROM aclexplode(coalesce(m.lomacl, acldefault('L', m.lomowner))) AS x
                   WHERE x.privilege_type = 'SELECT' AND (x.grantee = 0 OR pg_has_role(x.grantee, 'USAGE'))) AS readable,
       g.first::bigint AS example
  FROM (SELECT min(m.oid) AS first, count(*) AS objects
          FROM pg_largeobject_metadata m
         WHERE {chosen}
         GROUP BY m.lomowner, concat(m.lomacl)) AS g
  JOIN pg_largeobject_metadata m ON m.oid = g.first
 ORDER BY 1, 2
