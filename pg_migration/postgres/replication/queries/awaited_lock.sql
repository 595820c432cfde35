-- The table whose lock a session (a pid) waits for; no row where it waits for none.
SELECT l.relation::pg_catalog.int8
  FROM pg_catalog.pg_locks l
 WHERE l.pid OPERATOR(pg_catalog.=) %(pid)s AND l.locktype OPERATOR(pg_catalog.=) 'relation' AND NOT l.granted
