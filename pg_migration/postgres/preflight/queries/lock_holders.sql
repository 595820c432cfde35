-- Who, others than we, holds locks on tables of some schemas (names) which make the migration wait: any lock on the
-- target, where tables are emptied, an ACCESS EXCLUSIVE one on the source. Short ones of sessions are left out. Those of
-- prepared transactions have no pid, and last until somebody ends them by hand.
SELECT l.pid, p.gid, coalesce(a.usename, p.owner, '?') AS role,
       coalesce(nullif(a.application_name, ''), 'a session') AS program,
       to_char(p.prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS prepared,
       (extract(epoch FROM clock_timestamp() - p.prepared))::bigint AS age,
       format('%%s.%%s', n.nspname, c.relname) AS relation
  FROM pg_namespace n
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'm')
  JOIN pg_locks l ON l.locktype = 'relation' AND l.relation = c.oid AND l.granted
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
       AND (%(every_lock)s OR l.mode = 'AccessExclusiveLock')
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  LEFT JOIN pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
       AND x.virtualtransaction = l.virtualtransaction
  LEFT JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
 WHERE n.nspname = ANY (%(schemas)s)
   AND (p.gid IS NOT NULL
        OR l.pid <> pg_backend_pid() AND coalesce(a.application_name, '') NOT LIKE 'pg\_migration%%'
           AND coalesce(a.backend_type, 'client backend') = 'client backend'
           AND coalesce(a.xact_start, '-infinity') < now() - %(seconds)s * interval '1 second')
 GROUP BY l.pid, p.gid, a.usename, p.owner, a.application_name, p.prepared, n.nspname, c.relname
 ORDER BY l.pid, p.gid, relation
