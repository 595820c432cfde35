-- Tables whose rows may name objects: with a column of a reg* type, or of a domain, array, composite or range over one.
WITH RECURSIVE part AS MATERIALIZED (
    SELECT t.typbasetype AS inside, t.oid AS outside FROM pg_type t WHERE t.typbasetype <> 0
     UNION ALL
    SELECT t.typelem, t.oid FROM pg_type t WHERE t.typelem <> 0
     UNION ALL
    SELECT r.rngsubtype, r.rngtypid FROM pg_range r
     UNION ALL
    SELECT r.rngsubtype, to_number(to_jsonb(r) ->> 'rngmultitypid', '9999999999')::bigint::oid FROM pg_range r -- since 14
     UNION ALL
    SELECT a.atttypid, c.reltype
      FROM pg_attribute a
      JOIN pg_class c ON c.oid = a.attrelid
     WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped AND c.reltype <> 0
), naming AS (
    SELECT t.oid
      FROM pg_type t
     WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typname LIKE 'reg%' AND t.typtype = 'b' AND t.typelem = 0
     UNION
    SELECT part.outside FROM naming JOIN part ON part.inside = naming.oid
)
SELECT DISTINCT a.attrelid AS relation
  FROM naming
  JOIN pg_attribute a ON a.atttypid = naming.oid
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p')
   AND a.attnum > 0
   AND NOT a.attisdropped
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
