-- How a logical slot of this database stands: one row, also where it is gone. The walsender's figures are hidden from roles
-- without pg_monitor.
SELECT CASE WHEN s.slot_name IS NOT NULL THEN {status} END,
       pg_catalog.pg_wal_lsn_diff(now.lsn, s.restart_lsn)::pg_catalog.int8,
       s.active,
       extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8,
       pg_catalog.concat(pg_catalog.pg_current_wal_insert_lsn()),
       pg_catalog.pg_wal_lsn_diff(
           now.lsn, greatest(%(received)s::pg_catalog.pg_lsn, s.confirmed_flush_lsn))::pg_catalog.int8,
       greatest(extract(epoch FROM r.replay_lag),
                extract(epoch FROM pg_catalog.clock_timestamp() - r.reply_time))::pg_catalog.float8,
       {inactive},
       {failover},
       {awaited}
  FROM (SELECT pg_catalog.pg_current_wal_lsn() AS lsn) AS now
  LEFT JOIN pg_catalog.pg_replication_slots s
         ON s.slot_name = %(name)s AND s.database = pg_catalog.current_database()
  LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid
