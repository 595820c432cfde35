-- What the planner knows of the statistics objects of some tables, as the arguments of pg_restore_extended_stats: names and
-- values as text, less those that are NULL. ``columns`` are the names of an object's columns in the order that values follow,
-- ``numbers`` what some of these call them by. ``is_hidden``: the role may not read what is known, if anything is. Nothing is known where no ANALYZE
-- has looked at an object, or could collect anything.
-- Expressions came with 14, data of a table with all that inherit from it (and not of those of partitioned tables alone)
-- with 15.
SELECT e.stxrelid::bigint AS relation, n.nspname::text AS schema, e.stxname::text AS name, {inherited} AS inherited,
       ARRAY(SELECT concat(a.attname)
               FROM unnest(e.stxkeys::int2[]) WITH ORDINALITY AS k (number, place)
               JOIN pg_attribute a ON a.attrelid = e.stxrelid AND a.attnum = k.number
              ORDER BY k.place) AS columns,
       e.stxkeys::int2[] AS numbers,
       ARRAY(SELECT ARRAY[v.name, v.value]
               FROM (VALUES ('n_distinct', concat(s.n_distinct)), ('dependencies', concat(s.dependencies)),
                            ('most_common_vals', concat(s.most_common_vals)),
                            ('most_common_freqs', concat(s.most_common_freqs)),
                            ('most_common_base_freqs', concat(s.most_common_base_freqs)){expressions}) AS v (name, value)
              WHERE v.value <> '') AS known,
       s.statistics_name IS NULL AND NOT pg_has_role(c.relowner, 'USAGE') AS is_hidden
  FROM pg_statistic_ext e
  JOIN pg_namespace n ON n.oid = e.stxnamespace
  JOIN pg_class c ON c.oid = e.stxrelid
  LEFT JOIN pg_stats_ext s ON s.statistics_schemaname = n.nspname AND s.statistics_name = e.stxname
 WHERE e.stxrelid = ANY (%(tables)s::oid[])
 ORDER BY n.nspname, e.stxname
