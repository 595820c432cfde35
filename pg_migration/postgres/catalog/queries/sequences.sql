-- Sequences that are not the inside of an identity column, every property spelt out.
SELECT 'pg_class'::regclass::oid AS classid,
       c.oid AS objid,
       n.nspname AS schema,
       c.relname AS name,
       format('DROP SEQUENCE IF EXISTS %s', c.oid::regclass) AS drop_statement,
       ARRAY[format('CREATE %sSEQUENCE %s AS %s START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s',
                    CASE WHEN c.relpersistence = 'u' THEN 'UNLOGGED ' END,
                    c.oid::regclass, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
                    s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE ' NO CYCLE' END)] AS statements
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_sequence s ON s.seqrelid = c.oid
 WHERE c.relkind = 'S'
   AND c.relpersistence <> 't'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid
                      AND (m.deptype = 'e' OR m.deptype = 'i' AND m.refclassid = 'pg_class'::regclass))
