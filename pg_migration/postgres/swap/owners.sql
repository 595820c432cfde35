-- What gives the objects of some schemas (new) the owners that those of the same names in others (live) have.
WITH pair AS (
    SELECT o.oid AS old, n.oid AS new, n.nspname AS name, o.nspowner AS had, n.nspowner AS has
      FROM ROWS FROM (unnest(%(live)s::text[]), unnest(%(new)s::text[])) AS w (live, new)
      JOIN pg_namespace o ON o.nspname = w.live
      JOIN pg_namespace n ON n.nspname = w.new
)
SELECT format('ALTER TABLE %%I.%%I OWNER TO %%I', p.name, n.relname, pg_get_userbyid(c.relowner))
  FROM pair p
  JOIN pg_class c ON c.relnamespace = p.old AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  JOIN pg_class n ON n.relnamespace = p.new AND n.relname = c.relname AND n.relkind = c.relkind
 WHERE n.relowner <> c.relowner
   AND NOT EXISTS (SELECT FROM pg_depend d  -- such a sequence follows its table
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = n.oid AND n.relkind = 'S'
                      AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
UNION ALL
SELECT format('ALTER SCHEMA %%I OWNER TO %%I', p.name, pg_get_userbyid(p.had)) FROM pair p WHERE p.had <> p.has
