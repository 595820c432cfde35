-- Sequences of some schemas: which way they count, and the column of numbers that each belongs to, if any: of a built-in
-- type or a domain over one, since a cast of another type may be anything.
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
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
      AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
      AND (WITH RECURSIVE resolved AS (
               SELECT a.atttypid AS type
               UNION ALL
               SELECT t.typbasetype FROM resolved r JOIN pg_type t ON t.oid = r.type WHERE t.typtype = 'd')
           SELECT bool_or(r.type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype,
                                     'float4'::regtype, 'float8'::regtype, 'money'::regtype)) FROM resolved r)
      -- Nobody asks the server of a foreign table, or of a foreign partition.
      AND NOT (EXISTS (SELECT FROM pg_foreign_table)
               AND EXISTS (WITH RECURSIVE tree AS (
                               SELECT d.refobjid AS relation
                               UNION ALL
                               SELECT i.inhrelid FROM tree p JOIN pg_inherits i ON i.inhparent = p.relation)
                           SELECT FROM tree JOIN pg_foreign_table f ON f.ftrelid = tree.relation))
) AS owner ON true
WHERE c.relkind = 'S' AND n.nspname = ANY (%(schemas)s)
