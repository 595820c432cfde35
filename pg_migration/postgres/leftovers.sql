-- What a load sets aside or makes for its own time, in some schemas of one database: the tables that are UNLOGGED, the
-- indexes that are not valid, the triggers that are disabled.
SELECT 'UNLOGGED' AS state, n.nspname AS schema_name, c.relname AS name, '' AS on_table
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'S', 'm') AND c.relpersistence = 'u'
UNION ALL
SELECT 'not valid', n.nspname, x.relname, c.relname
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND NOT (i.indisvalid AND i.indisready)
UNION ALL
SELECT 'disabled', n.nspname, t.tgname, c.relname
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND t.tgenabled = 'D'
  -- One that enforces a foreign key is named by the server: the name of its constraint tells more.
  AND NOT t.tgisinternal
UNION ALL
SELECT 'disabled', n.nspname, k.conname, c.relname
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s)
  AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = k.oid AND t.tgenabled = 'D')
ORDER BY 1, 2, 3
