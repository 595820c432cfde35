-- Transactions of this database that are open for long: sessions that this role may see, and prepared ones.
SELECT format('session %%s of role %%s (%%s) is in a transaction since %%s', a.pid, a.usename,
              coalesce(nullif(a.application_name, ''), a.state), to_char(a.xact_start, 'YYYY-MM-DD HH24:MI')) AS what,
       format('SELECT pg_terminate_backend(%%s)', a.pid) AS remedy
  FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
   AND a.application_name NOT LIKE 'pg\_migration%%'
   AND a.xact_start < clock_timestamp() - %(seconds)s * interval '1 second'
 UNION ALL
SELECT format('transaction %%L of role %%s is prepared since %%s', p.gid, p.owner, to_char(p.prepared, 'YYYY-MM-DD HH24:MI')),
       format('COMMIT PREPARED %%L or ROLLBACK PREPARED %%L', p.gid, p.gid)
  FROM pg_prepared_xacts p
 WHERE p.database = current_database() AND p.prepared < clock_timestamp() - %(seconds)s * interval '1 second'
 ORDER BY 1
