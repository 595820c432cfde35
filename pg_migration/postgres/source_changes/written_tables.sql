-- For the tables of some schemas (an array), and those of large objects where they are wanted, what changes whenever their
-- rows do: the file that a table is stored in, which TRUNCATE exchanges; what the statistics have counted; when these were
-- reset last.
SELECT n.nspname, c.relname,
       concat_ws(' ', c.oid, pg_relation_filenode(c.oid), pg_stat_get_tuples_inserted(c.oid),
                 pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_deleted(c.oid),
                 (SELECT extract(epoch FROM s.stats_reset) FROM pg_stat_database s WHERE s.datname = current_database()))
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY (%(schemas)s) AND c.relkind = 'r'
    OR %(large_objects)s AND c.oid IN ('pg_largeobject'::regclass, 'pg_largeobject_metadata'::regclass)
