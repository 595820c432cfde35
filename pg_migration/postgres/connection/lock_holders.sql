-- Sessions and prepared transactions, but for ours (pids), that have a lock of some modes on some tables (an array of oids), or
-- wait for one unless only those are asked for that have it.
SELECT l.pid,
       coalesce(a.usename::text, '?') AS role,
       coalesce(nullif(a.application_name, ''), 'no application name') AS program,
       p.gid,
       a.query,
       pg_catalog.array_agg(DISTINCT pg_catalog.format('%%I.%%I', n.nspname, c.relname)) AS tables
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_class c ON c.oid = l.relation
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  -- The locks of a prepared transaction bear the same number as the one on its own id.
  LEFT JOIN pg_catalog.pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
       AND x.virtualtransaction = l.virtualtransaction
  LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid
 WHERE l.locktype = 'relation' AND l.relation = ANY (%(tables)s::pg_catalog.oid[]) AND l.mode = ANY (%(modes)s::text[])
   AND (l.granted OR NOT %(granted)s)
   AND (l.pid IS NULL OR l.pid <> ALL (pg_catalog.pg_backend_pid() || %(ours)s::pg_catalog.int4[]))
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
 GROUP BY l.pid, a.usename, a.application_name, a.query, p.gid
 ORDER BY l.pid
