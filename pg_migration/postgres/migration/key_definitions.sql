-- Indexes, constraints and extended statistics on tables of some schemas, as the server writes them.
SELECT found.classid, n.nspname, t.relname, found.name, found.definition
  FROM (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, i.indrelid, x.relname,
               pg_catalog.pg_get_indexdef(x.oid)
          FROM pg_catalog.pg_index i
          JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) i.indexrelid
        UNION ALL
        SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid, k.conrelid, k.conname,
               pg_catalog.concat(pg_catalog.pg_get_constraintdef(k.oid), pg_catalog.pg_get_indexdef(k.conindid))
          FROM pg_catalog.pg_constraint k
         WHERE k.contype OPERATOR(pg_catalog.=) ANY ('{p,u,x,f}')
        UNION ALL
        SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass::pg_catalog.oid, s.stxrelid, s.stxname,
               pg_catalog.pg_get_statisticsobjdef(s.oid)
          FROM pg_catalog.pg_statistic_ext s) AS found (classid, relation, name, definition)
  JOIN pg_catalog.pg_class t ON t.oid OPERATOR(pg_catalog.=) found.relation
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
 WHERE n.nspname OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.name[])
