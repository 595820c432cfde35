-- For whom sessions of ours (patterns of application names) wait at this moment, others of ours left out: what they wait
-- for, and of each blocker what this role may see. A prepared transaction has no session, only an identifier.
WITH waiting AS MATERIALIZED (
    SELECT l.*
      FROM pg_stat_activity a
      JOIN pg_locks l ON l.pid = a.pid AND NOT l.granted
     WHERE a.datname = current_database() AND a.wait_event_type = 'Lock' AND a.application_name LIKE ANY (%(ours)s)
)
SELECT CASE WHEN c.oid IS NOT NULL THEN format('a lock (%%s) on %%I.%%I', w.mode, n.nspname, c.relname)
            WHEN w.locktype = 'advisory' THEN 'the lock that only one migration into a database has'
            WHEN w.locktype IN ('transactionid', 'virtualxid') THEN 'the end of a transaction'
            ELSE format('a lock (%%s) of type %%s', w.mode, w.locktype) END AS wanted,
       b.pid, b.gid, a.usename::text AS role, nullif(a.application_name, '') AS program, a.state,
       to_char(coalesce(b.prepared, a.xact_start) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since, a.query,
       array(SELECT further FROM unnest(pg_blocking_pids(b.pid)) AS further WHERE further <> 0) AS waits_for
  FROM waiting w
  LEFT JOIN pg_class c ON w.locktype IN ('relation', 'extend', 'page', 'tuple') AND c.oid = w.relation
  LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (
    SELECT DISTINCT blocker AS pid, NULL::text AS gid, NULL::timestamptz AS prepared, NULL::name AS owner
      FROM unnest(pg_blocking_pids(w.pid)) AS blocker
     WHERE blocker <> 0
     UNION ALL
    SELECT NULL, p.gid, p.prepared, p.owner
      FROM pg_prepared_xacts p
      -- Its locks bear the number of the session that has prepared it, or of none, as does the one on its own id.
      JOIN pg_locks x ON x.pid IS NULL AND x.locktype = 'transactionid' AND x.transactionid = p.transaction
      JOIN pg_locks h ON h.pid IS NULL AND h.granted AND h.virtualtransaction = x.virtualtransaction
     WHERE ROW(h.locktype, h.database, h.relation, h.page, h.tuple, concat(h.transactionid), h.classid, h.objid, h.objsubid)
           IS NOT DISTINCT FROM
           ROW(w.locktype, w.database, w.relation, w.page, w.tuple, concat(w.transactionid), w.classid, w.objid, w.objsubid)
 ) AS b
  LEFT JOIN pg_stat_activity a ON a.pid = b.pid
 WHERE coalesce(a.application_name, '') NOT LIKE ALL (%(ours)s)
 ORDER BY b.pid, b.gid
