-- Of some roles (names), those that exist here and that this role can't give anything to. From 16 on a membership may come
-- without the right to do that.
SELECT r.rolname
  FROM pg_roles r
 WHERE r.rolname = ANY (%(names)s)
   AND NOT pg_has_role(r.oid, CASE WHEN to_number(current_setting('server_version_num'), '999999') >= 160000 THEN 'SET' ELSE 'MEMBER' END)
 ORDER BY 1
