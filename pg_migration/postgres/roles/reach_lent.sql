-- Of some privileges on schemas (three arrays: schemas, roles, privileges), those that the role lacks and this role may
-- grant. Nobody asks for CREATE when a superuser gives things away.
SELECT n.nspname::pg_catalog.text, r.rolname::pg_catalog.text, w.privilege
  FROM ROWS FROM (pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[]),
                  pg_catalog.unnest(%s::pg_catalog.text[])) AS w (schema, role, privilege)
  JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) w.schema
  JOIN pg_catalog.pg_roles r ON r.rolname OPERATOR(pg_catalog.=) w.role
  JOIN pg_catalog.pg_roles me ON me.rolname OPERATOR(pg_catalog.=) current_user
 WHERE NOT pg_catalog.has_schema_privilege(r.oid, n.oid, w.privilege)
   AND pg_catalog.has_schema_privilege(n.oid, w.privilege OPERATOR(pg_catalog.||) ' WITH GRANT OPTION')
   AND NOT (me.rolsuper AND w.privilege OPERATOR(pg_catalog.=) 'CREATE')
