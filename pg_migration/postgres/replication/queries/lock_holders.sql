-- Sessions and prepared transactions that keep a table from being locked in EXCLUSIVE mode (an array of oids), but for ours.
SELECT coalesce(pg_catalog.format('pid %%s (role %%s, %%s)', l.pid, coalesce(a.usename::pg_catalog.text, '?'),
                                  coalesce(nullif(a.application_name, ''), 'no application name')),
                pg_catalog.format('prepared transaction %%L', p.gid)) AS who,
       pg_catalog.max(a.query),
       pg_catalog.array_agg(DISTINCT pg_catalog.format('%%I.%%I', n.nspname, c.relname)) AS tables
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid
  -- The locks of a prepared transaction bear the same number as the one on its own id.
  LEFT JOIN pg_catalog.pg_locks x ON l.pid IS NULL AND x.pid IS NULL
       AND x.locktype OPERATOR(pg_catalog.=) 'transactionid' AND x.virtualtransaction OPERATOR(pg_catalog.=) l.virtualtransaction
  LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction OPERATOR(pg_catalog.=) x.transactionid
 WHERE l.locktype OPERATOR(pg_catalog.=) 'relation' AND l.granted
   AND l.mode OPERATOR(pg_catalog.<>) 'AccessShareLock'
   AND l.relation OPERATOR(pg_catalog.=) ANY (%(tables)s::pg_catalog.oid[])
   AND (l.pid IS NULL OR l.pid OPERATOR(pg_catalog.<>) ALL (%(ours)s::pg_catalog.int4[]))
   AND l.database OPERATOR(pg_catalog.=)
       (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
 GROUP BY l.pid, a.usename, a.application_name, p.gid
 ORDER BY l.pid
