-- Where this database's files are, and a file of the running server by which a client can tell whether it sees the same
-- folder. Needs the rights of pg_read_all_settings and pg_stat_file.
SELECT coalesce(nullif(pg_tablespace_location(d.dattablespace), ''), current_setting('data_directory')) AS folder,
       current_setting('data_directory') || '/postmaster.pid' AS proof,
       s.size, extract(epoch FROM s.modification)::bigint AS modified, extract(epoch FROM s.change)::bigint AS changed
  FROM pg_database d, pg_stat_file('postmaster.pid') s
 WHERE d.datname = current_database()
