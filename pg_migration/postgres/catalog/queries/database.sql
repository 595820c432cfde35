-- What is said of the database itself, as statements for another database: settings, also of roles in it, privileges,
-- owner, limits, comment, labels, tablespace. Values of settings that are lists are kept quoted (PostgreSQL's pg_dump,
-- variable_is_guc_list_quote). With the statement that undoes each, the role that it names, and, of what never comes along,
-- why: what shuts a source for a move would shut the target.
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
SELECT concat('setting ', said.parameter, ' of role ' || said.role) AS what,
       said.alter || format(' SET %I = %s', said.parameter,
              CASE WHEN said.parameter = ANY ('{local_preload_libraries,search_path,session_preload_libraries,'
                                              'shared_preload_libraries,temp_tablespaces,unix_socket_directories}')
                   THEN said.value ELSE quote_literal(said.value) END) AS statement,
       said.alter || format(' RESET %I', said.parameter) AS undo,
       said.role,
       said.parameter,
       CASE WHEN said.parameter IN ('local_preload_libraries', 'session_preload_libraries')
            THEN 'nobody could connect to the target if it lacked such a library'
            WHEN said.parameter = 'default_transaction_read_only'
            THEN 'a source that is shut for a move would shut the target' END AS stays_because,
       x.place
  FROM this
  JOIN pg_db_role_setting s ON s.setdatabase = this.oid
 CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY AS x (setting, place)
 CROSS JOIN LATERAL (
       SELECT split_part(x.setting, '=', 1), substr(x.setting, strpos(x.setting, '=') + 1),
              CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole)::text END,
              CASE WHEN s.setrole = 0 THEN 'ALTER DATABASE ' || this.target
                   ELSE format('ALTER ROLE %I IN DATABASE %s', pg_get_userbyid(s.setrole), this.target) END)
       AS said (parameter, value, role, alter)
 UNION ALL
SELECT 'privileges',
       format('GRANT %s ON DATABASE %s TO %s%s', string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type), this.target,
              CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(g.grantee)) END,
              CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END),
       NULL, NULL, NULL, NULL, 0
  FROM this, (SELECT * FROM held EXCEPT SELECT * FROM usual) AS g
 GROUP BY this.target, g.grantee, g.is_grantable
 UNION ALL
SELECT 'privileges',
       format('REVOKE %s ON DATABASE %s FROM %s', string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type), this.target,
              CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(g.grantee)) END),
       NULL, NULL, NULL, NULL, 0
  FROM this, (SELECT grantee, privilege_type FROM usual EXCEPT SELECT grantee, privilege_type FROM held) AS g
 GROUP BY this.target, g.grantee
 UNION ALL
SELECT 'owner', format('ALTER DATABASE %s OWNER TO %I', this.target, pg_get_userbyid(this.datdba)), NULL,
       pg_get_userbyid(this.datdba)::text, NULL, NULL, 0
  FROM this
 UNION ALL
SELECT 'connection limit', format('ALTER DATABASE %s CONNECTION LIMIT %s', this.target, this.datconnlimit),
       format('ALTER DATABASE %s CONNECTION LIMIT -1', this.target), NULL, NULL,
       CASE WHEN this.datconnlimit = 0 THEN 'a source that is shut for a move would shut the target' END, 0
  FROM this
 WHERE this.datconnlimit <> -1
 UNION ALL
SELECT 'template', format('ALTER DATABASE %s IS_TEMPLATE true', this.target),
       format('ALTER DATABASE %s IS_TEMPLATE false', this.target), NULL, NULL, NULL, 0
  FROM this
 WHERE this.datistemplate
 UNION ALL
SELECT 'tablespace', format('ALTER DATABASE %s SET TABLESPACE %I', this.target, t.spcname), NULL, NULL, NULL,
       'nobody may be connected when a database is moved', 0
  FROM this
  JOIN pg_tablespace t ON t.oid = this.dattablespace
 WHERE t.spcname <> 'pg_default'
 UNION ALL
SELECT 'comment', format('COMMENT ON DATABASE %s IS %L', this.target, shobj_description(this.oid, 'pg_database')),
       format('COMMENT ON DATABASE %s IS NULL', this.target), NULL, NULL, NULL, 0
  FROM this
 WHERE shobj_description(this.oid, 'pg_database') IS NOT NULL
 UNION ALL
SELECT 'security label of ' || l.provider, format('SECURITY LABEL FOR %I ON DATABASE %s IS %L', l.provider, this.target, l.label),
       format('SECURITY LABEL FOR %I ON DATABASE %s IS NULL', l.provider, this.target), NULL, NULL, NULL, 0
  FROM this
  JOIN pg_shseclabel l ON l.classoid = 'pg_database'::regclass AND l.objoid = this.oid
 ORDER BY 1, 2
