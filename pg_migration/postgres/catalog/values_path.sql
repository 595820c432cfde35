-- The search_path for the values of a relation, set for the rest of the transaction. It may be run under any other one, so
-- that every name is qualified. The parameters are parts of the path, as text, and the relation (NULL: of several).
--
-- Where the text of values names other objects (regclass), it does so without the schema that the relation is in, which
-- may be called otherwise on the other side; nothing else may come between, unless functions behind indexes need it to be
-- there: the planner looks into them, and into partition keys, before it reads a row.
WITH RECURSIVE part (type) AS (
    SELECT a.atttypid
      FROM pg_catalog.pg_attribute a
     WHERE a.attrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(%(relation)s)
       AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
     UNION
    SELECT inside.type
      FROM part p
      JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) p.type
     CROSS JOIN LATERAL (
        SELECT t.typbasetype WHERE t.typtype OPERATOR(pg_catalog.=) 'd'
         UNION ALL
        SELECT t.typelem WHERE t.typtype OPERATOR(pg_catalog.=) 'b' AND t.typelem OPERATOR(pg_catalog.<>) 0
         UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute a
         WHERE t.typtype OPERATOR(pg_catalog.=) 'c' AND a.attrelid OPERATOR(pg_catalog.=) t.typrelid
           AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
     ) AS inside (type)
),
relation AS (
    SELECT pg_catalog.to_regclass(%(relation)s) AS oid
     UNION
    SELECT p.relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(%(relation)s)) p
),
-- LIKE and IN would look for an operator by a name without a schema.
asked AS (
    SELECT EXISTS (SELECT FROM part p
                     JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) p.type
                    WHERE t.typnamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace
                      AND t.typname OPERATOR(pg_catalog.~) '^(reg[a-z]+|aclitem)$') AS names_objects,
           EXISTS (SELECT FROM relation r
                     JOIN pg_catalog.pg_index i ON i.indrelid OPERATOR(pg_catalog.=) r.oid
                    WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
           OR EXISTS (SELECT FROM relation r
                        JOIN pg_catalog.pg_partitioned_table p ON p.partrelid OPERATOR(pg_catalog.=) r.oid
                       WHERE p.partexprs IS NOT NULL)
           OR EXISTS (SELECT FROM relation r
                        JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid OPERATOR(pg_catalog.=) r.oid) AS needs_functions
)
SELECT pg_catalog.set_config(
           'search_path',
           pg_catalog.concat_ws(
               ', ',
               CASE WHEN NOT a.names_objects THEN %(path)s
                    WHEN %(written)s OR a.needs_functions THEN pg_catalog.concat_ws(', ', %(own)s, %(path)s)
                    ELSE pg_catalog.concat_ws(', ', %(own)s, 'pg_catalog') END,
               CASE WHEN %(written)s OR a.needs_functions OR NOT a.names_objects
                    THEN (SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(n.nspname), ', ')
                            FROM pg_catalog.pg_extension e
                            JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace) END,
               'pg_temp'),
           true)
  FROM asked a
