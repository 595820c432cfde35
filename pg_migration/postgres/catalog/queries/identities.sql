-- Identity columns: the sequence inside is part of the column and keeps its name and every property. Before 15 it is
-- logged, whatever the table is, and no statement says so.
SELECT 'pg_class'::regclass::oid AS classid,
       c.oid AS objid,
       n.nspname AS schema,
       c.relname AS name,
       t.oid AS relation,
       a.attname AS column_name,
       format('ALTER TABLE %s ALTER COLUMN %I DROP IDENTITY', t.oid::regclass, a.attname) AS drop_statement,
       ARRAY[format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s START WITH %s '
                    'INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s)',
                    t.oid::regclass, a.attname,
                    CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
                    c.oid::regclass, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
                    CASE WHEN s.seqcycle THEN ' CYCLE' ELSE ' NO CYCLE' END)]
       || CASE WHEN c.relpersistence <> t.relpersistence AND t.relkind = 'r'
                    AND to_number(current_setting('pg_migration.target_version'), '999999') >= 150000
               THEN ARRAY[format('ALTER SEQUENCE %s SET %s', c.oid::regclass,
                                 CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED' ELSE 'LOGGED' END)]
               ELSE ARRAY[]::text[] END AS statements
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_sequence s ON s.seqrelid = c.oid
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype = 'i'
  JOIN pg_class t ON t.oid = d.refobjid
  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  JOIN pg_namespace tn ON tn.oid = t.relnamespace
 WHERE c.relkind = 'S'
   AND t.relkind IN ('r', 'p')
   AND c.relpersistence <> 't'
   AND tn.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_class'::regclass AND m.objid = t.oid AND m.deptype = 'e')
