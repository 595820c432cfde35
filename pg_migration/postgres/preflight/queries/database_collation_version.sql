-- The same of the database's own collation; for servers from 15 on, which note its version.
SELECT format('the default collation of database %I', d.datname) AS what, d.datcollversion,
       pg_database_collation_actual_version(d.oid) AS actual,
       format('ALTER DATABASE %I REFRESH COLLATION VERSION', d.datname) AS refresh
  FROM pg_database d
 WHERE d.datname = current_database() AND d.datcollversion <> pg_database_collation_actual_version(d.oid)
