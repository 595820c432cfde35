-- The clients that are connected to this database, but for some (by pid): whether this role may end them, whether they
-- write or wait for a lock, and since when they are there.
SELECT a.pid,
       pg_catalog.format('pid %%s (role %%s, %%s)', a.pid, coalesce(a.usename::pg_catalog.text, '?'),
                         coalesce(nullif(a.application_name, ''), 'no application name')) AS who,
       (SELECT me.rolsuper FROM pg_catalog.pg_roles me WHERE me.rolname OPERATOR(pg_catalog.=) current_user)
       OR (NOT coalesce(r.rolsuper, true)
           AND (pg_catalog.pg_has_role(a.usesysid, 'USAGE')
                OR pg_catalog.pg_has_role('pg_signal_backend'::pg_catalog.name, 'USAGE'))) AS may_be_ended,
       a.backend_xid IS NOT NULL OR EXISTS (SELECT FROM pg_catalog.pg_locks l
                                             WHERE l.pid OPERATOR(pg_catalog.=) a.pid AND NOT l.granted) AS writes,
       a.backend_start
  FROM pg_catalog.pg_stat_activity a
  LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) a.usesysid
 WHERE a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
   AND a.backend_type OPERATOR(pg_catalog.=) 'client backend'
   AND a.pid OPERATOR(pg_catalog.<>) ALL (%(ours)s::pg_catalog.int4[])
 ORDER BY a.pid
