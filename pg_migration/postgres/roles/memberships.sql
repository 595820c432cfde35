-- Who is a member of which role, of an array of members, and who granted that. to_jsonb(...) ->> reads what
-- older servers lack: the options INHERIT and SET came with 16.
SELECT g.rolname AS role, m.rolname AS member, b.rolname AS grantor, a.admin_option AS admin,
       (to_jsonb(a) ->> 'inherit_option') = 'true' AS inherit, (to_jsonb(a) ->> 'set_option') = 'true' AS set
  FROM pg_auth_members a
  JOIN pg_roles g ON g.oid = a.roleid
  JOIN pg_roles m ON m.oid = a.member
  LEFT JOIN pg_roles b ON b.oid = a.grantor AND b.oid <> 10
 WHERE m.rolname = ANY (%(members)s::name[])
 ORDER BY g.rolname, m.rolname, b.rolname NULLS FIRST
