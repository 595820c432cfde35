-- The search_path for the values of a relation whose rows name objects, set for the rest of the transaction. It may be run
-- under any other one, so that every name is qualified. The parameters are parts of the path, as text, and the relation:
-- what constants decide is not even planned.
--
-- The text of values names other objects (regclass) without the schema that the relation is in, which may be called
-- otherwise on the other side; nothing else may come between, unless functions behind indexes need it to be there: the
-- planner looks into them, and into partition keys, before it reads a row.
SELECT pg_catalog.set_config(
           'search_path',
           pg_catalog.concat_ws(
               ', ',
               %(own)s,
               CASE WHEN %(written)s
                      OR EXISTS (
                         WITH relation AS (
                             SELECT pg_catalog.to_regclass(%(relation)s) AS oid
                              UNION
                             SELECT p.relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(%(relation)s)) p
                         )
                         SELECT FROM relation r
                           JOIN pg_catalog.pg_index i ON i.indrelid OPERATOR(pg_catalog.=) r.oid
                          WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
                          UNION ALL
                         SELECT FROM relation r
                           JOIN pg_catalog.pg_partitioned_table p ON p.partrelid OPERATOR(pg_catalog.=) r.oid
                          WHERE p.partexprs IS NOT NULL
                          UNION ALL
                         SELECT FROM relation r
                           JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid OPERATOR(pg_catalog.=) r.oid)
                    THEN pg_catalog.concat_ws(
                             ', ',
                             %(path)s,
                             (SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(n.nspname), ', ')
                                FROM pg_catalog.pg_extension e
                                JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace))
                    ELSE 'pg_catalog' END,
               'pg_temp'),
           true)
