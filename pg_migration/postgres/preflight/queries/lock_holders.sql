-- Sessions, others than ours, that hold locks on tables of some schemas (names) which make the migration wait: any lock
-- on the target, where tables are emptied, an ACCESS EXCLUSIVE one on the source. Short ones are left out.
SELECT l.pid, coalesce(a.usename, '?') AS role, coalesce(nullif(a.application_name, ''), 'a session') AS program,
       n.nspname || '.' || c.relname AS relation
  FROM pg_namespace n
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'm')
  JOIN pg_locks l ON l.locktype = 'relation' AND l.relation = c.oid AND l.granted
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
       AND (%(every_lock)s OR l.mode = 'AccessExclusiveLock')
  LEFT JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE n.nspname = ANY (%(schemas)s) AND l.pid <> pg_backend_pid() AND coalesce(a.application_name, '') NOT LIKE 'pg\_migration%%'
   AND coalesce(a.backend_type, 'client backend') = 'client backend'
   AND coalesce(a.xact_start, '-infinity') < now() - %(seconds)s * interval '1 second'
 ORDER BY 1, 4
