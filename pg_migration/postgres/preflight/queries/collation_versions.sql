-- Collations whose library has another version now than when the indexes were built: those of some tables (an array of
-- oids). Two of one name differ by encoding; the one in use is meant. A server asks the library for each version, and
-- knows hundreds of collations: only those in use are asked for.
WITH used AS MATERIALIZED (
    SELECT DISTINCT a.attcollation AS oid
      FROM pg_attribute a
     WHERE a.attrelid = ANY (%(tables)s::oid[]) AND NOT a.attisdropped AND a.attcollation <> 0),
versions AS MATERIALIZED (
    SELECT c.collname, c.collnamespace, c.collversion, pg_collation_actual_version(c.oid) AS actual
      FROM used
      JOIN pg_collation c ON c.oid = used.oid)
SELECT DISTINCT format('collation %%I', v.collname) AS what, v.collversion, v.actual,
       format('ALTER COLLATION %%I.%%I REFRESH VERSION', n.nspname, v.collname) AS refresh
  FROM versions v
  JOIN pg_namespace n ON n.oid = v.collnamespace
 WHERE v.collversion <> v.actual
 ORDER BY 1
