-- What names a database for all servers that hold the same files, a primary and its standbys: the cluster, which initdb
-- numbers, and the database in it.
SELECT c.system_identifier, d.oid FROM pg_control_system() c, pg_database d WHERE d.datname = current_database()
