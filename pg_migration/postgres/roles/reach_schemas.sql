-- Of some schemas (an array of names): whether this role may grant CREATE there, and which roles have it.
SELECT n.nspname::pg_catalog.text, pg_catalog.has_schema_privilege(n.oid, 'CREATE WITH GRANT OPTION'),
       ARRAY(SELECT r.rolname::pg_catalog.text FROM pg_catalog.pg_roles r
              WHERE pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE'))
  FROM pg_catalog.pg_namespace n
 WHERE n.nspname OPERATOR(pg_catalog.=) ANY (%(schemas)s::pg_catalog.text[])
