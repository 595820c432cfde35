-- Indexes, constraints and extended statistics on tables of some schemas, as the server writes them. Tables are chosen
-- first: a server takes long to write the indexes of its own catalogs.
WITH chosen AS MATERIALIZED (
    SELECT t.oid, n.nspname, t.relname
      FROM pg_catalog.pg_class t
      JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
     WHERE n.nspname OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.name[]))
SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AS classid, t.nspname, t.relname, x.relname AS name,
       pg_catalog.pg_get_indexdef(x.oid) AS definition
  FROM chosen t
  JOIN pg_catalog.pg_index i ON i.indrelid OPERATOR(pg_catalog.=) t.oid
  JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) i.indexrelid
UNION ALL
SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid, t.nspname, t.relname, k.conname,
       pg_catalog.concat(pg_catalog.pg_get_constraintdef(k.oid), pg_catalog.pg_get_indexdef(k.conindid))
  FROM chosen t
  JOIN pg_catalog.pg_constraint k ON k.conrelid OPERATOR(pg_catalog.=) t.oid
 WHERE k.contype OPERATOR(pg_catalog.=) ANY ('{p,u,x,f}')
UNION ALL
SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass::pg_catalog.oid, t.nspname, t.relname, s.stxname,
       pg_catalog.pg_get_statisticsobjdef(s.oid)
  FROM chosen t
  JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid OPERATOR(pg_catalog.=) t.oid
