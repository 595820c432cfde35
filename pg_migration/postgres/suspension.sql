-- Whatever on some tables (an array of oids) would refuse, repeat or slow a load, in the order in which it can be
-- taken away: what it is, how to take it away, how to bring it back. Names come out qualified: search_path is pg_catalog.
SELECT n.nspname, c.relname, 'foreign key' AS kind, k.conname AS name, 1 AS step,
       format('ALTER TABLE %%I.%%I DROP CONSTRAINT %%I', n.nspname, c.relname, k.conname) AS remove,
       format('ALTER TABLE %%s%%I.%%I ADD CONSTRAINT %%I %%s', CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END,
              n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid)) AS restore,
       rn.nspname AS referenced_schema, r.relname AS referenced_table
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class r ON r.oid = k.confrelid
JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
  AND (k.conrelid = ANY (%(tables)s::oid[]) OR k.confrelid = ANY (%(tables)s::oid[]))
UNION ALL
SELECT n.nspname, c.relname, 'trigger', t.tgname, 2,
       format('ALTER TABLE ONLY %%I.%%I DISABLE TRIGGER %%I', n.nspname, c.relname, t.tgname),
       format('ALTER TABLE ONLY %%I.%%I ENABLE %%sTRIGGER %%I', n.nspname, c.relname,
              CASE t.tgenabled WHEN 'A' THEN 'ALWAYS ' WHEN 'R' THEN 'REPLICA ' ELSE '' END, t.tgname),
       NULL, NULL
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgrelid = ANY (%(tables)s::oid[])
UNION ALL
SELECT n.nspname, c.relname, 'row security', c.relname, 3,
       format('ALTER TABLE %%I.%%I NO FORCE ROW LEVEL SECURITY', n.nspname, c.relname),
       format('ALTER TABLE %%I.%%I FORCE ROW LEVEL SECURITY', n.nspname, c.relname), NULL, NULL
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relforcerowsecurity AND c.oid = ANY (%(tables)s::oid[])
UNION ALL
SELECT n.nspname, c.relname, 'constraint', k.conname, 4,
       format('ALTER TABLE %%I.%%I DROP CONSTRAINT %%I', n.nspname, c.relname, k.conname),
       format('ALTER TABLE %%I.%%I ADD CONSTRAINT %%I %%s', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid)),
       NULL, NULL
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE %(keys)s AND k.contype IN ('p', 'u', 'x') AND k.conparentid = 0 AND k.conrelid = ANY (%(tables)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = k.conindid)
UNION ALL
SELECT n.nspname, c.relname, 'index', x.relname, 5,
       format('DROP INDEX %%I.%%I', xn.nspname, x.relname),
       pg_get_indexdef(i.indexrelid), NULL, NULL
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_namespace xn ON xn.oid = x.relnamespace
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE %(keys)s AND i.indrelid = ANY (%(tables)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
ORDER BY step, 1, 2, 4
