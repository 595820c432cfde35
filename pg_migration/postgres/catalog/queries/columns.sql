-- Columns of tables. to_jsonb(...) ->> reads catalog columns that older servers lack: attcompression came with 14. A column
-- is local where none of the parents in tables.sql brings it. base_type is the built-in type behind domains; anyarray for
-- arrays and anyenum for enumerations (not for domains over those, which functions of enumerations don't take), as the
-- parameters of functions call them; NULL for all other types of users. Versions write pg_lsn (19) and "char" (16) in
-- different ways: what holds the former at any depth is "pg_lsn inside", an array of the latter "char inside".
WITH RECURSIVE domains AS (
    SELECT oid AS domain, typbasetype AS base FROM pg_type WHERE typtype = 'd'
     UNION ALL
    SELECT d.domain, t.typbasetype FROM domains d JOIN pg_type t ON t.oid = d.base WHERE t.typtype = 'd'
), containers AS (
    SELECT typbasetype AS held, oid AS type FROM pg_type WHERE typtype = 'd'
     UNION ALL
    SELECT typelem, oid FROM pg_type WHERE typelem <> 0
     UNION ALL
    SELECT rngsubtype, rngtypid FROM pg_range
     UNION ALL  -- from 14 on
    SELECT rngtypid, to_number(to_jsonb(r) ->> 'rngmultitypid', '9999999999')::bigint::oid FROM pg_range r
     UNION ALL
    SELECT a.atttypid, c.reltype
      FROM pg_attribute a
      JOIN pg_class c ON c.oid = a.attrelid
     WHERE c.reltype <> 0 AND c.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped
), of_pg_lsn AS (
    SELECT 'pg_lsn'::regtype::oid AS type
     UNION
    SELECT k.type FROM of_pg_lsn o JOIN containers k ON k.held = o.type
)
SELECT a.attrelid AS relation,
       a.attnum AS number,
       a.attname AS name,
       quote_ident(a.attname) AS quoted,
       a.atttypid AS type_oid,
       a.atttypmod AS type_modifier,
       format_type(a.atttypid, a.atttypmod) AS quoted_type,
       CASE WHEN b.oid <> 'pg_lsn'::regtype AND b.oid IN (SELECT type FROM of_pg_lsn) THEN 'pg_lsn inside'
            WHEN e.oid = '"char"'::regtype
                 OR EXISTS (SELECT FROM domains x WHERE x.domain = e.oid AND x.base = '"char"'::regtype)
            THEN 'char inside'
            WHEN t.typtype = 'e' THEN 'anyenum'
            WHEN e.typarray = b.oid THEN 'anyarray'
            WHEN b.typnamespace = 'pg_catalog'::regnamespace THEN b.typname END AS base_type,
       CASE WHEN a.attcollation <> t.typcollation
            THEN (SELECT format('%I.%I', cn.nspname, k.collname)
                    FROM pg_collation k
                    JOIN pg_namespace cn ON cn.oid = k.collnamespace
                   WHERE k.oid = a.attcollation) END AS collation,
       a.attnotnull AS not_null,
       d.oid AS default_oid,
       pg_get_expr(d.adbin, d.adrelid) AS default,
       CASE WHEN pending.inhrelid IS NULL THEN a.attidentity ELSE '' END AS identity,
       a.attgenerated AS generated,
       a.attislocal
       OR NOT EXISTS (SELECT FROM pg_inherits i
                        JOIN pg_attribute above ON above.attrelid = i.inhparent AND above.attname = a.attname
                       WHERE i.inhrelid = a.attrelid AND pending.inhrelid IS NULL) AS is_local,
       CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                         WHEN 'm' THEN 'MAIN' WHEN 'x' THEN 'EXTENDED' END AS storage,
       a.attstorage = t.typstorage AS stored_as_usual,
       CASE to_jsonb(a) ->> 'attcompression' WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END AS compression,
       nullif(a.attstattarget, -1) AS statistics,
       array_to_string(a.attoptions, ', ') AS options,
       (SELECT string_agg(format('%I %L', o.option_name, o.option_value), ', ' ORDER BY o.option_name)
          FROM pg_options_to_table(a.attfdwoptions) AS o) AS foreign_options,
       EXISTS (SELECT FROM pg_depend x
                WHERE x.classid = 'pg_attrdef'::regclass AND x.objid = d.oid
                  AND x.refobjid >= 16384 AND x.refobjid <> a.attrelid) AS default_leans_on_objects
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN domains behind ON behind.domain = t.oid
  JOIN pg_type b ON b.oid = coalesce(behind.base, t.oid) AND b.typtype <> 'd'
  LEFT JOIN pg_type e ON e.oid = b.typelem AND e.typarray = b.oid
  LEFT JOIN pg_inherits pending ON pending.inhrelid = c.oid
                               AND coalesce(to_jsonb(pending) ->> 'inhdetachpending' = 'true', false)
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE c.relkind IN ('r', 'p', 'f')
   AND c.relpersistence <> 't'
   AND a.attnum > 0
   AND NOT a.attisdropped
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
 ORDER BY a.attrelid, a.attnum
