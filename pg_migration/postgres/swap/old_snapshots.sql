-- The sessions of this database whose transaction may look at it as it was before a transaction (the number of one that has
-- ended by the given moment). Of other roles a server may not tell when their transactions began.
SELECT a.pid, concat(a.usename), concat(a.application_name)
  FROM pg_stat_activity a
 WHERE a.datname = current_database()
   AND a.pid <> pg_backend_pid() AND a.pid <> ALL (%(own)s::int[])
   AND a.backend_xmin IS NOT NULL
   AND age(a.backend_xmin) >= age(%(transaction)s::xid)
   AND (a.xact_start IS NULL OR a.xact_start <= %(moment)s)
   AND coalesce(a.backend_type, '') NOT IN ('autovacuum worker', 'walsender')
 ORDER BY 1
