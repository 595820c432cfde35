-- User mappings of foreign servers. Whose options this role may not read (PostgreSQL docs, pg_user_mappings) are made without,
-- unless they are there.
SELECT 'pg_user_mapping'::regclass::oid AS classid,
       u.umid AS objid,
       u.srvid AS server,
       format('for %s on server %s', named.role, u.srvname) AS name,
       format('DROP USER MAPPING IF EXISTS FOR %s SERVER %I', named.quoted, u.srvname) AS drop_statement,
       format('USER MAPPING FOR %s SERVER %I', named.quoted, u.srvname) AS head,
       said.options AS elements,
       ARRAY[format('CREATE USER MAPPING %sFOR %s SERVER %I%s', CASE WHEN NOT may.read THEN 'IF NOT EXISTS ' END,
                    named.quoted, u.srvname,
                    ' OPTIONS (' || nullif(array_to_string(said.options, ', '), '') || ')')] AS statements,
       CASE WHEN u.umuser <> 0 THEN ARRAY[u.usename::text] ELSE ARRAY[]::text[] END AS roles,
       may.read AS readable
  FROM pg_user_mappings u
  JOIN pg_foreign_server s ON s.oid = u.srvid
  JOIN pg_roles me ON me.rolname = current_user
 CROSS JOIN LATERAL (SELECT CASE WHEN u.umuser = 0 THEN 'PUBLIC' ELSE u.usename::text END,
                            CASE WHEN u.umuser = 0 THEN 'PUBLIC' ELSE quote_ident(u.usename) END) AS named (role, quoted)
 CROSS JOIN LATERAL (SELECT ARRAY(SELECT format('%I %L', o.option_name, o.option_value)
                                    FROM pg_options_to_table(u.umoptions) AS o ORDER BY o.option_name)) AS said (options)
 CROSS JOIN LATERAL (SELECT me.rolsuper
                            OR u.umuser = me.oid AND (pg_has_role(s.srvowner, 'USAGE') OR has_server_privilege(s.oid, 'USAGE'))
                            OR u.umuser = 0 AND pg_has_role(s.srvowner, 'USAGE')) AS may (read)
 WHERE NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_foreign_server'::regclass AND m.objid = s.oid AND m.deptype = 'e')
