-- Collations of the system that columns and indexes of some tables (an array of oids) name. Those that somebody made are
-- made in the target; these have to be there.
SELECT DISTINCT c.collname
  FROM (SELECT a.attcollation AS oid FROM pg_attribute a
         WHERE a.attrelid = ANY (%(tables)s::oid[]) AND NOT a.attisdropped
         UNION
        SELECT unnest(i.indcollation) FROM pg_index i WHERE i.indrelid = ANY (%(tables)s::oid[])) used
  JOIN pg_collation c ON c.oid = used.oid
 WHERE c.collnamespace = 'pg_catalog'::regnamespace AND c.collprovider <> 'd' AND c.collname NOT IN ('C', 'POSIX')
 ORDER BY 1
