-- What is in a server by our names: publications of this database and logical slots that decode it.
SELECT coalesce(p.pubname, s.slot_name)::text,
       p.pubname IS NOT NULL,
       pg_catalog.obj_description(p.oid, 'pg_publication'),
       p.pubowner IS NOT DISTINCT FROM (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user),
       s.slot_name IS NOT NULL,
       s.active_pid,
       pg_catalog.pg_wal_lsn_diff(
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn()
                ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn)::pg_catalog.int8
  FROM (SELECT * FROM pg_catalog.pg_publication WHERE pubname ~ %(pattern)s) AS p
  FULL JOIN (SELECT * FROM pg_catalog.pg_replication_slots
              WHERE slot_name ~ %(pattern)s AND slot_type = 'logical'
                AND database = pg_catalog.current_database()) AS s ON s.slot_name = p.pubname
 ORDER BY 1
