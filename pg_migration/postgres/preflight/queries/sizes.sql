-- Bytes of some tables (an array of oids) with TOAST, and of their indexes.
SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint, coalesce(sum(pg_indexes_size(c.oid)), 0)::bigint
  FROM pg_class c
 WHERE c.oid = ANY (%(tables)s::oid[])
