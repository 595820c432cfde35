-- Of tables the file (another one after whatever empties or rewrites a table), and what tells that one was altered: a statement
-- that rewrites it leaves nothing for older snapshots to see, as TRUNCATE does, and is not replicated, as TRUNCATE is. All such
-- statements change one of these, if only the version of the row of a column.
SELECT c.oid::pg_catalog.int8,
       c.relfilenode::pg_catalog.int8,
       c.relpersistence::text,
       c.relam::pg_catalog.int8,
       (SELECT i.inhparent::pg_catalog.int8 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid AND c.relispartition),
       (SELECT pg_catalog.array_agg(
                   pg_catalog.concat_ws(' ', a.attnum, a.atttypid, a.atttypmod, a.attisdropped, a.attnotnull, a.xmin, a.attname)
                   ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)
  FROM pg_catalog.pg_class c
 WHERE c.oid = ANY (%(tables)s::pg_catalog.oid[])
