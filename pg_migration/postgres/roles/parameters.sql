-- The privileges on settings of the server (from 15 on) that some roles (an array of names) have, or everybody (NULL). Not
-- those of the superuser that made the server, who has them all.
SELECT p.parname AS parameter, r.rolname AS grantee, x.privilege_type AS privilege, x.is_grantable AS grantable
  FROM pg_parameter_acl p
 CROSS JOIN LATERAL aclexplode(p.paracl) AS x
  LEFT JOIN pg_roles r ON r.oid = x.grantee
 WHERE x.grantee <> 10
   AND (x.grantee = 0 OR r.rolname = ANY (%(names)s::name[]))
 ORDER BY p.parname, r.rolname NULLS FIRST, x.privilege_type
