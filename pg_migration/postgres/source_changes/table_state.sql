-- For tables of the source, by oid: the file that each is stored in, and what the statistics have counted so far, of a
-- partitioned table in all of its partitions.
SELECT t.oid::bigint, pg_relation_filenode(t.oid)::bigint, counted.*
FROM unnest(%(tables)s::oid[]) AS t (oid)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(pg_stat_get_tuples_inserted(part.oid)), 0)::bigint,
           coalesce(sum(pg_stat_get_tuples_updated(part.oid)), 0)::bigint,
           coalesce(sum(pg_stat_get_tuples_deleted(part.oid)), 0)::bigint
    FROM (SELECT t.oid UNION SELECT relid FROM pg_partition_tree(t.oid)) AS part (oid)
) AS counted
