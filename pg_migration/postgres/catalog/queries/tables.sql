-- Ordinary, partitioned and foreign tables with everything that is not a column or a constraint.
-- A leaf must be loaded through its root when the hash of its partition key may differ between two clusters: enum
-- hashes use OIDs, and arrays, ranges and records may hold enums (PostgreSQL's pg_dump, forcePartitionRootLoad). Parents
-- are those that the target has too: none that a partition is being detached from (14 on).
SELECT c.oid,
       n.nspname AS schema,
       c.relname AS name,
       concat(c.oid::regclass) AS quoted,
       c.relkind AS kind,
       c.relpersistence AS persistence,
       c.relispartition AND above.oids IS NOT NULL AS is_partition,
       c.reltuples AS reltuples,
       (pg_relation_size(c.oid) / to_number(current_setting('block_size'), '999999'))::bigint AS pages,
       pg_table_size(c.oid) AS bytes,
       obj_description(c.oid, 'pg_class') AS comment,
       c.relreplident AS replica_identity,
       c.reloptions AS options,
       (SELECT array_agg('toast.' || o.option) FROM unnest(toast.reloptions) AS o (option)) AS toast_options,
       CASE WHEN am.amname <> 'heap' THEN quote_ident(am.amname) END AS access_method,
       CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END AS of_type,
       pg_get_partkeydef(c.oid) AS partition_key,
       CASE WHEN above.oids IS NOT NULL THEN pg_get_expr(c.relpartbound, c.oid) END AS partition_bound,
       above.oids AS parents,
       above.quoted AS quoted_parents,
       CASE WHEN c.relkind = 'p'
            THEN ARRAY(SELECT ARRAY[ln.nspname::text, l.relname::text]
                         FROM pg_partition_tree(c.oid) leaf
                         JOIN pg_class l ON l.oid = leaf.relid
                         JOIN pg_namespace ln ON ln.oid = l.relnamespace
                        WHERE leaf.isleaf AND l.relkind <> 'p') END AS leaves,
       p.partstrat = 'h' AND EXISTS (SELECT FROM unnest(p.partclass) AS key (opclass)
                                       JOIN pg_opclass o ON o.oid = key.opclass
                                      WHERE o.opcintype IN ('anyenum'::regtype, 'anyarray'::regtype,
                                                            'anyrange'::regtype, 'record'::regtype))
           AS hashes_differ,
       quote_ident(server.srvname) AS server,
       ARRAY(SELECT format('%I %L', o.option_name, o.option_value)
               FROM pg_options_to_table(remote.ftoptions) AS o ORDER BY o.option_name) AS foreign_options,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_am am ON am.oid = c.relam
  LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
  LEFT JOIN pg_foreign_table remote ON remote.ftrelid = c.oid
  LEFT JOIN pg_foreign_server server ON server.oid = remote.ftserver
  LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
 CROSS JOIN LATERAL (SELECT array_agg(i.inhparent::bigint ORDER BY i.inhseqno) AS oids,
                            array_agg(concat(i.inhparent::regclass) ORDER BY i.inhseqno) AS quoted
                       FROM pg_inherits i
                       JOIN pg_class parent ON parent.oid = i.inhparent
                      WHERE i.inhrelid = c.oid
                        AND NOT coalesce(to_jsonb(i) ->> 'inhdetachpending' = 'true', false)) AS above
 WHERE c.relkind IN ('r', 'p', 'f')
   AND c.relpersistence <> 't'
   AND n.nspname = ANY (parse_ident(current_setting('pg_migration.schemas')))
   AND NOT EXISTS (SELECT FROM pg_depend m
                    WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid AND m.deptype = 'e')
