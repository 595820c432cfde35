-- How a subscription of this database stands. Only the worker that applies, not those that copy or apply in parallel.
SELECT s.subenabled,
       (SELECT coalesce(pg_catalog.json_object_agg(r.srsubstate, r.n), '{}')
          FROM (SELECT x.srsubstate::text, pg_catalog.count(*) AS n FROM pg_catalog.pg_subscription_rel x
                 WHERE x.srsubid = s.oid GROUP BY 1) AS r),
       CASE WHEN w.received_lsn IS NOT NULL THEN pg_catalog.concat(w.received_lsn) END,
       w.pid,
       extract(epoch FROM w.last_msg_send_time)::pg_catalog.float8,
       {statistics},
       pg_catalog.to_jsonb(s.subpublications),
       s.subslotname::text,
       (SELECT coalesce(pg_catalog.json_agg(o.subname ORDER BY o.subname), '[]') FROM pg_catalog.pg_subscription o
         WHERE o.subslotname = %(name)s AND o.oid <> s.oid)
  FROM pg_catalog.pg_subscription s
  JOIN pg_catalog.pg_database d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database()
  LEFT JOIN LATERAL (
       SELECT a.received_lsn, a.pid, a.last_msg_send_time FROM pg_catalog.pg_stat_subscription a
        WHERE a.subid = s.oid AND a.relid IS NULL AND a.pid IS NOT NULL
        ORDER BY a.received_lsn IS NULL LIMIT 1) AS w ON true
  {joined}
 WHERE s.subname = %(name)s
