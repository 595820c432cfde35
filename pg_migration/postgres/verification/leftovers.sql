-- What a load sets aside or makes for its own time: of every table, index, trigger and foreign key in some schemas,
-- whether it is in such a state.
SELECT 'UNLOGGED' AS state, n.nspname AS schema_name, c.relname AS table_name, '' AS name, c.relpersistence = 'u' AS found
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p')
UNION ALL
-- The index of a partitioned table is marked valid when every partition has attached one, which foreign ones never do; where
-- CREATE INDEX made them all at once, it is valid. No query looks at the mark.
SELECT 'not valid', n.nspname, c.relname, x.relname,
       NOT (i.indisvalid AND i.indisready)
       AND NOT EXISTS (SELECT FROM pg_inherits h
                       JOIN pg_class below ON below.oid = h.inhrelid
                       WHERE h.inhparent = c.oid AND below.relkind IN ('f', 'p') AND c.relkind = 'p'
                         AND EXISTS (SELECT FROM pg_partition_tree(below.oid) leaf
                                     JOIN pg_class l ON l.oid = leaf.relid WHERE l.relkind = 'f'))
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'm')
UNION ALL
SELECT 'disabled', n.nspname, c.relname, t.tgname, t.tgenabled = 'D'
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
-- One that enforces a foreign key is named by the server: the name of its constraint tells more.
WHERE n.nspname = ANY (%(schemas)s) AND NOT t.tgisinternal
UNION ALL
SELECT 'disabled', n.nspname, c.relname, k.conname, bool_or(t.tgenabled = 'D')
FROM pg_constraint k
JOIN pg_trigger t ON t.tgconstraint = k.oid AND t.tgisinternal
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND k.contype = 'f'
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
