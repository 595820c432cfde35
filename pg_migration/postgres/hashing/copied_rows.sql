-- The tables of the ledger, in the schemas of an array or (NULL) in all: rows and digests of their ranges as they were
-- copied, the form of these where all have one, the snapshots, and when the first one was taken. A range that is not
-- complete makes the table's form NULL. Sums are text, since JSON's numbers are no exact ones everywhere.
SELECT r.schema_name, r.table_name,
       json_agg(json_build_array(r.range_key, r.rows, r.hashed, CASE WHEN r.total IS NOT NULL THEN concat(r.total) END,
                                  CASE WHEN r.mixed IS NOT NULL THEN concat(r.mixed) END) ORDER BY r.range_key),
       CASE WHEN bool_and(r.complete) AND min(r.first_form) = max(r.last_form) THEN min(r.first_form) END,
       sum(r.rows)::bigint,
       array_agg(DISTINCT r.snapshot),
       min(r.copied_at),
       bool_and(r.same_relation)
FROM (
    SELECT c.schema_name, c.table_name, c.range_key, c.snapshot,
           sum(c.row_count)::bigint AS rows, sum(c.digest_hashed)::bigint AS hashed,
           sum(c.digest_total) AS total, sum(c.digest_mixed) AS mixed,
           count(*) = max(c.chunks) AND count(*) = count(c.digest_form) AS complete,
           min(c.digest_form) AS first_form, max(c.digest_form) AS last_form,
           min(coalesce(u.snapshot_at, c.started_at)) AS copied_at,
           bool_and(c.relation = to_regclass(format('%%I.%%I', c.schema_name, c.table_name))) IS TRUE AS same_relation
    FROM _pg_migration.chunk c
    LEFT JOIN _pg_migration.run u ON u.run_id = c.run_id
    WHERE %(schemas)s::text[] IS NULL OR c.schema_name = ANY (%(schemas)s::text[])
    GROUP BY c.schema_name, c.table_name, c.range_key, c.snapshot
) AS r
GROUP BY r.schema_name, r.table_name
