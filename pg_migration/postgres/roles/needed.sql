-- The roles that some roles (an array of names) and the database itself need elsewhere: these, those that they are members
-- of and those that are members of them, at whatever distance, with what CREATE ROLE says of each. Not those that every
-- server has; and the members of whoever made the server are no concern of one database.
WITH RECURSIVE this AS (
    SELECT oid, datdba, datacl FROM pg_database WHERE datname = current_database()
), named (oid) AS (
    SELECT oid FROM pg_roles WHERE rolname = ANY (%(names)s::name[])
     UNION SELECT datdba FROM this
     UNION SELECT unnest(ARRAY[x.grantee, x.grantor]) FROM this CROSS JOIN LATERAL aclexplode(this.datacl) AS x
     UNION SELECT s.setrole FROM this JOIN pg_db_role_setting s ON s.setdatabase = this.oid
), above (oid) AS (
    SELECT oid FROM named
     UNION
    SELECT m.roleid FROM above a JOIN pg_auth_members m ON m.member = a.oid
), below (oid) AS (
    SELECT n.oid FROM named n JOIN pg_roles r USING (oid) WHERE n.oid <> 10 AND NOT starts_with(r.rolname, 'pg_')
     UNION
    SELECT m.member FROM below b JOIN pg_auth_members m ON m.roleid = b.oid
)
SELECT r.rolname AS name, r.oid = 10 AS bootstrap, r.rolsuper AS superuser, r.rolinherit AS inherit,
       r.rolcreaterole AS createrole, r.rolcreatedb AS createdb, r.rolcanlogin AS login, r.rolreplication AS replication,
       r.rolbypassrls AS bypassrls, r.rolconnlimit AS connection_limit,
       CASE WHEN r.rolvaliduntil IS NOT NULL THEN format('%%s', r.rolvaliduntil) END AS valid_until,
       shobj_description(r.oid, 'pg_authid') AS comment,
       (SELECT coalesce(json_agg(x.setting ORDER BY x.place), '[]')
          FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY AS x (setting, place)
         WHERE s.setrole = r.oid AND s.setdatabase = 0) AS settings
  FROM pg_roles r
 WHERE NOT starts_with(r.rolname, 'pg_')
   AND r.oid IN (SELECT oid FROM above UNION SELECT oid FROM below)
 ORDER BY r.rolname
