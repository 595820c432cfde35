-- Constraints of tables in some schemas, less the copies that partitions hold, and whether the rows were found to obey
-- them. NOT VALID is a state of foreign keys, CHECK and (from 18 on, where NOT NULL is a constraint) NOT NULL; NOT
-- ENFORCED came with 18. A NOT NULL that a child only inherits is its parent's, under whatever name the child has it.
SELECT n.nspname AS schema_name, c.relname AS table_name, k.conname AS name, k.convalidated AS valid,
       coalesce(to_jsonb(k) ->> 'conenforced' = 'true', true) AS enforced,
       rn.nspname AS referenced_schema, r.relname AS referenced_table
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class r ON r.oid = k.confrelid
LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND k.conparentid = 0
  AND (k.contype IN ('c', 'f', 'p', 'u', 'x') OR k.contype = 'n' AND NOT k.convalidated AND k.conislocal)
ORDER BY 1, 2, 3
