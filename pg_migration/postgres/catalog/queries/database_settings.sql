-- Settings of the database itself (ALTER DATABASE ... SET), which defaults, policies and function bodies may rely on.
SELECT split_part(x.setting, '=', 1) AS name,
       substr(x.setting, strpos(x.setting, '=') + 1) AS value
  FROM pg_db_role_setting s
 CROSS JOIN LATERAL unnest(s.setconfig) AS x (setting)
 WHERE s.setdatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
   AND s.setrole = 0
 ORDER BY 1
