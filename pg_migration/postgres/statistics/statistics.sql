-- What the planner knows of some tables and materialized views and of their indexes, as the arguments of pg_restore_relation_stats
-- and pg_restore_attribute_stats: names and values as text, less those that are NULL. A row without a column is about the
-- relation itself; that of a table also says what is known of it and can't be given: statistics objects, and expressions of
-- indexes whose statistics the role may not read.
WITH wanted AS (
    SELECT t.oid AS relation, t.oid, false AS is_index, false AS is_hidden FROM unnest(%(tables)s::oid[]) AS t (oid)
     UNION ALL
    SELECT i.indrelid, i.indexrelid, true, i.indexprs IS NOT NULL AND NOT pg_has_role(x.relowner, 'USAGE')
      FROM pg_index i
      JOIN pg_class x ON x.oid = i.indexrelid
     WHERE i.indrelid = ANY (%(tables)s::oid[]) AND i.indisvalid
)
SELECT w.relation::bigint, c.relname::text, w.is_index, NULL::text AS column_name, NULL::smallint AS number, NULL::boolean AS inherited,
       ARRAY[ARRAY['relpages', concat(c.relpages)], ARRAY['reltuples', concat({tuples})],
             ARRAY['relallvisible', concat(c.relallvisible)]{frozen}] AS known,
       w.is_hidden AS is_hidden,
       NOT w.is_index AND EXISTS (SELECT FROM pg_statistic_ext e WHERE e.stxrelid = c.oid) AS is_extended
  FROM wanted w
  JOIN pg_class c ON c.oid = w.oid
 UNION ALL
SELECT w.relation::bigint, c.relname::text, w.is_index, a.attname::text, a.attnum, s.inherited,
       ARRAY(SELECT ARRAY[v.name, v.value]
               FROM (VALUES ('null_frac', concat(s.null_frac)), ('avg_width', concat(s.avg_width)),
                            ('n_distinct', concat(s.n_distinct)), ('most_common_vals', concat(s.most_common_vals)),
                            ('most_common_freqs', concat(s.most_common_freqs)),
                            ('histogram_bounds', concat(s.histogram_bounds)), ('correlation', concat(s.correlation)),
                            ('most_common_elems', concat(s.most_common_elems)),
                            ('most_common_elem_freqs', concat(s.most_common_elem_freqs)),
                            ('elem_count_histogram', concat(s.elem_count_histogram)){ranges}) AS v (name, value)
              WHERE v.value <> ''),
       false, false
  FROM wanted w
  JOIN pg_class c ON c.oid = w.oid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
