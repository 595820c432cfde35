-- The tables of some schemas that hold rows, but for those of extensions and temporary ones: what of them a replication
-- rests on. A table's root is the uppermost one that it is a partition of, else the table itself. Its rows are identified
-- where an UPDATE can be published; those of partitions to come are where the root has a key. Generated columns are not
-- published, and a key with one is none: before 18 the target stops at an update, from 18 on the source refuses it.
-- With search_path pg_catalog types come out with their schemas.
SELECT c.oid::pg_catalog.int8,
       n.nspname::pg_catalog.text,
       c.relname::pg_catalog.text,
       rn.nspname::pg_catalog.text,
       r.relname::pg_catalog.text,
       c.relpersistence OPERATOR(pg_catalog.=) 'u' AS unlogged,
       CASE c.relreplident
            -- From 18 on a server refuses updates of whole rows with columns that are not published, as generated ones.
            WHEN 'f' THEN pg_catalog.to_number(pg_catalog.current_setting('server_version_num'), '999999')
                          OPERATOR(pg_catalog.<) 180000::pg_catalog.numeric
                          OR NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                                          WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND NOT a.attisdropped
                                            AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2
                                            AND a.attgenerated OPERATOR(pg_catalog.<>) ''::pg_catalog."char")
            WHEN 'n' THEN false
            ELSE EXISTS (SELECT FROM pg_catalog.pg_index i
                          WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid AND i.indisvalid AND i.indimmediate
                            AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
                            AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                                             WHERE a.attrelid OPERATOR(pg_catalog.=) i.indrelid
                                               AND a.attgenerated OPERATOR(pg_catalog.<>) ''::pg_catalog."char"
                                               AND a.attnum OPERATOR(pg_catalog.=) ANY ((i.indkey::pg_catalog.int2[])
                                                   [0:i.indnkeyatts OPERATOR(pg_catalog.-) 1::pg_catalog.int2])))
       END AS identified,
       EXISTS (SELECT FROM pg_catalog.pg_index i
                WHERE i.indrelid OPERATOR(pg_catalog.=) r.oid AND i.indisprimary AND i.indisvalid AND i.indimmediate
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                                   WHERE a.attrelid OPERATOR(pg_catalog.=) i.indrelid
                                     AND a.attgenerated OPERATOR(pg_catalog.<>) ''::pg_catalog."char"
                                     AND a.attnum OPERATOR(pg_catalog.=) ANY ((i.indkey::pg_catalog.int2[])
                                         [0:i.indnkeyatts OPERATOR(pg_catalog.-) 1::pg_catalog.int2]))),
       coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
                            a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
                   FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2
                    AND NOT a.attisdropped), '[]') AS columns
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
  JOIN pg_catalog.pg_class r
    ON r.oid OPERATOR(pg_catalog.=) coalesce(CASE WHEN c.relispartition THEN pg_catalog.pg_partition_root(c.oid) END, c.oid)
  JOIN pg_catalog.pg_namespace rn ON rn.oid OPERATOR(pg_catalog.=) r.relnamespace
 WHERE n.nspname OPERATOR(pg_catalog.=) ANY (%(schemas)s::pg_catalog.name[])
   AND c.relkind OPERATOR(pg_catalog.=) 'r' AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                      AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e')
 ORDER BY n.nspname, c.relname
