-- What is said of the database itself, as statements for another database: settings, also of roles in it, privileges,
-- owner, limits, comment, labels, tablespace. Values of settings that are lists are kept quoted (PostgreSQL's pg_dump,
-- variable_is_guc_list_quote).
WITH this AS (
    SELECT d.*, format('%I', current_setting('pg_migration.target_database')) AS target
      FROM pg_database d
     WHERE d.datname = current_database()
), held AS (
    SELECT x.grantee, x.privilege_type, x.is_grantable
      FROM this
     CROSS JOIN LATERAL aclexplode(coalesce(this.datacl, acldefault('d', this.datdba))) AS x
     WHERE x.grantee <> this.datdba
), usual AS (
    SELECT x.grantee, x.privilege_type, x.is_grantable
      FROM this
     CROSS JOIN LATERAL aclexplode(acldefault('d', this.datdba)) AS x
     WHERE x.grantee <> this.datdba
)
SELECT 'setting ' || split_part(x.setting, '=', 1) || CASE WHEN s.setrole <> 0
                                                           THEN ' of role ' || pg_get_userbyid(s.setrole) ELSE '' END AS what,
       format('ALTER %s SET %I = %s',
              CASE WHEN s.setrole = 0 THEN 'DATABASE ' || this.target
                   ELSE format('ROLE %I IN DATABASE %s', pg_get_userbyid(s.setrole), this.target) END,
              split_part(x.setting, '=', 1),
              CASE WHEN split_part(x.setting, '=', 1) = ANY ('{local_preload_libraries,search_path,session_preload_libraries,'
                                                             'shared_preload_libraries,temp_tablespaces,'
                                                             'unix_socket_directories}')
                   THEN substr(x.setting, strpos(x.setting, '=') + 1)
                   ELSE quote_literal(substr(x.setting, strpos(x.setting, '=') + 1)) END) AS statement
  FROM this
  JOIN pg_db_role_setting s ON s.setdatabase = this.oid
 CROSS JOIN LATERAL unnest(s.setconfig) AS x (setting)
 UNION ALL
SELECT 'privileges',
       format('GRANT %s ON DATABASE %s TO %s%s', string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type), this.target,
              CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(g.grantee)) END,
              CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END)
  FROM this, (SELECT * FROM held EXCEPT SELECT * FROM usual) AS g
 GROUP BY this.target, g.grantee, g.is_grantable
 UNION ALL
SELECT 'privileges',
       format('REVOKE %s ON DATABASE %s FROM %s', string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type), this.target,
              CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(g.grantee)) END)
  FROM this, (SELECT grantee, privilege_type FROM usual EXCEPT SELECT grantee, privilege_type FROM held) AS g
 GROUP BY this.target, g.grantee
 UNION ALL
SELECT 'owner', format('ALTER DATABASE %s OWNER TO %I', this.target, pg_get_userbyid(this.datdba)) FROM this
 UNION ALL
SELECT 'connection limit', format('ALTER DATABASE %s CONNECTION LIMIT %s', this.target, this.datconnlimit)
  FROM this
 WHERE this.datconnlimit <> -1
 UNION ALL
SELECT 'template', format('ALTER DATABASE %s IS_TEMPLATE true', this.target) FROM this WHERE this.datistemplate
 UNION ALL
SELECT 'tablespace', format('ALTER DATABASE %s SET TABLESPACE %I', this.target, t.spcname)
  FROM this
  JOIN pg_tablespace t ON t.oid = this.dattablespace
 WHERE t.spcname <> 'pg_default'
 UNION ALL
SELECT 'comment', format('COMMENT ON DATABASE %s IS %L', this.target, shobj_description(this.oid, 'pg_database'))
  FROM this
 WHERE shobj_description(this.oid, 'pg_database') IS NOT NULL
 UNION ALL
SELECT 'security label', format('SECURITY LABEL FOR %I ON DATABASE %s IS %L', l.provider, this.target, l.label)
  FROM this
  JOIN pg_shseclabel l ON l.classoid = 'pg_database'::regclass AND l.objoid = this.oid
 ORDER BY 1, 2
