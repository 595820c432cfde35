-- What is known of the expressions of the statistics object ``s``, a document for each in their order; put into extended.sql.
(SELECT CASE WHEN bool_or(x.known IS NOT NULL) THEN concat(jsonb_agg(x.known)) END
   FROM (SELECT (SELECT jsonb_object_agg(v.name, v.value)
                   FROM (VALUES ('null_frac', concat(p.null_frac)), ('avg_width', concat(p.avg_width)),
                                ('n_distinct', concat(p.n_distinct)), ('most_common_vals', concat(p.most_common_vals)),
                                ('most_common_freqs', concat(p.most_common_freqs)),
                                ('histogram_bounds', concat(p.histogram_bounds)), ('correlation', concat(p.correlation)),
                                ('most_common_elems', concat(p.most_common_elems)),
                                ('most_common_elem_freqs', concat(p.most_common_elem_freqs)),
                                ('elem_count_histogram', concat(p.elem_count_histogram)){ranges}) AS v (name, value)
                  WHERE v.value <> '') AS known
           FROM pg_stats_ext_exprs p
          WHERE p.statistics_schemaname = s.statistics_schemaname AND p.statistics_name = s.statistics_name{alike}) AS x)
