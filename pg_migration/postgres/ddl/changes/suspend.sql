-- Whatever on some tables (an array of oids) would refuse, repeat or slow a load, in the order in which it can be
-- taken away: what it is, how to take it away, how to bring it back. Names come out qualified: search_path is pg_catalog.
WITH RECURSIVE family AS (
    SELECT t.oid AS loaded, t.oid AS relation FROM unnest(%(tables)s::oid[]) AS t (oid)
    UNION
    SELECT f.loaded, i.inhparent FROM family f JOIN pg_inherits i ON i.inhrelid = f.relation),
used AS (
    SELECT a.attrelid AS loaded, a.atttypid AS type
    FROM pg_attribute a
    WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT u.loaded, inside.type
    FROM used u
    JOIN pg_type t ON t.oid = u.type
    CROSS JOIN LATERAL (
        SELECT t.typelem
        UNION ALL SELECT t.typbasetype
        UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid
        UNION ALL SELECT a.atttypid FROM pg_attribute a
                  WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS inside (type)
    WHERE inside.type <> 0),
-- IS DISTINCT FROM and its like find their operator by the search_path, in a schema that their text can't say.
by_path AS (
    SELECT d.classid, d.objid,
           format('SET LOCAL search_path = pg_catalog, %%s, pg_temp; ', string_agg(DISTINCT quote_ident(n.nspname), ', '))
           AS enter, '; SET LOCAL search_path = pg_catalog, pg_temp' AS leave
      FROM pg_depend d
      JOIN pg_operator o ON o.oid = d.refobjid
      JOIN pg_namespace n ON n.oid = o.oprnamespace
     WHERE d.refclassid = 'pg_operator'::regclass AND d.refobjid >= 16384
       AND d.classid IN ('pg_class'::regclass, 'pg_constraint'::regclass)
     GROUP BY d.classid, d.objid)
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
-- COPY knows no rules, but the DELETE that makes room for a range does, and they may reach any table.
SELECT n.nspname, c.relname, 'rule', r.rulename, 2,
       format('ALTER TABLE %%I.%%I DISABLE RULE %%I', n.nspname, c.relname, r.rulename),
       format('ALTER TABLE %%I.%%I ENABLE %%sRULE %%I', n.nspname, c.relname,
              CASE r.ev_enabled WHEN 'A' THEN 'ALWAYS ' WHEN 'R' THEN 'REPLICA ' ELSE '' END, r.rulename),
       NULL, NULL
FROM pg_rewrite r
JOIN pg_class c ON c.oid = r.ev_class
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE r.ev_enabled <> 'D' AND r.ev_class = ANY (%(tables)s::oid[])
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
       concat(p.enter, format('ALTER TABLE %%I.%%I ADD CONSTRAINT %%I %%s', n.nspname, c.relname, k.conname,
                              pg_get_constraintdef(k.oid)), p.leave),
       NULL, NULL
FROM pg_constraint k
LEFT JOIN by_path p ON p.classid = 'pg_class'::regclass AND p.objid = k.conindid
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE %(keys)s AND k.contype IN ('p', 'u', 'x') AND k.conparentid = 0 AND k.conrelid = ANY (%(tables)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = k.conindid)
UNION ALL
SELECT n.nspname, c.relname, 'index', x.relname, 5,
       format('DROP INDEX %%I.%%I', xn.nspname, x.relname),
       concat(p.enter, pg_get_indexdef(i.indexrelid), p.leave), NULL, NULL
FROM pg_index i
LEFT JOIN by_path p ON p.classid = 'pg_class'::regclass AND p.objid = i.indexrelid
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_namespace xn ON xn.oid = x.relnamespace
JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE %(keys)s AND i.indrelid = ANY (%(tables)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
-- Rows that are there may violate a constraint that is not validated, and so may the same rows when they come again. One
-- that a parent has refuses a child's rows too. It goes from the parent first: a child can't drop what it inherits.
SELECT n.nspname, c.relname, 'constraint not validated', k.conname,
       6 + (WITH RECURSIVE above AS (
                SELECT c.oid AS relation
                UNION
                SELECT i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.relation)
            SELECT count(*) FROM above),
       format('ALTER TABLE %%I.%%I DROP CONSTRAINT %%I', n.nspname, c.relname, k.conname),
       concat(p.enter, format('ALTER TABLE %%I.%%I ADD CONSTRAINT %%I %%s', n.nspname, c.relname, k.conname,
                              pg_get_constraintdef(k.oid)), p.leave),
       ln.nspname, l.relname
FROM (SELECT f.relation, min(f.loaded) AS loaded FROM family f GROUP BY f.relation) AS f
JOIN pg_constraint k ON k.conrelid = f.relation
LEFT JOIN by_path p ON p.classid = 'pg_constraint'::regclass AND p.objid = k.oid
JOIN pg_class c ON c.oid = f.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class l ON l.oid = f.loaded
JOIN pg_namespace ln ON ln.oid = l.relnamespace
WHERE %(unchecked)s AND k.contype IN ('c', 'n') AND NOT k.convalidated AND k.conislocal
  AND coalesce(to_jsonb(k) ->> 'conenforced' = 'true', true)
UNION ALL
-- The same of a domain, wherever in a column's type it is.
SELECT n.nspname, t.typname, 'domain constraint not validated', k.conname, 6,
       format('ALTER DOMAIN %%I.%%I DROP CONSTRAINT %%I', n.nspname, t.typname, k.conname),
       concat(p.enter, format('ALTER DOMAIN %%I.%%I ADD CONSTRAINT %%I %%s', n.nspname, t.typname, k.conname,
                              pg_get_constraintdef(k.oid)), p.leave),
       ln.nspname, l.relname
FROM (SELECT u.type, min(u.loaded) AS loaded FROM used u GROUP BY u.type) AS u
JOIN pg_type t ON t.oid = u.type
JOIN pg_namespace n ON n.oid = t.typnamespace
JOIN pg_constraint k ON k.contypid = t.oid
LEFT JOIN by_path p ON p.classid = 'pg_constraint'::regclass AND p.objid = k.oid
JOIN pg_class l ON l.oid = u.loaded
JOIN pg_namespace ln ON ln.oid = l.relnamespace
WHERE %(unchecked)s AND k.contype = 'c' AND NOT k.convalidated
ORDER BY step, 1, 2, 4
