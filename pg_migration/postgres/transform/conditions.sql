-- The valid checks of some tables of the source, and their unique indexes, as what the masked rows have to satisfy: each with
-- the columns that it looks at. A check is told as the condition, an index as what must not come twice and which rows count.
SELECT k.conrelid::bigint,
       'check' AS kind,
       k.conname AS name,
       ARRAY[pg_get_expr(k.conbin, k.conrelid)] AS expressions,
       NULL AS predicate,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) AS columns
  FROM pg_constraint k
 WHERE k.contype = 'c' AND k.convalidated AND k.conrelid = ANY (%(tables)s::oid[])
   AND coalesce(to_jsonb(k) ->> 'conenforced' = 'true', true)
 UNION ALL
SELECT i.indrelid::bigint,
       CASE WHEN i.indexprs IS NULL AND i.indpred IS NULL THEN 'key' ELSE 'expressions' END,
       c.relname,
       ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, false) FROM generate_series(1, i.indnkeyatts) AS n),
       pg_get_expr(i.indpred, i.indrelid),
       ARRAY(SELECT DISTINCT a.attname::text
               FROM pg_attribute a
              WHERE a.attrelid = i.indrelid AND a.attnum > 0
                AND (a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1])
                     OR EXISTS (SELECT FROM pg_depend x
                                 WHERE (x.classid, x.objid, x.refclassid, x.refobjid, x.refobjsubid)
                                     = ('pg_class'::regclass, i.indexrelid, 'pg_class'::regclass, i.indrelid, a.attnum))))
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indisunique AND i.indrelid = ANY (%(tables)s::oid[])
