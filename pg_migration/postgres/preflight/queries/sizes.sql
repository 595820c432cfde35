-- Bytes of some tables (an array of oids) with TOAST, of their indexes, and of all large objects.
SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint, coalesce(sum(pg_indexes_size(c.oid)), 0)::bigint,
       pg_total_relation_size('pg_largeobject'::regclass)
  FROM pg_class c
 WHERE c.oid = ANY (%(tables)s::oid[])
