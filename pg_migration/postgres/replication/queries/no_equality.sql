-- Of some types those whose values can't be compared for equality, so that a row can't be found by all of its columns:
-- a type needs an operator class of btree or hash, and so does all that it consists of (typcache.c).
WITH RECURSIVE part (type, part) AS (
    SELECT t, t FROM pg_catalog.unnest(%(types)s::pg_catalog.oid[]) AS t
    UNION
    SELECT p.type, inner_part.oid
      FROM part p
      JOIN pg_catalog.pg_type t ON t.oid = p.part
     CROSS JOIN LATERAL (
           SELECT t.typbasetype AS oid WHERE t.typtype = 'd'
           UNION ALL
           SELECT t.typelem WHERE t.typelem <> 0 AND t.typlen = -1 AND t.typcategory = 'A'
           UNION ALL
           SELECT a.atttypid FROM pg_catalog.pg_attribute a
            WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS inner_part
)
SELECT p.type::pg_catalog.int8, pg_catalog.string_agg(DISTINCT pg_catalog.format_type(p.part, NULL), ', ')
  FROM part p
  JOIN pg_catalog.pg_type t ON t.oid = p.part
 WHERE t.typtype IN ('b', 'p')
   AND NOT (t.typelem <> 0 AND t.typlen = -1 AND t.typcategory = 'A')
   AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_opclass o
             JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod AND m.amname IN ('btree', 'hash')
            WHERE o.opcdefault
              AND (o.opcintype = t.oid
                   OR EXISTS (SELECT FROM pg_catalog.pg_cast s
                               WHERE s.castsource = t.oid AND s.casttarget = o.opcintype AND s.castmethod = 'b'
                                 AND s.castcontext = 'i')))
 GROUP BY 1
