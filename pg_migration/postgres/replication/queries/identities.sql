-- By what each of some tables identifies a row whose update or delete is replicated, and by what it could.
-- An index serves that is unique, at once, over all rows and over columns that are never NULL nor generated
-- (PostgreSQL docs: ALTER TABLE, REPLICA IDENTITY). Of several the primary key comes first, then the one with the fewest columns.
WITH candidate AS (
    SELECT i.indrelid, i.indexrelid, i.indisprimary, i.indisreplident, c.relname::text AS name, i.indnkeyatts
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
     WHERE i.indrelid = ANY (%(tables)s::pg_catalog.oid[]) AND i.indisunique AND i.indimmediate AND i.indisvalid
       AND i.indpred IS NULL AND i.indexprs IS NULL
       AND NOT EXISTS (
               SELECT FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, n)
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                WHERE k.n <= i.indnkeyatts AND (NOT a.attnotnull OR a.attgenerated <> '')))
SELECT c.oid::pg_catalog.int8, n.nspname::text, c.relname::text, c.relreplident::text,
       (SELECT x.relname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
         WHERE i.indrelid = c.oid AND i.indisreplident),
       CASE c.relreplident
           WHEN 'f' THEN true
           WHEN 'd' THEN EXISTS (SELECT FROM candidate d WHERE d.indrelid = c.oid AND d.indisprimary)
           WHEN 'i' THEN EXISTS (SELECT FROM candidate d WHERE d.indrelid = c.oid AND d.indisreplident)
           ELSE false
       END,
       (SELECT d.name FROM candidate d WHERE d.indrelid = c.oid
         ORDER BY d.indisprimary DESC, d.indnkeyatts, d.name COLLATE "C" LIMIT 1),
       (SELECT d.indisprimary FROM candidate d WHERE d.indrelid = c.oid
         ORDER BY d.indisprimary DESC, d.indnkeyatts, d.name COLLATE "C" LIMIT 1),
       pg_catalog.pg_table_size(c.oid),
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL),
       EXISTS (SELECT FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> ''),
       ARRAY(SELECT pg_catalog.concat(
                        CASE WHEN i.indisprimary THEN 'primary key ' ELSE 'unique index ' END, x.relname,
                        CASE WHEN NOT i.indisvalid THEN ', which is not valid'
                             WHEN NOT i.indimmediate THEN ', which is DEFERRABLE'
                             WHEN i.indpred IS NOT NULL THEN ', which is partial'
                             WHEN i.indexprs IS NOT NULL THEN ', which is on an expression'
                             WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute a
                                           WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) AND a.attgenerated <> '')
                             THEN ', which has generated columns'
                             ELSE ', whose columns may be NULL' END)
                FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
               WHERE i.indrelid = c.oid AND i.indisunique
                 AND NOT EXISTS (SELECT FROM candidate d WHERE d.indexrelid = i.indexrelid)
               ORDER BY i.indisprimary DESC, x.relname COLLATE "C"),
       ARRAY(SELECT DISTINCT a.atttypid::pg_catalog.int8 FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
              ORDER BY 1)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY (%(tables)s::pg_catalog.oid[])
 ORDER BY 2, 3
