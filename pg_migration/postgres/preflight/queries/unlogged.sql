-- Of some relations (an array of oids), those that are not written to the WAL.
SELECT n.nspname || '.' || c.relname
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY (%(relations)s::oid[]) AND c.relpersistence = 'u' AND c.relkind IN ('r', 'S')
 ORDER BY 1
