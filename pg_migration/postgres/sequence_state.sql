-- Sequences of some schemas: which way they count, and the column of numbers that each belongs to, if any.
SELECT n.nspname AS schema_name, c.relname AS name, s.seqincrement AS increment, s.seqcycle AS cycles,
       owner.schema_name AS owner_schema, owner.table_name AS owner_table, owner.column_name AS owner_column
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_sequence s ON s.seqrelid = c.oid
LEFT JOIN LATERAL (
    SELECT tn.nspname AS schema_name, t.relname AS table_name, a.attname AS column_name
    FROM pg_depend d
    JOIN pg_class t ON t.oid = d.refobjid
    JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    JOIN pg_type y ON y.oid = a.atttypid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
      AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
      AND y.typcategory = 'N'
) AS owner ON true
WHERE c.relkind = 'S' AND n.nspname = ANY (%(schemas)s)
