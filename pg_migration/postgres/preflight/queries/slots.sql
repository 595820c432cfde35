-- Replication slots that nobody reads, and the bytes of WAL that the server keeps for them.
SELECT s.slot_name,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                       s.restart_lsn)::bigint AS kept
  FROM pg_replication_slots s
 WHERE NOT s.active AND s.restart_lsn IS NOT NULL
 ORDER BY 1
