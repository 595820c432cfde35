-- Sessions and prepared transactions that have locks on some tables (an array of oids) by which a statement waits: one that locks
-- them in ACCESS EXCLUSIVE mode (everybody), else one in SHARE UPDATE EXCLUSIVE mode.
SELECT coalesce(pg_catalog.format('pid %%s (role %%s, %%s)', l.pid, coalesce(a.usename::text, '?'),
                                  coalesce(nullif(a.application_name, ''), 'no application name')),
                pg_catalog.format('prepared transaction %%L', p.gid)) AS who,
       pg_catalog.max(a.query),
       pg_catalog.array_agg(DISTINCT pg_catalog.format('%%I.%%I', n.nspname, c.relname)) AS tables
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_class c ON c.oid = l.relation
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  -- The locks of a prepared transaction bear the same number as the one on its own id.
  LEFT JOIN pg_catalog.pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
       AND x.virtualtransaction = l.virtualtransaction
  LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid
 WHERE l.locktype = 'relation' AND l.relation = ANY (%(tables)s::pg_catalog.oid[])
   AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
   AND (%(exclusive)s OR l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock'))
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
 GROUP BY l.pid, a.usename, a.application_name, p.gid
 ORDER BY l.pid
