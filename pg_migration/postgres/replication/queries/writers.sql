-- The transactions that have written and are still open, with those that were prepared. A walsender may ask this, too.
SELECT a.pid, NULL::text, a.usename::text, a.application_name, extract(epoch FROM clock_timestamp() - a.xact_start)::float8,
       a.query
  FROM pg_catalog.pg_stat_activity a
 WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()
UNION ALL
SELECT NULL, p.gid, p.owner::text, NULL, extract(epoch FROM clock_timestamp() - p.prepared)::float8, NULL
  FROM pg_catalog.pg_prepared_xacts p
 ORDER BY 5 DESC NULLS LAST
