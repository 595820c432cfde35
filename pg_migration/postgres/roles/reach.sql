-- The role that connects, and what it may do with every role of the server. From 16 on a membership may come without the
-- right to give the role something; before, who may create roles may also grant all but superusers.
SELECT me.rolname, me.rolsuper, me.rolsuper OR me.rolcreaterole, pg_catalog.current_database(),
       r.rolname, pg_catalog.pg_has_role(r.oid, 'USAGE'), pg_catalog.pg_has_role(r.oid, v.setting),
       CASE WHEN v.setting = 'SET' THEN pg_catalog.pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')
            ELSE me.rolsuper OR me.rolcreaterole AND NOT r.rolsuper END
  FROM pg_catalog.pg_roles r
 CROSS JOIN pg_catalog.pg_roles me
 CROSS JOIN (SELECT CASE WHEN pg_catalog.to_number(pg_catalog.current_setting('server_version_num'), '999999') >= 160000
                         THEN 'SET' ELSE 'MEMBER' END) AS v (setting)
 WHERE me.rolname = current_user
