-- How far the builds of indexes are. A B-tree is built by reading the table, sorting, and writing the index, of which the
-- last takes about half of the time. Other kinds tell of the table's blocks only.
SELECT p.pid,
       CASE
           WHEN p.phase OPERATOR(pg_catalog.=) 'building index: loading tuples in tree' THEN
               0.5 OPERATOR(pg_catalog.+) (0.5 OPERATOR(pg_catalog.*) coalesce(
                   p.tuples_done::pg_catalog.numeric OPERATOR(pg_catalog./) nullif(p.tuples_total, 0), 0))
           WHEN p.phase OPERATOR(pg_catalog.~~) 'building index: sorting%' THEN 0.4
           ELSE 0.4 OPERATOR(pg_catalog.*) coalesce(
               p.blocks_done::pg_catalog.numeric OPERATOR(pg_catalog./) nullif(p.blocks_total, 0), 0)
       END::pg_catalog.float8
  FROM pg_catalog.pg_stat_progress_create_index p
 WHERE p.datname OPERATOR(pg_catalog.=) pg_catalog.current_database() AND p.phase IS NOT NULL
