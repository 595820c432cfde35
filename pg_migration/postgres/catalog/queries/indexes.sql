-- Indexes that no constraint owns. The server writes one on a partitioned table with ONLY: its children are built table
-- by table and attached.
SELECT 'pg_class'::regclass::oid AS classid,
       x.oid AS objid,
       n.nspname AS schema,
       x.relname AS name,
       t.oid AS relation,
       format('DROP INDEX IF EXISTS %s', x.oid::regclass) AS drop_statement,
       ARRAY[pg_get_indexdef(x.oid)]
       || coalesce((SELECT array_agg(format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', x.oid::regclass,
                                            a.attnum, a.attstattarget) ORDER BY a.attnum)
                      FROM pg_attribute a
                     WHERE a.attrelid = x.oid AND a.attstattarget >= 0), ARRAY[]::text[]) AS statements,
       i.indisvalid AS valid,
       t.relkind AS relation_kind,
       i.indisclustered AS clustered,
       i.indisreplident AS replica_identity,
       x.relname AS index_name,
       concat(t.oid::regclass) AS quoted_relation,
       concat(x.oid::regclass) AS quoted_index,
       up.inhparent AS parent_index_oid,
       nullif(concat(up.inhparent::regclass), '') AS parent_index
  FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_class t ON t.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
  -- A partition that is being detached (14 on) has nothing from its parent any more.
  LEFT JOIN pg_inherits pending ON pending.inhrelid = t.oid
                               AND coalesce(to_jsonb(pending) ->> 'inhdetachpending' = 'true', false)
  LEFT JOIN pg_inherits up ON up.inhrelid = x.oid AND pending.inhrelid IS NULL
 WHERE t.relkind IN ('r', 'p', 'm')
   AND t.relpersistence <> 't'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x'))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_class'::regclass AND m.objid = x.oid AND m.deptype = 'e')
