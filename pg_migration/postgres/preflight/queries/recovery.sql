-- Whether this is a standby; how far, in seconds, its rows are behind what it has received; whether recovery may cancel
-- queries that run long.
SELECT pg_is_in_recovery() AS standby,
       CASE WHEN pg_is_in_recovery() AND pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
            THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END AS lag,
       current_setting('hot_standby_feedback') = 'off'
       AND current_setting('max_standby_streaming_delay') <> '-1' AS may_cancel
