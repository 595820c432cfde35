-- Collations whose library has another version now than when the indexes were built: those of some tables (an array of
-- oids). Two of one name differ by encoding; the one in use is meant.
SELECT DISTINCT format('collation %%I', c.collname) AS what, c.collversion, pg_collation_actual_version(c.oid) AS actual,
       format('ALTER COLLATION %%I.%%I REFRESH VERSION', n.nspname, c.collname) AS refresh
  FROM pg_attribute a
  JOIN pg_collation c ON c.oid = a.attcollation
  JOIN pg_namespace n ON n.oid = c.collnamespace
 WHERE a.attrelid = ANY (%(tables)s::oid[]) AND NOT a.attisdropped
   AND c.collversion IS NOT NULL AND c.collversion <> pg_collation_actual_version(c.oid)
 ORDER BY 1
