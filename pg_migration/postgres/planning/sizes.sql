-- Sizes of relations, by oid.
SELECT c.oid::bigint, c.reltuples::float8, c.relpages, pg_table_size(c.oid) AS bytes,
       CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) / to_number(current_setting('block_size'), '999999')::bigint ELSE 0 END AS pages,
       coalesce(a.amname, '') = 'heap' AS heap, pg_relation_size(c.oid) AS main_bytes
FROM pg_class c
LEFT JOIN pg_am a ON a.oid = c.relam
WHERE c.oid = ANY (%(tables)s::oid[])
