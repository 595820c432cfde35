-- What of a schema is dropped by itself: tables, partitions before what they are partitions of, and materialized views.
SELECT CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, c.relname
  FROM pg_class c
 WHERE c.relnamespace = %(namespace)s AND c.relkind IN ('r', 'p', 'f', 'm')
 ORDER BY c.relkind = 'm' DESC, c.relispartition DESC, c.relkind = 'p', c.relname
